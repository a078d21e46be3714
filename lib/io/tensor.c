/* Sizes and names of tensors and their number formats. */
#include "io/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/simd.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[MF_F32] = {"F32", 4}, [MF_BF16] = {"BF16", 2}, [MF_F16] = {"F16", 2}, [MF_I64] = {"I64", 8}};

size_t mf_dtype_size(enum mf_dtype dtype) {
    return dtypes[dtype].size;
}

const char *mf_tensor_name_of(const void *tensors, size_t i) {
    return ((const struct mf_tensor *)tensors)[i].name;
}

const char *mf_dtype_name(enum mf_dtype dtype) {
    return dtypes[dtype].name;
}

int mf_dtype_parse(const char *name, enum mf_dtype *dtype) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        *dtype = (enum mf_dtype)i;
        return 0;
    }
    return -1;
}

size_t mf_tensor_count(const struct mf_tensor *t) {
    size_t count = 1;
    for (int i = 0; i < t->n_dims; i++) count *= t->shape[i];
    return count;
}

size_t mf_tensor_bytes(const struct mf_tensor *t) {
    return mf_tensor_count(t) * mf_dtype_size(t->dtype);
}

int mf_tensor_check(const struct mf_tensor *t) {
    size_t bytes = mf_dtype_size(t->dtype);
    for (int i = 0; i < t->n_dims; i++) {
        size_t dim = t->shape[i] ? t->shape[i] : 1; /* a zero must not hide an overflow beside it */
        if (__builtin_mul_overflow(bytes, dim, &bytes) || bytes > (size_t)INT64_MAX) return -1;
    }
    return 0;
}

const char *mf_tensor_shape(const struct mf_tensor *t, char text[64]) {
    size_t n = (size_t)snprintf(text, 64, "[");
    for (int i = 0; i < t->n_dims && n < 64; i++)
        n += (size_t)snprintf(text + n, 64 - n, "%s%zu", i ? "," : "", t->shape[i]);
    if (n < 64) snprintf(text + n, 64 - n, "]");
    return text;
}

MF_CLONES void mf_bf16_round(uint16_t *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        to[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
    }
}

MF_CLONES void mf_bf16_widen(float *to, const uint16_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

/* Below 2^-14 F16 counts in steps of 2^-24, as a float does between 0.5 and 1: adding 0.5 rounds to them. */
static uint16_t round_small(float magnitude) {
    float shifted = magnitude + 0.5f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return (uint16_t)(bits - 0x3f000000);
}

void mf_f16_round(uint16_t *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(from[i]);
        uint32_t bits, sign = signbit(from[i]) ? 0x8000 : 0;
        memcpy(&bits, &magnitude, sizeof bits);
        uint32_t half = (bits + 0xfff + (bits >> 13 & 1) - 0x38000000) >> 13;
        if (bits < 0x38800000) half = round_small(magnitude);
        if (bits >= 0x477ff000) half = 0x7c00;
        if (bits > 0x7f800000) half = 0x7e00;
        to[i] = (uint16_t)(sign | half);
    }
}

void mf_f16_widen(float *to, const uint16_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t half = from[i] & 0x7fff, bits = (half << 13) + 0x38000000;
        if (half >= 0x7c00) bits += 0x38000000; /* infinite, or a NaN */
        memcpy(&to[i], &bits, sizeof bits);
        if (half < 0x400) to[i] = (float)half * 0x1p-24f;
        if (from[i] & 0x8000) to[i] = -to[i];
    }
}

void mf_widen(float *to, const void *from, size_t n, enum mf_dtype dtype) {
    if (n == 0) return;
    if (dtype == MF_F32) memcpy(to, from, n * sizeof *to);
    if (dtype == MF_BF16) mf_bf16_widen(to, from, n);
    if (dtype == MF_F16) mf_f16_widen(to, from, n);
}

bool mf_finite(const float *x, size_t n) {
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) { /* without a branch, so that it is as fast as memory */
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !bad;
}

/* The exponents of halves have all bits where they are not finite. */
static bool finite_halves(const void *x, size_t n, uint16_t exponent) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, (const char *)x + i * sizeof bits, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return !bad;
}

bool mf_finite_stored(const void *x, size_t n, enum mf_dtype dtype) {
    return dtype == MF_F32 ? mf_finite(x, n) : finite_halves(x, n, dtype == MF_BF16 ? 0x7f80 : 0x7c00);
}
