/* Dropout's masks, computed where they are needed and never stored. */
#ifndef MF_NN_DROPOUT_H
#define MF_NN_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#define DROPOUT_CHUNK ((size_t)256) /* the most elements of one call */

/* Dropout of rows [N,D]: inverted (the elements that are kept are scaled by 1/(1-p)), p = 0 drops nothing.
 * The masks are a function of the key and of where an element is: element i stands for element `first` + i,
 * so that a part of a batch is treated as it is within the whole. Srivastava et al. 2014. */
struct dropout {
    float p;
    uint64_t key;
    size_t first;
};

/* Element i is dropped when its half (low for an even i, high for an odd one) of mf_rng_at(key, i / 2) is
 * below p * 2^32. mask[j] = 0 or 1/(1-p) for the elements first + j, j < n <= DROPOUT_CHUNK; 0 <= p < 1. */
void dropout_mask(float *mask, float p, uint64_t key, uint64_t first, size_t n);

#endif
