/* Loops over flat arrays, with versions for newer processors chosen when the program is loaded. Used inside
 * jobs: one thread, no pool. */
#ifndef MF_NN_VECTOR_H
#define MF_NN_VECTOR_H

#include <stddef.h>

/* y[i] = exp(x[i] + shift), maximum error 2 ulp, 0 below -87.3, never NaN for finite input; returns the sum
 * of y in double (four interleaved partial sums: the order is fixed by n alone). y may be x. */
double vector_exp(float *y, const float *x, float shift, size_t n);

float vector_max(const float *x, size_t n); /* n >= 1 */
double vector_dot(const float *x, const float *y, size_t n);
void vector_scale(float *x, float a, size_t n);
void vector_add(float *y, const float *x, float a, size_t n); /* y += a x */
void softmax(float *x, size_t n);                             /* in place, in fp32 with a double sum */

#endif
