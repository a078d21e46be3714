/* What a round of learning (bpe_rounds.c) and its counting of pairs (bpe_census.c) share. */
#ifndef MF_TEXT_BPE_ROUNDS_INTERNAL_H
#define MF_TEXT_BPE_ROUNDS_INTERNAL_H

#include "text/bpe.h"

/* The most frequent pairs of all words, by their order in learning. */
struct kept_pairs {
    struct mf_bpe_floor
        *order; /* [n + 1] the last one is the first that is not among them, or the floor of all */
    size_t n;
    struct mf_pair_map
        rank; /* of each pair from 1 on; 0: of those that were refused, which are never merged */
};
void kept_pairs_free(struct kept_pairs *kept);

struct census;

/* Counts pairs within `memory` bytes. */
int census_new(struct census **census, size_t memory, struct mf_err *err);
void census_free(struct census *census); /* accepts NULL */
int census_add(struct census *census, uint64_t pair, uint64_t count, struct mf_err *err);

/* The pairs before `floor` as far as memory goes. The census is used up. */
int census_keep(struct census *census, struct mf_bpe_floor floor, const struct mf_pair_map *refused,
                struct kept_pairs *kept, struct mf_err *err);

#endif
