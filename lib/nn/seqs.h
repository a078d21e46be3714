/* Rows that belong together: N rows packed without padding into sequences, each with its own positions 0, 1,
 * 2, ...
 *
 * Conventions of all kernels in this folder: arrays are row-major fp32; the letters N rows, D d_model, H
 * heads, K key heads, F d_ff, V vocabulary, S longest sequence; `pool` splits the work, and the same number
 * of threads gives the same bytes. A forward overwrites its outputs. A backward ADDS into parameter gradients
 * (skipped where the pointer is NULL: frozen) and OVERWRITES activation gradients unless it says otherwise.
 */
#ifndef MF_NN_SEQS_H
#define MF_NN_SEQS_H

#include <stddef.h>
#include "base/pool.h"

struct seqs {
    size_t count;        /* sequences */
    const size_t *start; /* [count+1]: rows start[i] .. start[i+1]-1 are sequence i; start[count] = N */
};

static inline size_t seqs_rows(const struct seqs *seqs) {
    return seqs->start[seqs->count];
}

/* The sequence that row n lies in: the last one that starts at or before it. */
static inline size_t seqs_find(const struct seqs *seqs, size_t n) {
    size_t low = 0, high = seqs->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (seqs->start[middle] <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

#endif
