/* Seeds of k-means: all candidates of a seed are compared with the documents in one pass. */
#include "partition/seeds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIALS MF_SEED_TRIALS

struct seeding {
    const struct mf_sketches *sketches;
    const uint32_t *index;
    size_t n, features;
    struct mf_rng *rng;
    struct mf_pool *pool;
    float *nearest; /* [n] cosine of the nearest seed so far */
    float *similar; /* [n,TRIALS] cosine of each candidate */
    float *columns; /* [F,TRIALS] the candidates */
};

static const struct mf_sketch_term *sketch_of(const struct seeding *s, size_t i, size_t *count) {
    return mf_sketches_get(s->sketches, s->index ? s->index[i] : i, count);
}

static void compare_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    struct seeding *s = context;
    size_t count;
    for (size_t i = begin; i < end; i++) {
        const struct mf_sketch_term *terms = sketch_of(s, i, &count);
        float cosine[TRIALS] = {0};
        for (size_t t = 0; t < count; t++) {
            const float *c = s->columns + terms[t].feature * (size_t)TRIALS;
            float weight = terms[t].weight * MF_SKETCH_UNIT;
            for (size_t k = 0; k < TRIALS; k++) cosine[k] += weight * c[k];
        }
        memcpy(s->similar + i * TRIALS, cosine, sizeof cosine);
    }
}

/* Compares all documents with the candidates [trials]. */
static void compare_with(struct seeding *s, const size_t *candidates, size_t trials) {
    size_t count;
    memset(s->columns, 0, s->features * TRIALS * sizeof *s->columns);
    for (size_t k = 0; k < trials; k++) {
        const struct mf_sketch_term *terms = sketch_of(s, candidates[k], &count);
        for (size_t t = 0; t < count; t++)
            s->columns[terms[t].feature * (size_t)TRIALS + k] = terms[t].weight * MF_SKETCH_UNIT;
    }
    mf_pool_run(s->pool, s->n, 64, compare_rows, s);
}

/* Distances are 1 - cosine, half the squared Euclidean distance of unit vectors. Rounding must not make one
 * negative. */
static double distance(float cosine) {
    return fmax(0, 1 - (double)cosine);
}

/* A document drawn with odds proportional to its distance from the nearest seed; any, where all distances are
 * 0. */
static size_t draw(const struct seeding *s, double total) {
    if (!(total > 1e-9)) return mf_rng_below(s->rng, s->n);
    double left = mf_rng_uniform(s->rng) * total;
    size_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        double d = distance(s->nearest[i]);
        if (d <= 0) continue;
        last = i;
        left -= d;
        if (left < 0) break;
    }
    return last;
}

/* The distance that is left in all when candidate k becomes a seed. */
static double rest_with(const struct seeding *s, size_t k) {
    double rest = 0;
    for (size_t i = 0; i < s->n; i++) rest += distance(fmaxf(s->nearest[i], s->similar[i * TRIALS + k]));
    return rest;
}

/* Draws candidates for one seed, and returns which of them it is. */
static size_t choose_seed(struct seeding *s, size_t trials) {
    size_t candidates[TRIALS], best = 0;
    double total = 0, best_rest = INFINITY;
    for (size_t i = 0; i < s->n; i++) total += distance(s->nearest[i]);
    for (size_t k = 0; k < trials; k++) candidates[k] = draw(s, total);
    compare_with(s, candidates, trials);
    for (size_t k = 0; k < trials; k++) {
        double rest = rest_with(s, k);
        if (rest >= best_rest) continue;
        best_rest = rest;
        best = k;
    }
    for (size_t i = 0; i < s->n; i++) s->nearest[i] = fmaxf(s->nearest[i], s->similar[i * TRIALS + best]);
    return best;
}

int mf_kmeans_seeds(const struct mf_sketches *sketches, const uint32_t *index, size_t n, size_t features,
                    size_t E, struct mf_rng *rng, struct mf_pool *pool, float *centroids,
                    struct mf_err *err) {
    struct seeding s = {
        .sketches = sketches, .index = index, .n = n, .features = features, .rng = rng, .pool = pool};
    s.nearest = malloc((n + 1) * sizeof *s.nearest);
    s.similar = malloc((n + 1) * TRIALS * sizeof *s.similar);
    s.columns = malloc((features + 1) * TRIALS * sizeof *s.columns);
    int status = s.nearest && s.similar && s.columns
                     ? 0
                     : mf_err_set(err, EX_OSERR, "out of memory to cluster %zu documents", n);
    for (size_t i = 0; status == 0 && i < n; i++) s.nearest[i] = -1; /* nothing chosen: all equally far */
    for (size_t e = 0; status == 0 && e < E; e++) {
        size_t best = choose_seed(&s, e == 0 ? 1 : TRIALS);
        for (size_t f = 0; f < features; f++) centroids[f * E + e] = s.columns[f * TRIALS + best];
    }
    free(s.nearest);
    free(s.similar);
    free(s.columns);
    return status;
}
