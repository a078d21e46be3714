/* Rates by tokens, choice by a hash of each document. */
#include "partition/general.h"

#include <math.h>
#include "base/rng.h"

void mf_general_set(struct mf_partition *p) {
    double total = 0;
    for (size_t e = 0; e < p->E; e++) total += (double)p->n_tokens[e];
    for (size_t e = 0; e < p->E && p->general > 0; e++) {
        double own = (double)p->n_tokens[e];
        if (p->origins[e] > 0) continue;
        p->origins[e] = p->E;
        p->rates[e] = own < total ? fmin(1, p->general * own / (total - own)) : 0;
    }
}

bool mf_general_takes(const struct mf_partition *p, size_t e, size_t own, uint64_t fingerprint) {
    if (e == own || own >= p->origins[e]) return false;
    uint64_t drawn = mf_rng_at(mf_rng_key(p->seed, "general", e), fingerprint);
    return (double)(drawn >> 11) * 0x1p-53 < p->rates[e];
}
