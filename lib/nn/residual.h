/* Adding a branch to the residual stream, with bias and dropout. */
#ifndef MF_NN_RESIDUAL_H
#define MF_NN_RESIDUAL_H

#include "nn/dropout.h"
#include "nn/seqs.h"

/* out [N,D] = x [N,D] + dropout(y [N,D] + bias [D] or NULL); out may be x. */
void residual_forward(struct mf_pool *pool, float *out, const float *x, const float *y, const float *bias,
                      struct dropout dropout, size_t N, size_t D);

/* dy [N,D] = mask/(1-p) * dx; dbias [D] += column sums of dy, or NULL. dx itself passes on unchanged.
 *   scratch [n_threads, D], used with dbias only */
void residual_backward(struct mf_pool *pool, float *dy, float *dbias, const float *dx, struct dropout dropout,
                       float *scratch, size_t N, size_t D);

#endif
