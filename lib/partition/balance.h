/* Balance among the nearest few partitions of each document, in fixed memory. */
#ifndef MF_PARTITION_BALANCE_H
#define MF_PARTITION_BALANCE_H

#include "partition/near.h"

/* A document on disk with its nearest partitions. */
struct mf_candidates {
    uint32_t tokens;
    uint16_t count; /* of them, at least 1 */
    uint16_t partition[MF_NEAREST];
    float score[MF_NEAREST];
};
int mf_candidates_add(struct mf_spill *candidates, uint32_t tokens, const struct mf_near *near, size_t n,
                      struct mf_err *err);

/* Gives each of n documents (n >= E) to a partition of its candidates, by the largest score - price, so that
 * each partition is within capacity: without its last document it holds fewer than `capacity` tokens, which
 * with capacity >= total / E can always be met. No partition stays empty.
 *
 * Prices are found in at most 24 passes over the candidates: a partition that is too full raises its price by
 * as much as sends the tokens that are too many to their next best candidates, by a histogram of what that
 * costs (the dual of the transport problem, all partitions at once; Bertsekas 1988). Then documents are
 * placed in their order. One that finds its best partition full goes to the next best, and where all its
 * candidates are full, to the first partition with room. So do the last documents where partitions are empty
 * still.
 *   candidates  [n]  in      struct mf_candidates
 *   prices      [E]  in/out  the smallest is 0
 *   places      [n]  out     appended
 * EX_IOERR, EX_CANTCREAT, EX_OSERR. */
int mf_balance(const struct mf_spill *candidates, size_t n, size_t E, double capacity, double *prices,
               struct mf_spill *places, struct mf_err *err);

#define MF_BALANCE_BINS 256
size_t mf_balance_memory(size_t E);

#endif
