/* Matrix products with a weight w [O,I] as the frameworks store it, split over the pool's threads; each part
 * is one single-threaded OpenBLAS sgemm, or goes through nn/bf16.h. y = x w^T needs rows of x and of w: large
 * N splits over N, small N over O. */
#ifndef MF_NN_MATMUL_H
#define MF_NN_MATMUL_H

#include "nn/bf16.h"
#include "nn/seqs.h"

/* How products are made: by these threads, and where that is worth it with operands rounded to bf16. */
struct products {
    struct mf_pool *pool;
    struct bf16 *bf16; /* NULL: all in fp32 */
    size_t block;   /* in fp32: numbers of a weight that matmul_*_weight multiply at once, at least a row; 0:
                       all */
    float *widened; /* [block] where weights are in BF16, or NULL */
};

static inline struct products products_fp32(struct mf_pool *pool) {
    return (struct products){pool, NULL, 0, NULL};
}

/* Sets OpenBLAS to one thread a call, since the pool does the splitting. Once per process, before any
 * product. */
void matmul_setup(void);

/* y [N,O] = x [N,I] w^T + beta * y */
void matmul_forward(struct products how, float *y, const float *x, const float *w, size_t N, size_t O,
                    size_t I, float beta);

/* dx [N,I] = dy [N,O] w + beta * dx */
void matmul_backward_input(struct products how, float *dx, const float *dy, const float *w, size_t N,
                           size_t O, size_t I, float beta);

/* dw [O,I] += dy^T x, split over O */
void matmul_backward_weight(struct products how, float *dw, const float *dy, const float *x, size_t N,
                            size_t O, size_t I);

/* The same of blocks inside larger matrices: ld is the step from row to row of the matrix before it. */
void matmul_forward_block(struct products how, float *y, size_t ld_y, const float *x, size_t ld_x,
                          const float *w, size_t ld_w, size_t N, size_t O, size_t I, float beta);
void matmul_backward_input_block(struct products how, float *dx, size_t ld_dx, const float *dy, size_t ld_dy,
                                 const float *w, size_t ld_w, size_t N, size_t O, size_t I, float beta);
void matmul_backward_weight_block(struct products how, float *dw, size_t ld_dw, const float *dy, size_t ld_dy,
                                  const float *x, size_t ld_x, size_t N, size_t O, size_t I);

/* The first two with a weight as it is held, block by block: in F32 or in BF16, the same numbers give the
 * same bytes in fp32. */
void matmul_forward_weight(struct products how, float *y, size_t ld_y, const float *x, size_t ld_x,
                           struct weight w, size_t ld_w, size_t N, size_t O, size_t I, float beta);
void matmul_backward_input_weight(struct products how, float *dx, size_t ld_dx, const float *dy, size_t ld_dy,
                                  struct weight w, size_t ld_w, size_t N, size_t O, size_t I, float beta);

#endif
