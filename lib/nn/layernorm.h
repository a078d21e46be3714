/* Layer normalisation, forward and backward. */
#ifndef MF_NN_LAYERNORM_H
#define MF_NN_LAYERNORM_H

#include "nn/seqs.h"

#define LAYERNORM_EPS 1e-5f

/* Row-wise layer normalisation: y = (x - mean) * rstd * gain + bias.
 *   x, y        [N,D]   in, out (may be the same array)
 *   gain, bias  [D]     in; both NULL: plain normalisation
 *   mean, rstd  [N]     out, kept for layernorm_backward; may be NULL
 * eps is added to the variance. Ba, Kiros and Hinton 2016, eq. 3. */
void layernorm_forward(struct mf_pool *pool, float *y, float *mean, float *rstd, const float *x,
                       const float *gain, const float *bias, size_t N, size_t D);

/* Backward of the above. ADDS into dx (the residual stream's gradient passes by on the same array).
 *   dx           [N,D]   in, out
 *   dgain, dbias [D]     in, out; NULL when frozen
 *   dy           [N,D]   in
 *   scratch      [n_threads, 2D] */
void layernorm_backward(struct mf_pool *pool, float *dx, float *dgain, float *dbias, const float *dy,
                        const float *x, const float *gain, const float *mean, const float *rstd,
                        float *scratch, size_t N, size_t D);

#endif
