/* Two levels of k-means: groups, and clusters within each. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "partition/kmeans.h"

/* Documents of one group, gathered in turn for each. */
struct levels {
    const struct mf_sketches *sketches;
    const struct mf_kmeans_params *params;
    struct mf_pool *pool;
    const uint32_t *tokens; /* [n] */
    size_t n, features, groups;
    uint16_t *group;          /* [n] */
    size_t *shares;           /* [groups] clusters */
    uint32_t *index, *sizes;  /* [n] of one group's documents: which, and their tokens */
    uint16_t *partition;      /* [n] */
    float *centroids, *local; /* [F,E]; those of one level or group */
    double *prices;           /* [E] */
};

static int find_groups(struct levels *l, struct mf_err *err) {
    struct mf_kmeans_params params = *l->params;
    params.clusters = l->groups;
    params.restarts = 1; /* groups need not be the best ones */
    return mf_kmeans(l->sketches, NULL, l->n, l->tokens, l->features, &params, l->pool, l->group, l->local,
                     l->prices, err);
}

/* The clusters are given out one by one, each to the group with the most tokens a cluster; a group has at
 * least one and at most as many as documents. */
static int share_out(struct levels *l, struct mf_err *err) {
    size_t *documents = calloc(l->groups, sizeof *documents);
    double *tokens = calloc(l->groups, sizeof *tokens);
    bool there = documents && tokens;
    for (size_t i = 0; there && i < l->n; i++) {
        documents[l->group[i]]++;
        tokens[l->group[i]] += l->tokens[i];
    }
    for (size_t g = 0; g < l->groups; g++) l->shares[g] = 1;
    for (size_t e = l->groups; there && e < l->params->clusters; e++) {
        size_t best = l->groups;
        for (size_t g = 0; g < l->groups; g++)
            if (l->shares[g] < documents[g] &&
                (best == l->groups ||
                 tokens[g] / (double)l->shares[g] > tokens[best] / (double)l->shares[best]))
                best = g;
        if (best < l->groups) l->shares[best]++;
    }
    free(documents);
    free(tokens);
    return there ? 0 : mf_err_set(err, EX_OSERR, "out of memory for %zu groups", l->groups);
}

/* Clusters group g; its centroids become columns from `first` on. */
static int divide_group(struct levels *l, size_t g, size_t first, struct mf_err *err) {
    struct mf_kmeans_params params = *l->params;
    size_t n = 0, k = l->shares[g], E = l->params->clusters;
    params.clusters = k;
    params.seed = mf_rng_key(params.seed, "group", g);
    for (size_t i = 0; i < l->n; i++) {
        if (l->group[i] != g) continue;
        l->index[n] = (uint32_t)i;
        l->sizes[n++] = l->tokens[i];
    }
    float *local = realloc(l->local, (l->features * k + 1) * sizeof *local);
    if (!local) return mf_err_set(err, EX_OSERR, "out of memory for %zu centroids", k);
    l->local = local;
    if (mf_kmeans(l->sketches, l->index, n, l->sizes, l->features, &params, l->pool, l->partition, l->local,
                  l->prices, err) < 0)
        return -1;
    for (size_t f = 0; f < l->features; f++)
        memcpy(l->centroids + f * E + first, l->local + f * k, k * sizeof *l->local);
    return 0;
}

static int run(struct levels *l, struct mf_err *err) {
    size_t first = 0, E = l->params->clusters;
    l->group = malloc(l->n * sizeof *l->group);
    l->shares = calloc(l->groups, sizeof *l->shares);
    l->index = malloc(l->n * sizeof *l->index);
    l->sizes = malloc(l->n * sizeof *l->sizes);
    l->partition = malloc(l->n * sizeof *l->partition);
    l->local = malloc((l->features * l->groups + 1) * sizeof *l->local);
    l->prices = calloc(E, sizeof *l->prices);
    if (!l->group || !l->shares || !l->index || !l->sizes || !l->partition || !l->local || !l->prices)
        return mf_err_set(err, EX_OSERR, "out of memory to cluster %zu documents", l->n);
    if (find_groups(l, err) < 0 || share_out(l, err) < 0) return -1;
    for (size_t g = 0; g < l->groups; first += l->shares[g++])
        if (divide_group(l, g, first, err) < 0) return -1;
    return 0;
}

int mf_kmeans_levels(const struct mf_sketches *sketches, size_t n, const uint32_t *tokens, size_t features,
                     const struct mf_kmeans_params *params, struct mf_pool *pool, float *centroids,
                     struct mf_err *err) {
    struct levels l = {.sketches = sketches,
                       .params = params,
                       .pool = pool,
                       .tokens = tokens,
                       .n = n,
                       .features = features,
                       .groups = (size_t)lround(sqrt((double)params->clusters)),
                       .centroids = centroids};
    int status = run(&l, err);
    free(l.group);
    free(l.shares);
    free(l.index);
    free(l.sizes);
    free(l.partition);
    free(l.local);
    free(l.prices);
    return status;
}
