/* Balanced spherical k-means over sketches (Dhillon and Modha 2001; seeds after Arthur and Vassilvitskii
 * 2007). */
#ifndef MF_PARTITION_KMEANS_H
#define MF_PARTITION_KMEANS_H

#include "base/err.h"
#include "base/pool.h"
#include "partition/sketch.h"

struct mf_kmeans_params {
    size_t clusters; /* E >= 1, at most the number of documents */
    double balance;  /* capacity of a cluster, as a multiple of the mean number of tokens; >= 1 */
    int64_t restarts, iterations;
    uint64_t seed;
};

/* Clusters n documents by cosine similarity: sketch index[i], or i where index is NULL.
 *   tokens     [n]    in   their sizes, for the balance
 *   partition  [n]    out  cluster of each document; none is empty
 *   centroids  [F,E]  out  unit vectors, F features
 *   prices     [E]    out  as in mf_assign_balanced
 * The result depends on the inputs and the seed, not on the number of threads. EX_OSERR. */
int mf_kmeans(const struct mf_sketches *sketches, const uint32_t *index, size_t n, const uint32_t *tokens,
              size_t features, const struct mf_kmeans_params *params, struct mf_pool *pool,
              uint16_t *partition, float *centroids, double *prices, struct mf_err *err);

/* Many clusters in two levels: about sqrt(E) groups of documents, then clusters within each, more of them
 * where there are more tokens. Clusters of a group have neighbouring numbers. Documents as above; only their
 * centroids [F,E] come out. EX_OSERR. */
int mf_kmeans_levels(const struct mf_sketches *sketches, size_t n, const uint32_t *tokens, size_t features,
                     const struct mf_kmeans_params *params, struct mf_pool *pool, float *centroids,
                     struct mf_err *err);

#endif
