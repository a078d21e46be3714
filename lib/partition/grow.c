/* More partitions for a saved partitioning, out of the documents it has not seen. */
#include "partition/grow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "partition/assign.h"
#include "partition/kmeans.h"

/* The documents that are not known yet, as a corpus of their own. */
struct fresh {
    size_t n;
    uint32_t *document;           /* [n] its number in the stream */
    uint32_t *tokens;             /* [n] */
    uint64_t *fingerprints;       /* [n] */
    uint16_t *partition;          /* [n] from 0: the first new partition */
    struct mf_sketches *sketches; /* one each */
};

static void free_fresh(struct fresh *f) {
    free(f->document);
    free(f->tokens);
    free(f->fingerprints);
    free(f->partition);
    mf_sketches_free(f->sketches);
}

static int find_fresh(struct fresh *f, const struct mf_partition *p, const struct mf_growth *g,
                      struct mf_err *err) {
    const struct mf_corpus *corpus = g->corpus;
    size_t capacity = corpus->count + 1;
    f->document = calloc(capacity, sizeof *f->document);
    f->tokens = calloc(capacity, sizeof *f->tokens);
    f->fingerprints = calloc(capacity, sizeof *f->fingerprints);
    f->partition = calloc(capacity, sizeof *f->partition);
    if (!f->document || !f->tokens || !f->fingerprints || !f->partition)
        return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", corpus->count);
    if (mf_sketches_new(&f->sketches, err) < 0) return -1;
    for (size_t i = 0; i < corpus->count; i++) {
        if (mf_partition_knows(p, corpus->fingerprints[i])) continue;
        size_t n;
        const struct mf_sketch_term *terms = mf_sketches_get(g->sketches, i, &n);
        if (mf_sketches_add(f->sketches, terms, n, err) < 0) return -1;
        f->document[f->n] = (uint32_t)i;
        f->tokens[f->n] = corpus->tokens[i];
        f->fingerprints[f->n++] = corpus->fingerprints[i];
    }
    return 0;
}

/* --- the methods; centroids [F,k] and prices [k] are of the new partitions --- */

static int by_random(struct fresh *f, const struct mf_partition *p, size_t k, double *prices,
                     struct mf_err *err) {
    double total = 0;
    float *scores = calloc(f->n * k + 1, sizeof *scores);
    if (!scores) return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", f->n);
    for (size_t i = 0; i < f->n; i++) {
        total += f->tokens[i];
        for (size_t e = 0; e < k; e++)
            scores[i * k + e] = mf_partition_random(p->seed, f->fingerprints[i], p->E + e);
    }
    int status = mf_assign_balanced(scores, f->tokens, f->n, k, p->balance * total / (double)k, f->partition,
                                    prices, err);
    free(scores);
    return status;
}

static int by_clusters(struct fresh *f, const struct mf_partition *p, size_t k, const struct mf_growth *g,
                       float *centroids, double *prices, struct mf_err *err) {
    struct mf_kmeans_params km = {k, p->balance, g->restarts, g->iterations, p->seed};
    float *scores = calloc(f->n * k + 1, sizeof *scores);
    if (!scores) return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", f->n);
    int status = mf_kmeans(f->sketches, f->tokens, p->terms.count, &km, g->pool, f->partition, scores,
                           centroids, prices, err);
    free(scores);
    return status;
}

static bool has_name(const struct mf_partition *p, const char *name, size_t size) {
    for (size_t e = 0; e < p->E; e++)
        if (p->names[e] && p->name_sizes[e] == size && memcmp(p->names[e], name, size) == 0) return true;
    return false;
}

/* One new partition for each label of fresh documents that has none, named in `names`; documents of known
 * labels are not fresh (their tokens and sketches are not read again). */
static int by_label(struct fresh *f, const struct mf_partition *p, size_t k, const struct mf_growth *g,
                    size_t *names, struct mf_err *err) {
    const struct mf_corpus *corpus = g->corpus;
    size_t n = 0, kept = 0;
    uint16_t *partition_of = calloc(corpus->n_names + 1, sizeof *partition_of);
    if (!partition_of) return mf_err_set(err, EX_OSERR, "out of memory for domain names");
    for (size_t i = 0; i < f->n; i++) {
        uint16_t label = corpus->labels[f->document[i]];
        if (label != MF_NO_LABEL) partition_of[label] = 1;
    }
    for (size_t l = 0; l < corpus->n_names; l++) {
        bool is_fresh = partition_of[l] == 1;
        partition_of[l] = MF_NO_LABEL;
        if (!is_fresh || has_name(p, corpus->names[l], corpus->name_sizes[l])) continue;
        if (n < k) names[n] = l;
        partition_of[l] = (uint16_t)n++;
    }
    for (size_t i = 0; n == k && i < f->n; i++) {
        uint16_t label = corpus->labels[f->document[i]];
        if (label == MF_NO_LABEL || partition_of[label] == MF_NO_LABEL) continue;
        f->document[kept] = f->document[i];
        f->fingerprints[kept] = f->fingerprints[i];
        f->partition[kept++] = partition_of[label];
    }
    f->n = kept;
    free(partition_of);
    if (n == k) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: documents of %zu new domains do not make %zu more partitions",
                      g->name, n, k);
}

/* --- widening the partitioning --- */

/* The known documents and the fresh ones together, in the tables of `to`. */
static int remember(struct mf_partition *to, const struct mf_partition *p, const struct fresh *f,
                    struct mf_err *err) {
    size_t n = p->documents + f->n;
    uint64_t *fingerprints = calloc(n + 1, sizeof *fingerprints);
    uint16_t *partitions = calloc(n + 1, sizeof *partitions);
    int status =
        fingerprints && partitions ? 0 : mf_err_set(err, EX_OSERR, "out of memory for %zu documents", n);
    for (size_t i = 0; status == 0 && i < n; i++) {
        fingerprints[i] = i < p->documents ? p->fingerprints[i] : f->fingerprints[i - p->documents];
        partitions[i] =
            i < p->documents ? p->partitions[i] : (uint16_t)(p->E + f->partition[i - p->documents]);
    }
    if (status == 0) status = mf_partition_remember(to, fingerprints, partitions, err);
    free(fingerprints);
    free(partitions);
    return status;
}

/* Replaces *p by one with k partitions more. */
static int widen(struct mf_partition *p, const struct fresh *f, size_t k, const float *centroids,
                 const double *prices, struct mf_err *err) {
    struct mf_partition to = *p;
    size_t E = p->E;
    to.E = E + k;
    to.documents = p->documents + f->n;
    if (mf_partition_alloc(&to, err) < 0 || remember(&to, p, f, err) < 0) {
        to.terms = (struct mf_terms){0}; /* still p's */
        mf_partition_free(&to);
        return -1;
    }
    for (size_t t = 0; t < p->terms.count; t++) {
        memcpy(to.centroids + t * to.E, p->centroids + t * E, E * sizeof *centroids);
        memcpy(to.centroids + t * to.E + E, centroids + t * k, k * sizeof *centroids);
    }
    memcpy(to.prices, p->prices, E * sizeof *prices);
    memcpy(to.prices + E, prices, k * sizeof *prices);
    memcpy(to.rates, p->rates, E * sizeof *to.rates);
    memcpy(to.origins, p->origins, E * sizeof *to.origins);
    for (size_t e = 0; e < E; e++) {
        to.names[e] = p->names[e];
        to.name_sizes[e] = p->name_sizes[e];
        p->names[e] = NULL;
    }
    p->terms = (struct mf_terms){0};
    mf_partition_free(p);
    *p = to;
    return 0;
}

/* Divides the fresh documents among the new partitions by the method. */
static int divide_fresh(struct fresh *f, const struct mf_partition *p, size_t k, const struct mf_growth *g,
                        size_t *names, float *centroids, double *prices, struct mf_err *err) {
    if (p->method != MF_DOMAIN && f->n < k)
        return mf_err_set(err, EX_DATAERR,
                          "%s: %zu documents not seen before are too few for %zu more partitions", g->name,
                          f->n, k);
    if (p->method == MF_CLUSTERED) return by_clusters(f, p, k, g, centroids, prices, err);
    int status = p->method == MF_RANDOM ? by_random(f, p, k, prices, err) : by_label(f, p, k, g, names, err);
    if (status < 0) return -1;
    return mf_centroids(g->sketches, f->document, f->n, f->partition, p->terms.count, k, centroids, g->pool,
                        err);
}

int mf_partition_grow(struct mf_partition *p, size_t E, const struct mf_growth *g, struct mf_err *err) {
    struct fresh f = {0};
    size_t k = E - p->E;
    if (p->method == MF_CURRICULUM)
        return mf_err_set(err, EX_USAGE, "a curriculum is divided anew, it cannot get more partitions");
    float *centroids = calloc(p->terms.count * k + 1, sizeof *centroids);
    double *prices = calloc(k, sizeof *prices);
    size_t *names = calloc(k, sizeof *names);
    int status = centroids && prices && names
                     ? find_fresh(&f, p, g, err)
                     : mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", E);
    if (status == 0) status = divide_fresh(&f, p, k, g, names, centroids, prices, err);
    if (status == 0) status = widen(p, &f, k, centroids, prices, err);
    for (size_t i = 0; i < k && status == 0 && p->method == MF_DOMAIN; i++)
        status =
            mf_partition_name(p, E - k + i, g->corpus->names[names[i]], g->corpus->name_sizes[names[i]], err);
    free_fresh(&f);
    free(centroids);
    free(prices);
    free(names);
    return status;
}
