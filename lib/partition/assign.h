/* Documents to partitions of bounded size: the highest score, where it fits. */
#ifndef MF_PARTITION_ASSIGN_H
#define MF_PARTITION_ASSIGN_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Gives each of n documents to one of E partitions so that the sum of scores is large and each partition is
 * within capacity: without its least fitting document it holds fewer than `capacity` tokens. With capacity >=
 * total / E that can always be met. No partition stays empty (n >= E).
 *   scores     [n,E]  in
 *   tokens     [n]    in   weight of each document
 *   partition  [n]    out
 *   prices     [E]    out  the smallest is 0; a document not at a border is where score - price is largest
 * A partition that is too full raises its price until its least attached documents prefer another (the dual
 * of the transport problem; Bertsekas 1988); a rest of ties is placed greedily. Ties go to the lower
 * partition and to the earlier document, so the result follows from the inputs alone. EX_OSERR. */
int mf_assign_balanced(const float *scores, const uint32_t *tokens, size_t n, size_t E, double capacity,
                       uint16_t *partition, double *prices, struct mf_err *err);

/* The partition with the largest score - price; ties go to the lower one. */
size_t mf_assign_nearest(const float *scores, const double *prices, size_t E);

#endif
