/* What bf16.c (which blocks are multiplied), bf16_operands.c (how their numbers are rounded) and
 * bf16_kernels.c (how one block is multiplied) share. */
#ifndef MF_NN_BF16_INTERNAL_H
#define MF_NN_BF16_INTERNAL_H

#include "nn/bf16.h"

/* c [M,N] = op(a) op(b), or added to c. Stored a is [M,K], or [K,M] with turn_a; b is [K,N], or [N,K] with
 * turn_b. a has no gaps; rows of b and c are ld_b and ld_c apart. */
struct bf16_shape {
    size_t M, N, K, ld_b, ld_c;
    bool turn_a, turn_b, add;
};

struct bf16_kernels;

/* The kernels, and a thread's own memory for operands, which no call keeps. */
struct bf16_kernels *bf16_kernels(const struct bf16 *b);
void *bf16_own(const struct bf16 *b, int thread);
size_t bf16_own_bytes(const struct bf16 *b);

int bf16_kernels_new(struct bf16_kernels **k, int n_threads, struct mf_err *err);
void bf16_kernels_free(struct bf16_kernels *k); /* accepts NULL */

/* The size of an operand's number: 2, or 4 where sgemm multiplies. */
size_t bf16_number(const struct bf16_kernels *k);

/* Rounds `rows` rows of n floats, ld apart, and leaves them without gaps. */
void bf16_load(const struct bf16_kernels *k, void *to, const float *from, size_t ld, size_t rows, size_t n);

/* Multiplies loaded operands, in thread `thread`. */
void bf16_multiply(struct bf16_kernels *k, const struct bf16_shape *shape, float *c, const void *a,
                   const void *b, int thread);

#endif
