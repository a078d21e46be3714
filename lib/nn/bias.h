/* A bias of a product (those of queries, keys and values in some bases), forward and backward. */
#ifndef MF_NN_BIAS_H
#define MF_NN_BIAS_H

#include "nn/seqs.h"

/* y [N,O] = bias [O] in every row, for a product with beta 1 to add to. */
void bias_forward(struct mf_pool *pool, float *y, const float *bias, size_t N, size_t O);

/* dbias [O] += column sums of dy [N,O], each in row order for any number of threads; NULL: frozen. */
void bias_backward(struct mf_pool *pool, float *dbias, const float *dy, size_t N, size_t O);

#endif
