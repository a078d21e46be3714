/* Products of packed operands that lie in a core's cache: what attention does too often, and in pieces too
 * small, for a call of sgemm. One thread, no pool. */
#ifndef MF_NN_SMALL_PRODUCT_H
#define MF_NN_SMALL_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#define SMALL_ROWS    ((size_t)8)
#define SMALL_COLUMNS ((size_t)16)

/* c [M,N] = a b, added to what is there where `adds`.
 *   M, N       multiples of SMALL_ROWS and SMALL_COLUMNS
 *   a  [M,K]   element (m, k) at a[m * step_m + k * step_k]: a matrix or a transposed one
 *   b  [K,N], c [M,N]   rows ld_b and ld_c apart
 * An element's sum over k is taken in the order of k, in fp32. */
struct small_product {
    float *c;
    const float *a, *b;
    size_t M, N, K, step_m, step_k, ld_b, ld_c;
    bool adds;
};

void small_product(const struct small_product *p);

#endif
