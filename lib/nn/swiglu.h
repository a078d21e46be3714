/* The gated unit of Llama's FFN, forward and backward. */
#ifndef MF_NN_SWIGLU_H
#define MF_NN_SWIGLU_H

#include "nn/seqs.h"

/* y = silu(gate) * up, silu(u) = u / (1 + exp(-u)).
 *   y         [N,F]   out; may be gate or up where ld is F
 *   gate, up  [N,F]   in, both ld from row to row: two arrays (ld = F), or halves of one [N,2F] (ld = 2F)
 * Relative error below 6e-7 for |gate| <= 87, exact zeros for gate < -87.3. Shazeer 2020, eq. 5. */
void swiglu_forward(struct mf_pool *pool, float *y, const float *gate, const float *up, size_t ld, size_t N,
                    size_t F);

/* dgate = dy * up * silu'(gate), dup = dy * silu(gate), and once more y, which the gradient of the weights
 * behind it needs: so a training step keeps gate and up, and no third array.
 *   dgate, dup  [N,F]   out, ld from row to row; dgate may be gate, dup may be up
 *   y           [N,F]   out; may be dy; NULL: not made
 *   dy          [N,F]   in */
void swiglu_backward(struct mf_pool *pool, float *dgate, float *dup, float *y, const float *dy,
                     const float *gate, const float *up, size_t ld, size_t N, size_t F);

#endif
