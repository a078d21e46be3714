/* Where the memory of dividing goes. */
#include <string.h>
#include "base/memory.h"
#include "partition/balance.h"
#include "partition/divide.h"
#include "partition/near.h"

#define PROGRAM     ((size_t)12 << 20) /* program, libraries, buffers of reading and writing */
#define SORTING_MIN ((size_t)4 << 20)
#define FILE_OUT    ((size_t)68 << 10) /* of each file that is written: its buffer */
#define ID          24                 /* of each id: counts, features */
#define TERM        32                 /* of each term: saved, and what a sketch is made in */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* A sample, and clusters of it: of each document a whole sketch, where it is, and scores. */
static size_t clustering(size_t F, size_t E) {
    size_t k = E <= MF_FLAT ? E : MF_FLAT + MF_FLAT / 4; /* clusters at once; a group may have more */
    size_t document = MF_SKETCH_TERMS * sizeof(struct mf_sketch_term) + 64 + k * sizeof(float);
    return MF_SAMPLE * document + F * k * (3 * sizeof(float) + sizeof(double));
}

static size_t assigning(const struct mf_divide *d, size_t F, size_t E) {
    return mf_nearness_memory(F, E, (size_t)mf_pool_threads(d->pool)) + MF_NEAR_BATCH + mf_balance_memory(E);
}

static size_t averaging(size_t F, size_t E) {
    size_t all = F * E * sizeof(double);
    return all < MF_CENTROIDS_MEMORY ? all : MF_CENTROIDS_MEMORY + F * sizeof(double);
}

int mf_divide_plan(struct mf_divide_memory *m, const struct mf_divide *d, size_t vocab, size_t F, size_t E,
                   struct mf_err *err) {
    bool grows = d->saved && d->params.partitions > 0;
    size_t divided = !d->saved || grows ? E : 0; /* partitions that are made out of documents */
    *m = (struct mf_divide_memory){0};
    m->program = PROGRAM + vocab * ID + F * TERM + E * 128;
    m->centroids = F * E * sizeof(float) * (grows ? 3 : 1);
    if (divided) m->clustering = larger(clustering(F, divided), averaging(F, divided));
    m->assigning = assigning(d, F, E);
    m->writing = (d->files ? E * FILE_OUT : 0) + ((size_t)1 << 20);
    size_t fixed = m->program + m->centroids + larger(m->clustering, larger(m->assigning, m->writing));
    m->least = fixed + SORTING_MIN;
    if (d->max_memory < m->least) return mf_memory_refuse("partitioning", m->least, d->max_memory, err);
    m->sorting = d->max_memory - fixed;
    return 0;
}

int mf_divide_open(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    struct mf_tokens_reader docs;
    *division = (struct mf_division){0};
    if (d->saved && mf_partition_read(&division->saved, d->saved, err) < 0) return -1;
    if (mf_tokens_open(&docs, d->path, err) < 0) return -1;
    struct mf_tokens_header header = docs.header;
    size_t vocab = header.vocab;
    mf_tokens_close(&docs);
    if (d->saved && strcmp(division->saved.tokenizer, header.tokenizer) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: made with tokenizer %.12s, not %.12s as in %s", d->saved,
                          division->saved.tokenizer, header.tokenizer, d->name);
    size_t F = d->saved ? division->saved.terms.count : d->features < vocab ? d->features : vocab;
    size_t E = larger(larger(d->params.partitions, division->saved.E), 1);
    return mf_divide_plan(&division->memory, d, vocab, F, E, err);
}
