/* Growing a saved partitioning: more partitions, out of the documents it has not seen. */
#ifndef MF_PARTITION_GROW_H
#define MF_PARTITION_GROW_H

#include "base/pool.h"
#include "partition/corpus.h"
#include "partition/saved.h"
#include "partition/sketch.h"

struct mf_growth {
    const struct mf_corpus *corpus;     /* all documents of the stream, known ones too */
    const struct mf_sketches *sketches; /* under the saved terms, one for each */
    const char *name;                   /* the stream's, for messages */
    int64_t restarts, iterations;       /* of k-means among the new documents */
    struct mf_pool *pool;
};

/* Gives the partitioning E partitions, more than it has. What it knew stays as it is: terms, centroids,
 * prices, and the places of its documents. The documents it has not seen make the new partitions and are
 * known from then on: by k-means among themselves, or at random; by domain each label without a partition
 * makes one, and documents with a known label are left to mf_partition_place. EX_DATAERR: too few
 * new documents, or another number of new labels. EX_USAGE: a curriculum, whose partitions are ranges of
 * difficulty. EX_OSERR. After a failure *p is to be freed. */
int mf_partition_grow(struct mf_partition *p, size_t E, const struct mf_growth *growth, struct mf_err *err);

#endif
