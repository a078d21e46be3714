/* exp in fp32 as straight-line code, to be inlined into loops that the compiler vectorises. */
#ifndef MF_NN_EXP_H
#define MF_NN_EXP_H

#include <stdint.h>
#include <string.h>

/* exp(x), maximum error 2 ulp on [-87.3, 88.3]; 0 below, its value at 88.3 above, NaN for NaN.
 * Cody and Waite's reduction x = k ln 2 + r, |r| <= ln 2 / 2, then the Taylor polynomial of degree 7
 * (relative error 4e-9, below fp32's rounding). */
static inline float fast_exp(float x) {
    float clipped = x < -87.3f ? -87.3f : x > 88.3f ? 88.3f : x;
    float shifted = clipped * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer */
    float k = shifted - 12582912.0f;
    float r = (clipped - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits; /* the low bits of `shifted` are k; not converted from k, which may be NaN */
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.3f ? 0.0f : p * power;
}

#endif
