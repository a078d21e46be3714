/* Token embedding plus sinusoidal positions, with dropout; forward and backward. */
#ifndef MF_NN_EMBEDDING_H
#define MF_NN_EMBEDDING_H

#include <stdint.h>
#include "nn/dropout.h"
#include "nn/seqs.h"

/* The positions first .. first+count-1, pe [count,D]: of position s the columns 2j and 2j+1 are scale * sin(s
 * w_j) and scale * cos(s w_j), w_j = exp(2j * -ln(10000)/D), computed in double (for an odd D the last column
 * is a sine). Vaswani et al. 2017, section 3.5, where the scale is 1. */
void positions_fill(float *pe, size_t first, size_t count, size_t D, double scale);

/* x[n,:] = dropout(table[tokens[n],:] + pe[position of row n in its sequence,:])
 *   x [N,D] out, tokens [N] in (each below V; the caller has checked), table [V,D], pe [S,D]
 * or NULL: no positions are added (rope.h turns instead) */
void embedding_forward(struct mf_pool *pool, float *x, const uint32_t *tokens, const struct seqs *seqs,
                       const float *table, const float *pe, struct dropout dropout, size_t D);

/* dtable[tokens[n],:] += mask/(1-p) * dx[n,:], except for the token `pad` (-1: none), whose row stays zero.
 * Split over columns, so that the sum over rows is in row order for any number of threads. */
void embedding_backward(struct mf_pool *pool, float *dtable, const float *dx, const uint32_t *tokens,
                        const struct seqs *seqs, struct dropout dropout, int64_t pad, size_t D);

#endif
