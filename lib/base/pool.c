/* A pool of threads that run one job at a time, each on its fixed part of the rows. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A thread looks at a counter before it sleeps: LEAST to MOST looks, up to one or two hundred microseconds,
 * and then LEAST at a time, OFFERS times, a millisecond in all, which is longer than most jobs' threads
 * differ. */
enum { LEAST_LOOKS = 32, MOST_LOOKS = 4096, OFFERS = 512, SWITCHED_NS = 20000 };

struct worker {
    struct mf_pool *pool;
    pthread_t id;
    int thread;
};

/* What is left of a thread's part of a shared job; on a cache line of its own. */
struct part {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

struct mf_pool {
    int n_threads;
    int looks;              /* of the caller */
    struct worker *workers; /* n_threads - 1 of them */
    pthread_mutex_t lock;
    pthread_cond_t started, finished;
    atomic_ulong round;   /* number of jobs handed out */
    atomic_ulong running; /* workers not yet done with this round */
    atomic_bool quit;
    size_t count, grain; /* of the current job */
    bool shared;         /* who is done with its part helps the others */
    struct part *parts;  /* [n_threads] */
    mf_pool_job *job;
    void *context;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Offers the processor to whoever waits for it. Did someone? */
static bool offer(void) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    sched_yield();
    clock_gettime(CLOCK_MONOTONIC, &after);
    return (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec > SWITCHED_NS;
}

static bool comes(const atomic_ulong *counter, unsigned long value, int looks) {
    for (int i = 0; i < looks; i++) {
        if (atomic_load(counter) == value) return true;
        relax();
    }
    return false;
}

/* Looks at `counter` until it has this value: false when the looks are over before. Where another thread
 * wants the processor, what is waited for may be that, and looking only keeps it from running: so looks are
 * halved then, and doubled by success. Where none does, the wait is just long, and fewer looks would make all
 * sleep at the next jobs too, since a wake-up takes longer than many a job. */
static bool look(const atomic_ulong *counter, unsigned long value, int *looks) {
    if (comes(counter, value, *looks)) {
        if (*looks < MOST_LOOKS) *looks *= 2;
        return true;
    }
    for (int i = 0; i < OFFERS; i++) {
        bool taken = offer();
        if (taken && *looks > LEAST_LOOKS) *looks /= 2;
        if (comes(counter, value, LEAST_LOOKS)) return true;
        if (taken) return false;
    }
    return false;
}

/* Part `thread` of the current job: whole grains, the first `units % n` threads have one more. */
static void part_of(const struct mf_pool *p, int thread, size_t *begin, size_t *end) {
    size_t units = p->count / p->grain + (p->count % p->grain != 0);
    size_t n = (size_t)p->n_threads, t = (size_t)thread, share = units / n, rest = units % n;
    size_t first = t * share + (t < rest ? t : rest), last = first + share + (t < rest);
    *begin = first * p->grain;
    *end = last == units ? p->count : last * p->grain;
}

/* A grain at a time: of one's own part, then of what the next threads have not come to. */
static void run_shared(struct mf_pool *p, int thread) {
    for (int i = 0; i < p->n_threads; i++) {
        struct part *part = &p->parts[(thread + i) % p->n_threads];
        for (size_t at; (at = atomic_fetch_add(&part->next, p->grain)) < part->end;)
            p->job(p->context, at, part->end - at < p->grain ? part->end : at + p->grain, thread);
    }
}

static void run_part(struct mf_pool *p, int thread) {
    size_t begin, end;
    if (p->shared) {
        run_shared(p, thread);
        return;
    }
    part_of(p, thread, &begin, &end);
    if (begin < end) p->job(p->context, begin, end, thread);
}

static void *work(void *argument) {
    struct worker *self = argument;
    struct mf_pool *p = self->pool;
    unsigned long seen = 0;
    int looks = MOST_LOOKS;
    for (;;) {
        if (!look(&p->round, seen + 1, &looks)) {
            pthread_mutex_lock(&p->lock);
            while (atomic_load(&p->round) == seen) pthread_cond_wait(&p->started, &p->lock);
            pthread_mutex_unlock(&p->lock);
        }
        seen++;
        if (atomic_load(&p->quit)) return NULL;
        run_part(p, self->thread);
        if (atomic_fetch_sub(&p->running, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void next_round(struct mf_pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->started);
    pthread_mutex_unlock(&p->lock);
}

/* Ends the first `n` workers and frees the pool. */
static void close_pool(struct mf_pool *p, int n) {
    atomic_store(&p->quit, true);
    next_round(p);
    for (int i = 0; i < n; i++) pthread_join(p->workers[i].id, NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->started);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p->parts);
    free(p);
}

int mf_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    return 1;
}

int mf_pool_new(struct mf_pool **pool, int n_threads, struct mf_err *err) {
    struct mf_pool *p = calloc(1, sizeof *p);
    struct worker *workers = calloc((size_t)n_threads, sizeof *workers);
    struct part *parts = aligned_alloc(64, (size_t)n_threads * sizeof *parts);
    if (!p || !workers || !parts) {
        free(p);
        free(workers);
        free(parts);
        return mf_err_set(err, EX_OSERR, "no memory for %d threads", n_threads);
    }
    p->n_threads = n_threads;
    p->looks = MOST_LOOKS;
    p->workers = workers;
    p->parts = parts;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->started, NULL);
    pthread_cond_init(&p->finished, NULL);
    sigset_t all, before; /* signals are for the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0, n = 0;
    for (; n < n_threads - 1 && !failed; n++) {
        workers[n] = (struct worker){.pool = p, .thread = n + 1};
        failed = pthread_create(&workers[n].id, NULL, work, &workers[n]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        close_pool(p, n - 1);
        return mf_err_set(err, EX_OSERR, "cannot start %d threads: %s", n_threads, strerror(failed));
    }
    *pool = p;
    return 0;
}

void mf_pool_free(struct mf_pool *pool) {
    if (pool) close_pool(pool, pool->n_threads - 1);
}

int mf_pool_threads(const struct mf_pool *pool) {
    return pool->n_threads;
}

static void run(struct mf_pool *pool, size_t count, size_t grain, bool shared, mf_pool_job *job,
                void *context) {
    if (count == 0) return;
    if (pool->n_threads == 1 || count <= grain) {
        job(context, 0, count, 0);
        return;
    }
    pool->count = count;
    pool->grain = grain;
    pool->shared = shared;
    for (int t = 0; shared && t < pool->n_threads; t++) {
        size_t begin;
        part_of(pool, t, &begin, &pool->parts[t].end);
        atomic_store(&pool->parts[t].next, begin);
    }
    pool->job = job;
    pool->context = context;
    atomic_store(&pool->running, (unsigned long)pool->n_threads - 1);
    next_round(pool);
    run_part(pool, 0);
    if (look(&pool->running, 0, &pool->looks)) return;
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->running) > 0) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void mf_pool_run(struct mf_pool *pool, size_t count, size_t grain, mf_pool_job *job, void *context) {
    run(pool, count, grain, false, job, context);
}

void mf_pool_share(struct mf_pool *pool, size_t count, size_t grain, mf_pool_job *job, void *context) {
    run(pool, count, grain, true, job, context);
}
