/* Overlap: documents that a partition takes from others, the nearest ones, chosen by sorting on disk. */
#ifndef MF_PARTITION_OVERLAP_H
#define MF_PARTITION_OVERLAP_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_overlap;

/* memory: bytes for sorting. Freed by mf_overlap_free. EX_OSERR. */
int mf_overlap_new(struct mf_overlap **overlap, size_t memory, struct mf_err *err);
void mf_overlap_free(struct mf_overlap *overlap); /* accepts NULL */

/* Offers a document to a partition that is not its own. EX_IOERR, EX_CANTCREAT, EX_OSERR. */
int mf_overlap_offer(struct mf_overlap *overlap, size_t document, size_t partition, float score,
                     uint32_t tokens, struct mf_err *err);

/* Each partition takes what it was offered with the largest score, ties to the earlier document, until that
 * is `share` times its own tokens [E] (the last may go over). */
int mf_overlap_choose(struct mf_overlap *overlap, const uint64_t *own, double share, struct mf_err *err);

/* Begins to read what was chosen; then the partitions [*n] that took a document, ascending, for documents in
 * ascending order. list [E] */
int mf_overlap_begin(struct mf_overlap *overlap, struct mf_err *err);
int mf_overlap_next(struct mf_overlap *overlap, size_t document, uint16_t *list, size_t *n,
                    struct mf_err *err);

#endif
