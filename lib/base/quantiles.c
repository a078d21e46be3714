/* A histogram of lengths. */
#include "base/quantiles.h"

#include <math.h>
#include <stddef.h>

#define STEPS ((uint64_t)1 << MF_QUANTILE_BITS)

/* Above 2 * STEPS: how far to the right the value moves until STEPS <= value < 2 * STEPS. */
static unsigned shift_of(uint64_t value) {
    unsigned shift = 0;
    while (value >> shift >= 2 * STEPS) shift++;
    return shift;
}

void mf_quantiles_add(struct mf_quantiles *q, uint64_t value) {
    unsigned shift = shift_of(value);
    q->count++;
    q->buckets[shift * STEPS + (value >> shift)]++;
}

uint64_t mf_quantiles_at(const struct mf_quantiles *q, double p) {
    uint64_t rank = (uint64_t)ceil(p * (double)q->count), seen = 0;
    if (rank < 1) rank = 1;
    for (size_t i = 0; i < MF_QUANTILE_BUCKETS; i++) {
        seen += q->buckets[i];
        if (seen < rank) continue;
        if (i < 2 * STEPS) return i;
        unsigned shift = (unsigned)(i / STEPS - 1);
        return ((STEPS + i % STEPS) << shift) + ((uint64_t)1 << shift) / 2;
    }
    return 0;
}
