/* A table of rotary positions. */
#ifndef TESTS_ROPE_TABLE_H
#define TESTS_ROPE_TABLE_H

#include "nn.h"
#include "nn/rope.h"

/* A table of the first `positions`. */
static inline float *make_table(size_t positions, size_t d, double theta) {
    double *frequencies = calloc(d / 2 + 1, sizeof *frequencies);
    float *table = make_poison(positions * d);
    rope_frequencies(frequencies, d, theta);
    rope_fill(table, frequencies, 0, positions, d);
    free(frequencies);
    return table;
}

#endif
