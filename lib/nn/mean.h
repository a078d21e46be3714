/* The mean of two branches. */
#ifndef MF_NN_MEAN_H
#define MF_NN_MEAN_H

#include "base/pool.h"

/* y [N,D], the sum of two branches without their last biases, becomes (y + a + b) / 2. a, b [D], or NULL. */
void mean_forward(struct mf_pool *pool, float *y, const float *a, const float *b, size_t N, size_t D);

/* dy [N,D] becomes the gradient of each branch, dy / 2. da [D] += its column sums, or NULL. */
void mean_backward(struct mf_pool *pool, float *dy, float *da, size_t N, size_t D);

#endif
