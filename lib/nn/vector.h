/* Loops over flat arrays, with versions for newer processors chosen when the program is loaded. Used inside
 * jobs: one thread, no pool. */
#ifndef MF_NN_VECTOR_H
#define MF_NN_VECTOR_H

#include <stddef.h>

/* y[i] = exp(x[i] + shift), maximum error 2 ulp, 0 below -87.3; x[i] + shift <= 88. Returns the sum of y:
 * blocks in fp32 lanes, added up in double; the order is fixed by n alone. y may be x. */
double vector_exp(float *y, const float *x, float shift, size_t n);

float vector_max(const float *x, size_t n); /* n >= 1 */
double vector_dot(const float *x, const float *y, size_t n);

/* y[r] = w[r] . x + beta * y[r] for `rows` rows of w [rows,n], `ld` apart: the product of generation, as fast
 * as memory gives w. Sums in fp32 in 64 lanes, the same for a row whatever other rows are asked for; with
 * beta 0, y is not read. */
void vector_rows(float *y, const float *w, size_t ld, const float *x, size_t rows, size_t n, float beta);
void vector_scale(float *x, float a, size_t n);
void vector_add(float *y, const float *x, float a, size_t n); /* y += a x */
void softmax(float *x, size_t n);                             /* in place, in fp32 with a double sum */

#endif
