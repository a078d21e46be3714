/* A partitioning in memory: room, the table of known documents, and placing. */
#include "partition/saved.h"

#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "partition/assign.h"

int mf_partition_alloc(struct mf_partition *p, struct mf_err *err) {
    size_t E = p->E, n = p->documents;
    p->centroids = calloc(p->terms.count * E + 1, sizeof *p->centroids);
    p->prices = calloc(E + 1, sizeof *p->prices);
    p->upper = calloc(E + 1, sizeof *p->upper);
    p->names = calloc(E + 1, sizeof *p->names);
    p->name_sizes = calloc(E + 1, sizeof *p->name_sizes);
    p->sizes = calloc(E + 1, sizeof *p->sizes);
    p->n_tokens = calloc(E + 1, sizeof *p->n_tokens);
    p->rates = calloc(E + 1, sizeof *p->rates);
    p->origins = calloc(E + 1, sizeof *p->origins);
    p->fingerprints = calloc(n + 1, sizeof *p->fingerprints);
    p->partitions = calloc(n + 1, sizeof *p->partitions);
    p->used = calloc(n + 1, sizeof *p->used);
    if (p->centroids && p->prices && p->upper && p->names && p->name_sizes && p->sizes && p->n_tokens &&
        p->rates && p->origins && p->fingerprints && p->partitions && p->used)
        return 0;
    return mf_err_set(err, EX_OSERR, "out of memory for %zu partitions of %zu documents", E, n);
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
    free(p->fingerprints);
    free(p->partitions);
    free(p->used);
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

struct known {
    uint64_t fingerprint;
    uint32_t order;
    uint16_t partition;
};

static int by_fingerprint(const void *a, const void *b) {
    const struct known *x = a, *y = b;
    if (x->fingerprint != y->fingerprint) return x->fingerprint < y->fingerprint ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

int mf_partition_remember(struct mf_partition *p, const uint64_t *fingerprints, const uint16_t *partition,
                          struct mf_err *err) {
    size_t n = p->documents;
    struct known *known = malloc((n + 1) * sizeof *known);
    if (!known) return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", n);
    for (size_t i = 0; i < n; i++) known[i] = (struct known){fingerprints[i], (uint32_t)i, partition[i]};
    qsort(known, n, sizeof *known, by_fingerprint);
    for (size_t i = 0; i < n; i++) {
        p->fingerprints[i] = known[i].fingerprint;
        p->partitions[i] = known[i].partition;
    }
    free(known);
    return 0;
}

/* The first place of a fingerprint in the table, or `documents`. */
static size_t find_fingerprint(const struct mf_partition *p, uint64_t fingerprint) {
    size_t low = 0, high = p->documents;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->fingerprints[middle] < fingerprint)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->documents && p->fingerprints[low] == fingerprint ? low : p->documents;
}

bool mf_partition_knows(const struct mf_partition *p, uint64_t fingerprint) {
    return find_fingerprint(p, fingerprint) < p->documents;
}

/* The partition a known document is in, or -1. Copies are told apart by the order they come in; one copy more
 * than there were goes where the last one is. */
static long find_known(struct mf_partition *p, uint64_t fingerprint) {
    size_t low = find_fingerprint(p, fingerprint);
    if (low == p->documents) return -1;
    size_t at = low + p->used[low];
    if (at + 1 < p->documents && p->fingerprints[at + 1] == fingerprint) p->used[low]++;
    return p->partitions[at];
}

float mf_partition_random(uint64_t seed, uint64_t fingerprint, size_t e) {
    return (float)(mf_rng_at(mf_rng_key(seed, "partition", e), fingerprint) >> 40) * 0x1p-24f;
}

static void score_by_terms(const struct mf_partition *p, const struct mf_sketch_term *sketch, size_t n,
                           float *scores) {
    for (size_t e = 0; e < p->E; e++) scores[e] = 0;
    for (size_t t = 0; t < n; t++) {
        const float *c = p->centroids + sketch[t].feature * p->E;
        for (size_t e = 0; e < p->E; e++) scores[e] += (float)sketch[t].weight / 65535 * c[e];
    }
}

/* Minus the distance on the scale of difficulty to each partition's range; the hardest one has no upper end.
 */
static size_t score_by_difficulty(const struct mf_partition *p, double difficulty, float *scores) {
    size_t own = 0;
    while (own + 1 < p->E && difficulty > p->upper[own]) own++;
    for (size_t e = 0; e < p->E; e++) {
        double below = e > 0 ? p->upper[e - 1] - difficulty : 0,
               above = e + 1 < p->E ? difficulty - p->upper[e] : 0;
        double distance = below > above ? below : above;
        scores[e] = distance > 0 ? (float)-distance : 0;
    }
    return own;
}

/* The partition by the method alone. */
static size_t place_new(const struct mf_partition *p, const struct mf_token_doc *doc,
                        const struct mf_sketch_term *sketch, size_t n, double difficulty, float *scores) {
    if (p->method == MF_CURRICULUM) return score_by_difficulty(p, difficulty, scores);
    if (p->method == MF_RANDOM)
        for (size_t e = 0; e < p->E; e++) scores[e] = mf_partition_random(p->seed, doc->fingerprint, e);
    else
        score_by_terms(p, sketch, n, scores);
    for (size_t e = 0; p->method == MF_DOMAIN && doc->domain && e < p->E; e++)
        if (p->name_sizes[e] == doc->domain_size && memcmp(p->names[e], doc->domain, doc->domain_size) == 0)
            return e;
    return mf_assign_nearest(scores, p->prices, p->E);
}

size_t mf_partition_place(struct mf_partition *p, const struct mf_token_doc *doc,
                          const struct mf_sketch_term *sketch, size_t n, double difficulty, float *scores) {
    size_t own = place_new(p, doc, sketch, n, difficulty, scores);
    long known = find_known(p, doc->fingerprint);
    return known >= 0 ? (size_t)known : own;
}
