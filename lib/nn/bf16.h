/* Products whose operands are rounded to bf16 and whose sums are in fp32: C = op(A) op(B), or added to C, by
 * oneDNN's matmul. With the processor's matrix units (AMX) they are several times as fast as sgemm.
 *
 * Operands are rounded block by block into memory that is set aside here, so no product needs more of it than
 * another, whatever its size. Rows go in blocks of 1024, 512, ... 32, then what is left, so that few kernels
 * serve any number of rows. Where oneDNN has no bf16
 * (processors without AVX-512) sgemm multiplies the rounded operands: the same products, no faster than those
 * in fp32. */
#ifndef MF_NN_BF16_H
#define MF_NN_BF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"

/* What this processor multiplies bf16 with, as oneDNN finds it (ONEDNN_MAX_CPU_ISA limits it). */
enum bf16_units { BF16_NONE, BF16_AVX512, BF16_AMX };
enum bf16_units bf16_units(void);

/* Do products in bf16 pay here? With AMX; with AVX512-BF16 where its dot product takes no longer than an fp32
 * multiplication of as many bytes: on AMD's processors, not on Intel's. */
bool bf16_pays(void);

struct bf16;

/* For a pool of so many threads. EX_OSERR. Freed by bf16_free. */
int bf16_new(struct bf16 **b, int n_threads, struct mf_err *err);
void bf16_free(struct bf16 *b); /* accepts NULL */

/* The bytes that it holds, its kernels included: an upper bound. */
size_t bf16_memory(int n_threads);

/* Can a weight's sides be so long? */
bool bf16_holds(size_t side);

/* Is a product with N rows and a weight [O,I] worth rounding? */
bool bf16_takes(size_t N, size_t O, size_t I, float beta);

/* The numbers of a weight as they are held: in F32 or in BF16 (nn/matmul.h takes both). */
struct weight {
    const float *rows; /* or NULL: */
    const uint16_t *narrow;
};

static inline struct weight weight_at(struct weight w, size_t n) {
    return w.rows ? (struct weight){w.rows + n, NULL} : (struct weight){NULL, w.narrow + n};
}

/* As nn/matmul.h; beta is 0 or 1. */
void bf16_forward(struct bf16 *b, struct mf_pool *pool, float *y, size_t ld_y, const float *x, size_t ld_x,
                  struct weight w, size_t ld_w, size_t N, size_t O, size_t I, float beta);
void bf16_backward_input(struct bf16 *b, struct mf_pool *pool, float *dx, size_t ld_dx, const float *dy,
                         size_t ld_dy, struct weight w, size_t ld_w, size_t N, size_t O, size_t I,
                         float beta);
void bf16_backward_weight(struct bf16 *b, struct mf_pool *pool, float *dw, size_t ld_dw, const float *dy,
                          size_t ld_dy, const float *x, size_t ld_x, size_t N, size_t O, size_t I);

#endif
