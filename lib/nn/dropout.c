/* Dropout's masks: mf_rng_at for many counters at once. */
#include "nn/dropout.h"

#include <string.h>
#include "base/simd.h"

#define PAIRS (DROPOUT_CHUNK / 2 + 1) /* a range may begin and end in the middle of a pair */

/* The mixer of base/rng.c, here so that it is inlined and vectorised; a test compares the two. */
static inline uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

MF_CLONES static void dropout_hash(uint64_t *hash, uint64_t key, uint64_t first, size_t n) {
    for (size_t i = 0; i < n; i++) hash[i] = mix(mix(first + i + UINT64_C(0x9e3779b97f4a7c15)) + key);
}

MF_CLONES static void dropout_compare(float *mask, const uint32_t *bits, uint32_t limit, float kept,
                                      size_t n) {
    for (size_t i = 0; i < n; i++) mask[i] = bits[i] < limit ? 0.0f : kept;
}

void dropout_mask(float *mask, float p, uint64_t key, uint64_t first, size_t n) {
    uint64_t pairs[PAIRS];
    uint32_t halves[2 * PAIRS];
    size_t skip = first % 2, count = (skip + n + 1) / 2;
    dropout_hash(pairs, key, first / 2, count);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count; i++) pairs[i] = pairs[i] << 32 | pairs[i] >> 32;
#endif
    /* copied: reading the pairs through another type in place would break C's aliasing rules */
    memcpy(halves, pairs, count * sizeof *pairs);
    dropout_compare(mask, halves + skip, (uint32_t)((double)p * 0x1p32), 1.0f / (1.0f - p), n);
}
