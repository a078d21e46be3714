/* Counting the words of a stream of documents. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>
#include "text/batch.h"
#include "text/words_internal.h"

/* Documents are counted in batches: each thread takes the next one and counts it in a table of its own, which
 * the main table takes up behind each batch, or when it is full, in the middle of a document too. Of a limit
 * of memory the main table has five eighths (words.c); of the rest these are for the batch, whose buffers are
 * up to half as large again, and for the tables of all threads. */
#define BATCH_BYTES  ((size_t)8 << 20)
#define BATCH_SHARE  ((size_t)16)
#define TABLES_SHARE ((size_t)4)

#define SAMPLE_SEED 1 /* of the hash that samples; that of seed 0 divides documents among splits */

struct counting {
    const struct mf_docs_batch *batch;
    struct mf_words **tables; /* of each thread */
    struct mf_err *errs;
    size_t *done; /* of each document of the batch: bytes counted */
    int64_t *cut; /* and words cut */
    atomic_size_t next;
    atomic_bool unfinished; /* a table is full */
};

static void count_job(void *context, size_t begin, size_t end, int thread) {
    struct counting *c = context;
    struct mf_words *table = c->tables[thread];
    (void)begin;
    (void)end;
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->batch->count;) {
        const struct mf_doc *doc = &c->batch->docs[i];
        int64_t cut = words_add_some(table, doc->text, doc->size, &c->done[i], &c->errs[thread]);
        if (cut < 0) return;
        c->cut[i] += cut;
        if (c->done[i] < doc->size) {
            atomic_store(&c->unfinished, true);
            return;
        }
    }
}

/* The main table takes up those of the threads. */
static int merge(struct mf_words *words, struct counting *c, int threads, struct mf_err *err) {
    for (int t = 0; t < threads; t++) {
        if (c->errs[t].status) {
            *err = c->errs[t];
            return -1;
        }
        if (mf_words_merge(words, c->tables[t], err) < 0) return -1;
    }
    return 0;
}

/* What is not in the sample counts as done. Returns the number of others. */
static size_t sample_batch(struct counting *c, uint64_t max_hash) {
    size_t counted = 0;
    for (size_t i = 0; i < c->batch->count; i++) {
        const struct mf_doc *doc = &c->batch->docs[i];
        if (max_hash == UINT64_MAX || XXH64(doc->text, doc->size, SAMPLE_SEED) <= max_hash)
            counted++;
        else
            c->done[i] = doc->size;
    }
    return counted;
}

static int count_batch(struct mf_words *words, struct counting *c, struct mf_pool *pool,
                       struct mf_words_report *report, struct mf_err *err) {
    int threads = mf_pool_threads(pool);
    free(c->cut);
    free(c->done);
    c->cut = calloc(c->batch->count, sizeof *c->cut);
    c->done = calloc(c->batch->count, sizeof *c->done);
    if (!c->cut || !c->done) return mf_err_set(err, EX_OSERR, "out of memory");
    report->counted += sample_batch(c, words->max_hash);
    do {
        atomic_store(&c->next, 0);
        atomic_store(&c->unfinished, false);
        mf_pool_run(pool, (size_t)threads, 1, count_job, c);
        if (merge(words, c, threads, err) < 0) return -1;
    } while (atomic_load(&c->unfinished));
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
                         .tables = calloc((size_t)threads, sizeof(struct mf_words *)),
                         .errs = calloc((size_t)threads, sizeof *c.errs)};
    int status = c.tables && c.errs ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
    for (int t = 0; t < threads && status == 0; t++)
        status = mf_words_new(&c.tables[t], words->max_word, memory / TABLES_SHARE / (size_t)threads, err);
    size_t bytes = memory / BATCH_SHARE;
    if (memory == 0 || bytes > BATCH_BYTES) bytes = BATCH_BYTES;
    while (status == 0 && (more = mf_docs_batch_read(&batch, docs, bytes, err)) > 0) {
        status = count_batch(words, &c, pool, report, err);
        report->documents += batch.count;
        if (shown) shown(context, report->documents);
    }
    for (int t = 0; t < threads && c.tables; t++) mf_words_free(c.tables[t]);
    free(c.tables);
    free(c.errs);
    free(c.cut);
    free(c.done);
    mf_docs_batch_free(&batch);
    return status < 0 || more < 0 ? -1 : 0;
}
