/* How well partitions agree with labels. */
#ifndef MF_PARTITION_NMI_H
#define MF_PARTITION_NMI_H

#include <stddef.h>
#include <stdint.h>

#define MF_NO_LABEL 65535

/* Normalised mutual information of two labellings, counts [E,L] of items: I / sqrt(H_rows * H_columns), in
 * [0, 1]. 1 when both have a single class; 0 when only one has, or when nothing was counted. */
double mf_nmi(const uint64_t *counts, size_t E, size_t L);

/* The share of the most frequent label in one row of counts [L], and which it is; 0 for an empty row. */
double mf_purity(const uint64_t *counts, size_t L, size_t *label);

#endif
