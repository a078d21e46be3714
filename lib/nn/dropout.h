/* The mask of dropout for two neighbouring elements, computed where it is needed. */
#ifndef MF_NN_DROPOUT_H
#define MF_NN_DROPOUT_H

#include <stdint.h>
#include "base/rng.h"

struct dropout {
    uint64_t key, threshold; /* an element is dropped when its 32 bits are below the threshold */
    float scale;             /* of the others */
};

static inline struct dropout dropout_of(float p, uint64_t key) {
    return (struct dropout){key, (uint64_t)((double)p * 4294967296.0), 1 / (1 - p)};
}

/* y[i] = x[i] * mask(first + i) for i < n; with p = 0 a copy. `first` is the index in the whole array. */
static inline void dropout_row(float *y, const float *x, const struct dropout *d, uint64_t first,
                               uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = first + i;
        uint32_t bits = (uint32_t)(mf_rng_at(d->key, at / 2) >> (32 * (at & 1)));
        y[i] = bits < d->threshold ? 0 : x[i] * d->scale;
    }
}

#endif
