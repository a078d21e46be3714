/* The exact (erf) GELU with the bias of the product before it, forward and backward. */
#ifndef MF_NN_GELU_H
#define MF_NN_GELU_H

#include "nn/seqs.h"

/* y [N,F] = gelu(x + bias), gelu(u) = u/2 (1 + erf(u/sqrt 2)). x is kept as it was, y may be x.
 * Hendrycks and Gimpel 2016, eq. 1. bias [F] may be NULL. Absolute error of erf below 5e-7. */
void bias_gelu_forward(struct mf_pool *pool, float *y, const float *x, const float *bias, size_t N, size_t F);

/* dx [N,F] = dy * gelu'(x + bias); dx may be dy or x. dbias [F] += column sums of dx, or NULL.
 *   scratch [n_threads, F], used with dbias only */
void bias_gelu_backward(struct mf_pool *pool, float *dx, float *dbias, const float *dy, const float *x,
                        const float *bias, float *scratch, size_t N, size_t F);

#endif
