/* Spherical k-means: the iterations with restarts, the last passes. */
#include "partition/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "base/simd.h"
#include "partition/assign.h"
#include "partition/seeds.h"

#define LAST_PASSES 3

/* --- similarities --- */

struct scores_job {
    const struct mf_sketches *sketches;
    const uint32_t *index;
    const float *centroids;
    size_t E;
    float *scores;
};

MF_CLONES
static void score_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct scores_job *job = context;
    size_t E = job->E, count;
    for (size_t i = begin; i < end; i++) {
        const struct mf_sketch_term *terms =
            mf_sketches_get(job->sketches, job->index ? job->index[i] : i, &count);
        float *s = job->scores + i * E;
        memset(s, 0, E * sizeof *s);
        for (size_t t = 0; t < count; t++) {
            const float *c = job->centroids + terms[t].feature * E;
            float weight = terms[t].weight * MF_SKETCH_UNIT;
            for (size_t e = 0; e < E; e++) s[e] += weight * c[e];
        }
    }
}

/* scores [n,E] = cosine of sketch index[i] (or i when index is NULL) with each column of centroids [F,E]. */
static void score_all(const struct mf_sketches *sketches, const uint32_t *index, size_t n,
                      const float *centroids, size_t E, float *scores, struct mf_pool *pool) {
    struct scores_job job = {sketches, index, centroids, E, scores};
    mf_pool_run(pool, n, 64, score_rows, &job);
}

/* --- centroids --- */

struct means_job {
    const struct mf_sketches *sketches;
    const uint32_t *index;
    size_t n;
    const uint16_t *partition;
    size_t features, E;
    double *sums; /* [E,F] */
    float *centroids;
};

/* One cluster is summed by one thread, in document order: the same sums for any number of threads. */
static void sum_clusters(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct means_job *job = context;
    size_t count;
    for (size_t i = 0; i < job->n; i++) {
        size_t e = job->partition[i];
        if (e < begin || e >= end) continue;
        const struct mf_sketch_term *terms =
            mf_sketches_get(job->sketches, job->index ? job->index[i] : i, &count);
        double *sum = job->sums + e * job->features;
        for (size_t t = 0; t < count; t++) sum[terms[t].feature] += terms[t].weight;
    }
    for (size_t e = begin; e < end; e++) {
        double squares = 0;
        const double *sum = job->sums + e * job->features;
        for (size_t f = 0; f < job->features; f++) squares += sum[f] * sum[f];
        double scale = squares > 0 ? 1 / sqrt(squares) : 0;
        for (size_t f = 0; f < job->features; f++) job->centroids[f * job->E + e] = (float)(sum[f] * scale);
    }
}

/* --- the run --- */

struct run {
    const struct mf_sketches *sketches;
    const struct mf_kmeans_params *params;
    struct mf_pool *pool;
    size_t features, n;
    double capacity;
    const uint32_t *index, *tokens; /* [n]; index: or NULL */
    uint16_t *partition, *last_partition;
    float *scores, *centroids, *best_centroids;
    double *sums; /* [E,F] */
    double *prices;
};

/* The normalised mean of each cluster's sketches, as columns of centroids [F,E]; zero for a cluster without
 * terms. Sums in double, in document order. */
static void take_means(struct run *r, float *centroids) {
    size_t E = r->params->clusters;
    struct means_job job = {r->sketches, r->index, r->n, r->partition, r->features, E, r->sums, centroids};
    memset(r->sums, 0, r->features * E * sizeof *r->sums);
    mf_pool_run(r->pool, E, 1, sum_clusters, &job);
}

/* Iterates to a fixed point or the limit; *objective is the sum of cosines to the own centroid. */
static int iterate(struct run *r, double *objective, struct mf_err *err) {
    size_t E = r->params->clusters;
    memset(r->last_partition, 0xff, r->n * sizeof *r->last_partition);
    for (int64_t step = 0;; step++) {
        score_all(r->sketches, r->index, r->n, r->centroids, E, r->scores, r->pool);
        if (mf_assign_balanced(r->scores, r->tokens, r->n, E, r->capacity, r->partition, r->prices, err) < 0)
            return -1;
        if (step >= r->params->iterations ||
            !memcmp(r->partition, r->last_partition, r->n * sizeof *r->partition))
            break;
        memcpy(r->last_partition, r->partition, r->n * sizeof *r->partition);
        take_means(r, r->centroids);
    }
    *objective = 0;
    for (size_t i = 0; i < r->n; i++) *objective += r->scores[i * E + r->partition[i]];
    return 0;
}

static void free_run(struct run *r) {
    free(r->last_partition);
    free(r->scores);
    free(r->centroids);
    free(r->sums);
}

static int init_run(struct run *r, struct mf_err *err) {
    size_t n = r->n, E = r->params->clusters, F = r->features;
    r->last_partition = malloc(n * sizeof *r->last_partition);
    r->scores = malloc(n * E * sizeof *r->scores);
    r->centroids = calloc(F * E + 1, sizeof *r->centroids);
    r->sums = calloc(F * E + 1, sizeof *r->sums);
    if (!r->last_partition || !r->scores || !r->centroids || !r->sums)
        return mf_err_set(err, EX_OSERR, "out of memory to cluster %zu documents", n);
    double total = 0;
    for (size_t i = 0; i < n; i++) total += r->tokens[i];
    r->capacity = r->params->balance * total / (double)E;
    return 0;
}

/* Leaves the centroids of the best restart in r->best_centroids. */
static int best_of_restarts(struct run *r, struct mf_err *err) {
    size_t E = r->params->clusters;
    double best = -INFINITY;
    for (int64_t restart = 0; restart < r->params->restarts; restart++) {
        struct mf_rng rng;
        double objective;
        mf_rng_seed(&rng, mf_rng_key(r->params->seed, "kmeans", (uint64_t)restart));
        if (mf_kmeans_seeds(r->sketches, r->index, r->n, r->features, E, &rng, r->pool, r->centroids, err) <
            0)
            return -1;
        if (iterate(r, &objective, err) < 0) return -1;
        if (objective <= best) continue;
        best = objective;
        memcpy(r->best_centroids, r->centroids, r->features * E * sizeof *r->centroids);
    }
    return 0;
}

int mf_kmeans(const struct mf_sketches *sketches, const uint32_t *index, size_t n, const uint32_t *tokens,
              size_t features, const struct mf_kmeans_params *params, struct mf_pool *pool,
              uint16_t *partition, float *centroids, double *prices, struct mf_err *err) {
    size_t E = params->clusters;
    struct run r = {.sketches = sketches,
                    .params = params,
                    .pool = pool,
                    .features = features,
                    .n = n,
                    .index = index,
                    .tokens = tokens,
                    .partition = partition,
                    .best_centroids = centroids,
                    .prices = prices};
    int status = init_run(&r, err);
    if (status == 0) status = best_of_restarts(&r, err);
    for (int pass = 0; status == 0 && pass < LAST_PASSES; pass++) {
        score_all(sketches, index, n, centroids, E, r.scores, pool);
        status = mf_assign_balanced(r.scores, tokens, n, E, r.capacity, partition, prices, err);
        if (status == 0 && pass + 1 < LAST_PASSES) take_means(&r, centroids);
    }
    free_run(&r);
    return status;
}
