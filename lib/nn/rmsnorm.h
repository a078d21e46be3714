/* Root-mean-square normalisation, forward and backward: of whole rows, and of the heads of a row. */
#ifndef MF_NN_RMSNORM_H
#define MF_NN_RMSNORM_H

#include "nn/seqs.h"

/* Row-wise: y = x * rstd * gain, rstd = 1 / sqrt(mean(x^2) + eps).
 *   x, y  [N,D]   in, out (may be the same array)
 *   gain  [D]     in; NULL: plain normalisation
 *   rstd  [N]     out, kept for rmsnorm_backward; may be NULL
 * Zhang and Sennrich 2019, eq. 4, with eps as in Llama. */
void rmsnorm_forward(struct mf_pool *pool, float *y, float *rstd, const float *x, const float *gain,
                     float eps, size_t N, size_t D);

/* Backward of the above. ADDS into dx (the residual stream's gradient passes by on the same array).
 *   dx       [N,D]   in, out
 *   dgain    [D]     in, out; NULL when frozen
 *   dy       [N,D]   in
 *   scratch  [n_threads, D], used with dgain only */
void rmsnorm_backward(struct mf_pool *pool, float *dx, float *dgain, const float *dy, const float *x,
                      const float *gain, const float *rstd, float *scratch, size_t N, size_t D);

/* The same of each head by itself: H heads of d columns, side by side in the first columns of rows that are
 * ld apart (the norms of queries and of keys inside [N,(H+2K) d], the base pointer moved to the first head).
 *   x, y  [N,H d]   in, out, ld_x and ld_y from row to row (may be the same array)
 *   gain  [d]       in, one for all heads; NULL: plain normalisation
 *   rstd  [N,H]     out, kept for rmsnorm_heads_backward; may be NULL */
void rmsnorm_heads_forward(struct mf_pool *pool, float *y, size_t ld_y, float *rstd, const float *x,
                           size_t ld_x, const float *gain, float eps, size_t N, size_t H, size_t d);

/* Backward of the above. OVERWRITES dx, which may be dy.
 *   dgain    [d]     in, out; NULL when frozen
 *   scratch  [n_threads, d], used with dgain only */
void rmsnorm_heads_backward(struct mf_pool *pool, float *dx, size_t ld_dx, float *dgain, const float *dy,
                            size_t ld_dy, const float *x, size_t ld_x, const float *gain, const float *rstd,
                            float *scratch, size_t N, size_t H, size_t d);

#endif
