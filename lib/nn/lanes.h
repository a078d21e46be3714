/* Sums in fp32 in many lanes, as straight-line code, to be inlined into loops that the compiler vectorises.
 */
#ifndef MF_NN_LANES_H
#define MF_NN_LANES_H

#include <stddef.h>
#include "base/simd.h"

/* Lanes of four registers: sums do not wait for each other. */
#define LANES 64

/* The lanes added up in pairs, lane 0 with lane LANES/2 first; the lanes are used up. */
MF_INLINE float lanes_sum(float lanes[LANES]) {
    for (size_t k = LANES / 2; k > 0; k /= 2)
        for (size_t j = 0; j < k; j++) lanes[j] += lanes[j + k];
    return lanes[0];
}

#endif
