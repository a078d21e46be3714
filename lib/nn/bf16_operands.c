/* Operands of products in bf16: rounded for oneDNN's kernels, or as floats for sgemm. */
#include "nn/bf16_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <stdint.h>
#include "io/tensor.h"

/* To the nearest number that bf16 has, as a float. */
static void round_floats(float *to, const float *from, size_t n) {
    uint16_t halves[1024];
    for (size_t i = 0, part; i < n; i += part) {
        part = n - i < 1024 ? n - i : 1024;
        mf_bf16_round(halves, from + i, part);
        mf_bf16_widen(to + i, halves, part);
    }
}

/* As mf_bf16_round, but numbers below 2^-126, which its units take as 0, become 0. */
#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bf16"))) static void round_by_units(uint16_t *to, const float *from,
                                                                         size_t n) {
    size_t i = 0;
    for (; n - i >= 32; i += 32) {
        __m512 low = _mm512_loadu_ps(from + i), high = _mm512_loadu_ps(from + i + 16);
        _mm512_storeu_si512(to + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    mf_bf16_round(to + i, from + i, n - i);
}
#else
#define round_by_units mf_bf16_round
#endif

void bf16_load(const struct bf16_kernels *k, void *to, const float *from, size_t ld, size_t rows, size_t n) {
    bool floats = bf16_number(k) == sizeof(float);
    for (size_t r = 0; r < rows; r++)
        if (floats)
            round_floats((float *)to + r * n, from + r * ld, n);
        else
            round_by_units((uint16_t *)to + r * n, from + r * ld, n);
}
