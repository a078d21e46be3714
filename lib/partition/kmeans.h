/* Balanced spherical k-means over sketches (Dhillon and Modha 2001; seeds after Arthur and Vassilvitskii
 * 2007). */
#ifndef MF_PARTITION_KMEANS_H
#define MF_PARTITION_KMEANS_H

#include "base/err.h"
#include "base/pool.h"
#include "partition/sketch.h"

/* Restarts run on at most this many documents, evenly spread; the rest only takes part in the last passes. */
#define MF_KMEANS_SAMPLE 32768

struct mf_kmeans_params {
    size_t clusters; /* E >= 1, at most the number of documents */
    double balance;  /* capacity of a cluster, as a multiple of the mean number of tokens; >= 1 */
    int64_t restarts, iterations;
    uint64_t seed;
};

/* Clusters the documents by cosine similarity.
 *   tokens     [n]    in   their sizes, for the balance
 *   partition  [n]    out  cluster of each document; none is empty
 *   scores     [n,E]  out  cosine to each centroid
 *   centroids  [F,E]  out  the unit vectors that gave the scores, F features
 *   prices     [E]    out  as in mf_assign_balanced
 * The result depends on the inputs and the seed, not on the number of threads. EX_OSERR. */
int mf_kmeans(const struct mf_sketches *sketches, const uint32_t *tokens, size_t features,
              const struct mf_kmeans_params *params, struct mf_pool *pool, uint16_t *partition, float *scores,
              float *centroids, double *prices, struct mf_err *err);

/* scores [n,E] = cosine of sketch index[i] (or i when index is NULL) with each column of centroids [F,E]. */
void mf_scores(const struct mf_sketches *sketches, const uint32_t *index, size_t n, const float *centroids,
               size_t E, float *scores, struct mf_pool *pool);

/* The normalised mean of each cluster's sketches, as columns of centroids [F,E]; zero for a cluster without
 * terms. Sums in double, in document order. `index` as above. */
int mf_centroids(const struct mf_sketches *sketches, const uint32_t *index, size_t n,
                 const uint16_t *partition, size_t features, size_t E, float *centroids, struct mf_pool *pool,
                 struct mf_err *err);

#endif
