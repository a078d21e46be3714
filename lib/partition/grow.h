/* Growing a saved partitioning: more partitions, out of the documents it has not seen. */
#ifndef MF_PARTITION_GROW_H
#define MF_PARTITION_GROW_H

#include "partition/plan.h"

struct mf_growth {
    const struct mf_view *fresh; /* the documents that are not known yet */
    const char *name;            /* the stream's, for messages */
    const struct mf_plan_params *params;
    size_t memory; /* for sorting */
};

/* Gives the partitioning E partitions, more than it has. What it knew stays as it is: terms, centroids,
 * prices, and the places of its documents. The documents it has not seen make the new partitions: by k-means
 * among themselves, or at random; by domain each label without a partition makes one, and documents with a
 * known label get no place. EX_DATAERR: too few new documents, or another number of new labels. EX_USAGE: a
 * curriculum, whose partitions are ranges of difficulty. EX_OSERR. After a failure *p is to be freed.
 *   places  [fresh->n]  out  appended: 0 is the first new partition; or MF_NO_PARTITION */
int mf_partition_grow(struct mf_partition *p, size_t E, const struct mf_growth *growth,
                      struct mf_spill *places, struct mf_err *err);

#endif
