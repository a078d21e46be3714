/* A change of low rank to a matrix w [O,I]: w + scale b a, with a [R,I] and b [O,R] (Hu et al. 2021, "LoRA:
 * Low-rank adaptation of large language models", section 4.1). The sum is not made: rows meet a, then b,
 * which is 2 N R (I + O) operations beside the 2 N I O of w, and w needs no gradient.
 *
 * A block of w's rows is one of b's rows; a block of its columns is one of a's, whose rows are ld_a apart.
 * Products of the blocks add up to that of the whole. u [N,R] is scratch; nothing is kept from forward
 * to backward. */
#ifndef MF_NN_LOW_RANK_H
#define MF_NN_LOW_RANK_H

#include "nn/matmul.h"

struct low_rank {
    const float *a, *b; /* [R,I], [O,R] */
    size_t ld_a;        /* at least I */
    size_t R, O, I;
    float scale;
};

/* y [N,O] += scale (x [N,I] a^T) b^T; rows of y and x are ld_y and ld_x apart, here as below */
void low_rank_forward(struct products how, float *y, size_t ld_y, const float *x, size_t ld_x,
                      const struct low_rank *w, size_t N, float *u);

/* du [N,R] = scale dy [N,O] b, the gradient between the two, which both of these ask for */
void low_rank_backward_inside(struct products how, float *du, const float *dy, size_t ld_dy,
                              const struct low_rank *w, size_t N);

/* dx [N,I] += du a */
void low_rank_backward_input(struct products how, float *dx, size_t ld_dx, const float *du,
                             const struct low_rank *w, size_t N);

/* db [O,R] += scale dy^T (x a^T);  da [R,I], rows ld_a apart, += du^T x */
void low_rank_backward_weight(struct products how, float *da, float *db, const float *dy, size_t ld_dy,
                              const float *x, size_t ld_x, const float *du, const struct low_rank *w,
                              size_t N, float *u);

/* The sum itself, by one thread: w, the numbers [first, first + count) of a matrix [O,I], += those of scale b
 * a. They are the same whatever others are asked for. */
void low_rank_add(float *w, size_t first, size_t count, const struct low_rank *change);

#endif
