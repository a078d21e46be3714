/* Counter-based and sequential random numbers, and shuffles that take no memory. */
#include "base/rng.h"

#include <math.h>

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio: the step of splitmix64 */

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014; constants of Stafford's variant 13): a bijection.
 */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t mf_rng_at(uint64_t key, uint64_t counter) {
    return mix(mix(counter + GOLDEN) + key);
}

uint64_t mf_rng_key(uint64_t seed, const char *purpose, uint64_t index) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *p = purpose; *p; p++) hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return mf_rng_at(mf_rng_at(seed, hash), index);
}

static uint64_t rotate(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

void mf_rng_seed(struct mf_rng *rng, uint64_t key) {
    for (int i = 0; i < 4; i++) rng->s[i] = mix(key += GOLDEN); /* four different inputs: never all zero */
}

uint64_t mf_rng_next(struct mf_rng *rng) {
    uint64_t *s = rng->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t mf_rng_below(struct mf_rng *rng, uint64_t n) {
    uint64_t surplus = -n % n, x; /* 2^64 mod n values would make the low ones likelier */
    do x = mf_rng_next(rng);
    while (x < surplus);
    return x % n;
}

double mf_rng_uniform(struct mf_rng *rng) {
    return (double)(mf_rng_next(rng) >> 11) * 0x1p-53;
}

double mf_rng_normal(struct mf_rng *rng) {
    double u, v, s;
    do {
        u = 2 * mf_rng_uniform(rng) - 1;
        v = 2 * mf_rng_uniform(rng) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * log(s) / s);
}

uint64_t mf_rng_permute(uint64_t key, uint64_t n, uint64_t index) {
    if (n <= 1) return 0;
    int half = 1; /* bits of each half: the network permutes [0, 4^half), at most four times n */
    while (half < 32 && ((n - 1) >> (2 * half)) != 0) half++;
    uint64_t mask = half == 32 ? UINT64_C(0xffffffff) : (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t next = left ^ (mf_rng_at(key + round * GOLDEN, right) & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= n);
    return index;
}
