/* Matrix products with a weight w [O,I] as the frameworks store it, split over the pool's threads; each part
 * is one single-threaded OpenBLAS sgemm. y = x w^T needs rows of x and of w: large N splits over N, small N
 * over O. */
#ifndef MF_NN_MATMUL_H
#define MF_NN_MATMUL_H

#include "nn/seqs.h"

/* Sets OpenBLAS to one thread a call, since the pool does the splitting. Once per process, before any
 * product. */
void matmul_setup(void);

/* y [N,O] = x [N,I] w^T + beta * y */
void matmul_forward(struct mf_pool *pool, float *y, const float *x, const float *w, size_t N, size_t O,
                    size_t I, float beta);

/* The same for some of y's columns: y is O columns of rows that are `stride` apart. */
void matmul_forward_columns(struct mf_pool *pool, float *y, size_t stride, const float *x, const float *w,
                            size_t N, size_t O, size_t I);

/* dx [N,I] = dy [N,O] w + beta * dx */
void matmul_backward_input(struct mf_pool *pool, float *dx, const float *dy, const float *w, size_t N,
                           size_t O, size_t I, float beta);

/* The same from some of dy's columns, as above. */
void matmul_backward_input_columns(struct mf_pool *pool, float *dx, const float *dy, size_t stride,
                                   const float *w, size_t N, size_t O, size_t I, float beta);

/* dw [O,I] += dy^T x, split over O */
void matmul_backward_weight(struct mf_pool *pool, float *dw, const float *dy, const float *x, size_t N,
                            size_t O, size_t I);

#endif
