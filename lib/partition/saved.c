/* A partitioning in memory, but for its table of documents. */
#include "partition/saved.h"

#include <stdlib.h>
#include <string.h>
#include "base/rng.h"

int mf_partition_alloc(struct mf_partition *p, struct mf_err *err) {
    size_t E = p->E;
    p->centroids = calloc(p->terms.count * E + 1, sizeof *p->centroids);
    p->prices = calloc(E + 1, sizeof *p->prices);
    p->upper = calloc(E + 1, sizeof *p->upper);
    p->names = calloc(E + 1, sizeof *p->names);
    p->name_sizes = calloc(E + 1, sizeof *p->name_sizes);
    p->sizes = calloc(E + 1, sizeof *p->sizes);
    p->n_tokens = calloc(E + 1, sizeof *p->n_tokens);
    p->rates = calloc(E + 1, sizeof *p->rates);
    p->origins = calloc(E + 1, sizeof *p->origins);
    if (p->centroids && p->prices && p->upper && p->names && p->name_sizes && p->sizes && p->n_tokens &&
        p->rates && p->origins)
        return 0;
    return mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", E);
}

void mf_partition_free(struct mf_partition *p) {
    for (size_t e = 0; p->names && e < p->E; e++) free(p->names[e]);
    mf_terms_free(&p->terms);
    free(p->centroids);
    free(p->prices);
    free(p->upper);
    free(p->names);
    free(p->name_sizes);
    free(p->sizes);
    free(p->n_tokens);
    free(p->rates);
    free(p->origins);
    mf_spill_free(&p->table);
    *p = (struct mf_partition){0};
}

int mf_partition_name(struct mf_partition *p, size_t e, const char *name, size_t size, struct mf_err *err) {
    p->names[e] = malloc(size + 1);
    if (!p->names[e]) return mf_err_set(err, EX_OSERR, "out of memory for domain names");
    memcpy(p->names[e], name, size);
    p->names[e][size] = 0;
    p->name_sizes[e] = size;
    return 0;
}

int mf_partition_know(struct mf_partition *p, uint64_t fingerprint, size_t partition, struct mf_err *err) {
    struct mf_known known;
    memset(&known, 0, sizeof known);
    known.fingerprint = fingerprint;
    known.partition = (uint16_t)partition;
    p->documents++;
    return mf_spill_append(&p->table, &known, sizeof known, err);
}

float mf_partition_random(uint64_t seed, uint64_t fingerprint, size_t e) {
    return (float)(mf_rng_at(mf_rng_key(seed, "partition", e), fingerprint) >> 40) * 0x1p-24f;
}
