/* Quantiles of any number of lengths in fixed memory (30 KB): a histogram whose buckets grow with the values.
 *
 * Values below 128 have a bucket each; from there on each power of two is divided into 64 equal ones. A
 * quantile is the middle of its bucket: exact below 128, else within 1/128 (0.8%) of a value of that rank.
 * The result does not depend on the order of adding. */
#ifndef MF_BASE_QUANTILES_H
#define MF_BASE_QUANTILES_H

#include <stdint.h>

#define MF_QUANTILE_BITS    6
#define MF_QUANTILE_BUCKETS ((65 - MF_QUANTILE_BITS) << MF_QUANTILE_BITS)

/* A zeroed struct is empty. */
struct mf_quantiles {
    uint64_t count, buckets[MF_QUANTILE_BUCKETS];
};

void mf_quantiles_add(struct mf_quantiles *quantiles, uint64_t value);

/* The value of rank ceil(p * count), at least the first: p 0.5 is the median. 0 when empty. */
uint64_t mf_quantiles_at(const struct mf_quantiles *quantiles, double p);

#endif
