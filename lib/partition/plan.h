/* Which documents go into which partitions: the four methods. */
#ifndef MF_PARTITION_PLAN_H
#define MF_PARTITION_PLAN_H

#include "partition/saved.h"
#include "partition/view.h"

struct mf_plan_params {
    enum mf_partition_method method;
    size_t partitions;       /* 0 with MF_DOMAIN: as many as there are labels */
    double overlap, general; /* in [0, 1] */
    double balance;          /* >= 1 */
    int64_t restarts, iterations;
    uint64_t seed;
};

/* How many partitions there will be. EX_DATAERR: fewer documents than partitions, or, for domains, documents
 * without label or another number of labels. `name` is the stream's, for messages. */
int mf_plan_count(size_t *E, const struct mf_corpus *corpus, const struct mf_plan_params *params,
                  const char *name, struct mf_err *err);

/* Divides the documents of a view among the partitions of p (view->n >= p->E), whose method, E, seed, balance
 * and terms are there; fills its centroids, prices, upper.
 *   first   of the random method: the number of p's first partition
 *   memory  bytes for sorting
 *   places  [view->n]  out  appended
 * Documents are places of labels for domains: all are below E. EX_IOERR, EX_CANTCREAT, EX_OSERR. */
int mf_plan_make(struct mf_partition *p, size_t first, const struct mf_view *view,
                 const struct mf_plan_params *params, size_t memory, struct mf_spill *places,
                 struct mf_err *err);

/* Cuts documents, from easy to hard, into E partitions of equal tokens; equal ones in stream order. Each
 * partition has at least one (view->n >= E).
 *   upper   [E]        out  the hardest of each partition
 *   places  [view->n]  out  appended */
int mf_plan_curriculum(const struct mf_view *view, size_t E, size_t memory, double *upper,
                       struct mf_spill *places, struct mf_err *err);

#endif
