/* The table of words. */
#include "text/words.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/batch.h"
#include "text/pretokenize.h"

struct word {
    uint64_t hash, count; /* count 0: empty slot */
    size_t at, size;
};

struct mf_words {
    struct word *table;
    size_t capacity, count;
    char *text; /* the distinct words' bytes */
    size_t text_capacity, text_used;
    size_t max_word;
    uint64_t bytes;
};

int mf_words_new(struct mf_words **out, size_t max_word, struct mf_err *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) return mf_err_set(err, EX_OSERR, "out of memory");
    (*out)->max_word = max_word ? max_word : SIZE_MAX;
    return 0;
}

void mf_words_free(struct mf_words *w) {
    if (!w) return;
    free(w->table);
    free(w->text);
    free(w);
}

uint64_t mf_words_bytes(const struct mf_words *w) {
    return w->bytes;
}

size_t mf_words_distinct(const struct mf_words *w) {
    return w->count;
}

uint64_t mf_words_next(const struct mf_words *w, size_t *at, const char **word, size_t *size) {
    while (*at < w->capacity && w->table[*at].count == 0) ++*at;
    if (*at == w->capacity) return 0;
    const struct word *x = &w->table[(*at)++];
    *word = w->text + x->at;
    *size = x->size;
    return x->count;
}

static struct word *find(const struct mf_words *w, uint64_t hash, const char *text, size_t size) {
    size_t i = (size_t)hash & (w->capacity - 1);
    for (;; i = (i + 1) & (w->capacity - 1)) {
        struct word *x = &w->table[i];
        if (x->count == 0) return x;
        if (x->hash == hash && x->size == size && memcmp(w->text + x->at, text, size) == 0) return x;
    }
}

static int grow(struct mf_words *w, struct mf_err *err) {
    size_t old_capacity = w->capacity;
    struct word *old = w->table, *table;
    w->capacity = old_capacity ? 2 * old_capacity : 4096;
    table = calloc(w->capacity, sizeof *table);
    if (!table) {
        w->capacity = old_capacity;
        return mf_err_set(err, EX_OSERR, "out of memory for %zu words", 2 * old_capacity);
    }
    w->table = table;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].count) *find(w, old[i].hash, w->text + old[i].at, old[i].size) = old[i];
    free(old);
    return 0;
}

static int count(struct mf_words *w, uint64_t hash, const char *text, size_t size, uint64_t times,
                 struct mf_err *err) {
    if (2 * w->count >= w->capacity && grow(w, err) < 0) return -1;
    struct word *x = find(w, hash, text, size);
    x->count += times;
    if (x->count != times) return 0;
    if (w->text_capacity - w->text_used <= size) {
        size_t capacity = 2 * w->text_capacity + size + 65536;
        char *grown = realloc(w->text, capacity);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for words");
        w->text = grown;
        w->text_capacity = capacity;
    }
    memcpy(w->text + w->text_used, text, size);
    *x = (struct word){hash, times, w->text_used, size};
    w->text_used += size;
    w->count++;
    return 0;
}

int64_t mf_words_add(struct mf_words *w, const char *text, size_t size, struct mf_err *err) {
    int64_t cut = 0;
    w->bytes += size;
    while (size) {
        size_t length = mf_word_length(text, size), counted = length < w->max_word ? length : w->max_word;
        cut += counted < length;
        if (count(w, XXH3_64bits(text, counted), text, counted, 1, err) < 0) return -1;
        text += length;
        size -= length;
    }
    return cut;
}

/* Forgets all words and their memory. */
static void release(struct mf_words *w) {
    free(w->table);
    free(w->text);
    *w = (struct mf_words){.max_word = w->max_word};
}

/* Forgets all words, and keeps the memory. */
static void empty(struct mf_words *w) {
    if (w->capacity) memset(w->table, 0, w->capacity * sizeof *w->table);
    w->count = w->text_used = 0;
}

int mf_words_merge(struct mf_words *w, struct mf_words *from, struct mf_err *err) {
    w->bytes += from->bytes;
    from->bytes = 0;
    for (size_t i = 0; i < from->capacity; i++) {
        const struct word *x = &from->table[i];
        if (x->count && count(w, x->hash, from->text + x->at, x->size, x->count, err) < 0) return -1;
    }
    empty(from);
    return 0;
}

/* The table and the words' bytes; and for learning, 8 bytes a symbol, about 12 an occurrence of a pair with
 * the capacity that lists grow into, and 8 a word (lib/text/bpe_learn.c). It follows from the words alone:
 * what was allocated depends on the order in which they came, and that on the threads. */
size_t mf_words_memory(const struct mf_words *w) {
    size_t capacity = 4096;
    while (2 * w->count >= capacity) capacity *= 2;
    return capacity * sizeof *w->table + 2 * w->text_used + 65536 + (w->text_used + w->count) * 20 +
           w->count * 8;
}

int64_t mf_words_shrink(struct mf_words *w, size_t memory, struct mf_err *err) {
    int64_t dropped = 0;
    for (uint64_t rare = 1; mf_words_memory(w) > memory && w->count; rare++) {
        struct mf_words *kept;
        if (mf_words_new(&kept, w->max_word, err) < 0) return -1;
        int status = 0;
        for (size_t i = 0; i < w->capacity && status == 0; i++) {
            const struct word *x = &w->table[i];
            if (x->count > rare)
                status = count(kept, x->hash, w->text + x->at, x->size, x->count, err);
            else
                dropped += x->count > 0;
        }
        kept->bytes = w->bytes;
        free(w->table);
        free(w->text); /* NOLINT(clang-analyzer-unix.Malloc): each round has a text of its own */
        *w = *kept;
        free(kept);
        if (status < 0) return -1;
    }
    return dropped;
}

/* --- a stream of documents --- */

/* Documents are counted in batches: each thread takes the next one and counts it in a table of its own, which
 * the main table takes up behind each batch. */
#define BATCH_BYTES ((size_t)8 << 20)

/* With a limit of memory a third of it is for the batch, whose words can take some 80 times its bytes when
 * they are all short and different: in a thread's table, and in the main one until the rarest are dropped. */
#define BATCH_SHARE ((size_t)3)
#define BATCH_GROWS ((size_t)80)

struct counting {
    const struct mf_docs_batch *batch;
    struct mf_words **tables; /* of each thread */
    struct mf_err *errs;
    int64_t *cut; /* of each document of the batch */
    atomic_size_t next;
    bool limited; /* memory is: threads keep none between batches */
};

static void count_job(void *context, size_t begin, size_t end, int thread) {
    struct counting *c = context;
    (void)begin;
    (void)end;
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->batch->count;) {
        const struct mf_doc *doc = &c->batch->docs[i];
        c->cut[i] = mf_words_add(c->tables[thread], doc->text, doc->size, &c->errs[thread]);
        if (c->cut[i] < 0) return;
    }
}

static int count_batch(struct mf_words *words, struct counting *c, struct mf_pool *pool,
                       struct mf_words_report *report, struct mf_err *err) {
    int threads = mf_pool_threads(pool);
    free(c->cut);
    c->cut = calloc(c->batch->count, sizeof *c->cut);
    if (!c->cut) return mf_err_set(err, EX_OSERR, "out of memory");
    atomic_store(&c->next, 0);
    mf_pool_run(pool, (size_t)threads, 1, count_job, c);
    for (int t = 0; t < threads; t++) {
        if (c->errs[t].status) {
            *err = c->errs[t];
            return -1;
        }
        if (mf_words_merge(words, c->tables[t], err) < 0) return -1;
        if (c->limited) release(c->tables[t]);
    }
    for (size_t i = 0; i < c->batch->count; i++) {
        const struct mf_doc *doc = &c->batch->docs[i];
        if (c->cut[i] && report->cut == 0)
            snprintf(report->first_cut, sizeof report->first_cut, "%.*s",
                     (int)(doc->id_size < 60 ? doc->id_size : 60), doc->id);
        report->cut += (uint64_t)c->cut[i];
    }
    return 0;
}

int mf_words_count(struct mf_words *words, struct mf_stream_reader *docs, struct mf_pool *pool, size_t memory,
                   struct mf_words_report *report, void (*shown)(void *context, uint64_t documents),
                   void *context, struct mf_err *err) {
    int threads = mf_pool_threads(pool), more = -1;
    struct mf_docs_batch batch = {0};
    struct counting c = {.batch = &batch,
                         .limited = memory > 0,
                         .tables = calloc((size_t)threads, sizeof(struct mf_words *)),
                         .errs = calloc((size_t)threads, sizeof *c.errs)};
    int status = c.tables && c.errs ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
    for (int t = 0; t < threads && status == 0; t++)
        status = mf_words_new(&c.tables[t], words->max_word, err);
    *report = (struct mf_words_report){0};
    size_t share = memory / BATCH_SHARE, bytes = share / BATCH_GROWS;
    if (memory == 0 || bytes > BATCH_BYTES) bytes = BATCH_BYTES;
    while (status == 0 && (more = mf_docs_batch_read(&batch, docs, bytes, err)) > 0) {
        status = count_batch(words, &c, pool, report, err);
        int64_t dropped = status == 0 && memory ? mf_words_shrink(words, memory - share, err) : 0;
        if (dropped < 0) status = -1;
        report->dropped += status == 0 ? (uint64_t)dropped : 0;
        report->documents += batch.count;
        if (shown) shown(context, report->documents);
    }
    for (int t = 0; t < threads && c.tables; t++) mf_words_free(c.tables[t]);
    free(c.tables);
    free(c.errs);
    free(c.cut);
    mf_docs_batch_free(&batch);
    return status < 0 || more < 0 ? -1 : 0;
}
