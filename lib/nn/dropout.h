/* Dropout's masks, computed where they are needed and never stored. */
#ifndef MF_NN_DROPOUT_H
#define MF_NN_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#define DROPOUT_CHUNK ((size_t)256) /* the most elements of one call */

/* Element i is dropped when its half (low for an even i, high for an odd one) of mf_rng_at(key, i / 2) is
 * below p * 2^32. mask[j] = 0 or 1/(1-p) for the elements first + j, j < n <= DROPOUT_CHUNK; 0 <= p < 1. */
void dropout_mask(float *mask, float p, uint64_t key, uint64_t first, size_t n);

#endif
