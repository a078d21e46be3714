/* exp in fp32 as straight-line code, to be inlined into loops that the compiler vectorises. */
#ifndef MF_NN_EXP_H
#define MF_NN_EXP_H

#include <stdint.h>
#include <string.h>

/* exp(x), maximum error 2 ulp on [-87.3, 88.3]; 0 below, -infinity too; NaN for NaN. Not for x above: what is
 * taken an exponential of here is never positive but by a rounding.
 * Cody and Waite's reduction x = k ln 2 + r, |r| <= ln 2 / 2, then the polynomial 1 + r + ... + r^6 of least
 * relative error, 4.4e-9 with these coefficients: below fp32's rounding. */
static inline float fast_exp(float x) {
    /* adding 1.5 * 2^23 rounds to an integer, which the low bits then are: k + 127, the exponent of 2^k */
    float shifted = x * 1.44269504f + 12583039.0f;
    float k = shifted - 12583039.0f;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.38144672e-3f;
    p = p * r + 8.36878084e-3f;
    p = p * r + 4.16683927e-2f;
    p = p * r + 1.66665196e-1f;
    p = p * r + 0.49999994f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits <<= 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.3f ? 0.0f : p * power;
}

#endif
