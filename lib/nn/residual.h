/* Adding a branch to the residual stream, with bias and dropout; and dropout's masks, which are never stored.
 */
#ifndef MF_NN_RESIDUAL_H
#define MF_NN_RESIDUAL_H

#include <stdint.h>
#include "nn/seqs.h"

/* x [N,D] += dropout(y [N,D] + bias [D] or NULL).
 * Element i of the [N,D] array is dropped when 32 bits of mf_rng_at(key, i / 2) are below p * 2^32 (inverted
 * dropout: the others are scaled by 1/(1-p)); p = 0 drops nothing. Srivastava et al. 2014. */
void residual_forward(struct mf_pool *pool, float *x, const float *y, const float *bias, float p,
                      uint64_t key, size_t N, size_t D);

/* dy [N,D] = mask/(1-p) * dx; dbias [D] += column sums of dy, or NULL. dx itself passes on unchanged.
 *   scratch [n_threads, D], used with dbias only */
void residual_backward(struct mf_pool *pool, float *dy, float *dbias, const float *dx, float p, uint64_t key,
                       float *scratch, size_t N, size_t D);

#endif
