/* The documents that k-means starts from. */
#ifndef MF_PARTITION_SEEDS_H
#define MF_PARTITION_SEEDS_H

#include "base/err.h"
#include "base/pool.h"
#include "base/rng.h"
#include "partition/sketch.h"

#define MF_SEED_TRIALS 3 /* candidates for each further seed; the one that leaves the least distance wins */

/* Chooses E of n documents, far from each other, by odds (Arthur and Vassilvitskii 2007), and makes them the
 * centroids [F,E], F features. Document i is sketch index[i], or i where index is NULL. The result depends on
 * the inputs and the state of rng, not on the number of threads. EX_OSERR. */
int mf_kmeans_seeds(const struct mf_sketches *sketches, const uint32_t *index, size_t n, size_t features,
                    size_t E, struct mf_rng *rng, struct mf_pool *pool, float *centroids, struct mf_err *err);

#endif
