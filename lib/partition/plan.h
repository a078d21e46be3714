/* Which documents go into which partitions: the four methods, and overlap. */
#ifndef MF_PARTITION_PLAN_H
#define MF_PARTITION_PLAN_H

#include "base/pool.h"
#include "partition/corpus.h"
#include "partition/kmeans.h"
#include "partition/saved.h"
#include "partition/sketch.h"

struct mf_plan_params {
    enum mf_partition_method method;
    size_t partitions;       /* 0 with MF_DOMAIN: as many as there are labels */
    double overlap, general; /* in [0, 1] */
    double balance;          /* >= 1 */
    int64_t restarts, iterations;
    uint64_t seed;
};

struct mf_plan {
    size_t n, E;
    uint16_t *partition;  /* [n] each document's own partition */
    float *scores;        /* [n,E] nearness, larger is nearer */
    unsigned char *extra; /* [E, (n + 7) / 8] bits: documents added by overlap; NULL without overlap */
};

/* Divides the documents, and fills `saved` (zeroed before, except that saved->terms are there). EX_DATAERR:
 * fewer documents than partitions, or, for domains, documents without label or another number of labels. Both
 * are freed by their own free functions, also after a failure. `name` is the stream's, for messages. */
int mf_plan_make(struct mf_plan *plan, struct mf_partition *saved, const struct mf_corpus *corpus,
                 const struct mf_sketches *sketches, const struct mf_plan_params *params, const char *name,
                 struct mf_pool *pool, struct mf_err *err);

/* Room for n documents in E partitions. EX_OSERR. */
int mf_plan_alloc(struct mf_plan *plan, size_t n, size_t E, struct mf_err *err);

/* Adds to each partition the nearest documents of others, until they are `overlap` times its own tokens (the
 * last may go over). EX_OSERR. */
int mf_plan_overlap(struct mf_plan *plan, const uint32_t *tokens, double overlap, struct mf_err *err);
int mf_plan_has(const struct mf_plan *plan, size_t document, size_t e); /* by itself or by overlap */
void mf_plan_free(struct mf_plan *plan);

/* Cuts documents, from easy to hard, into E partitions of equal tokens; equal ones in stream order. Each
 * partition has at least one (n >= E). EX_OSERR.
 *   difficulty, tokens  [n]    in
 *   partition           [n]    out
 *   upper               [E]    out  the hardest of each partition
 *   scores              [n,E]  out  minus the distance to the partition in tokens, 0 inside; may be NULL */
int mf_plan_curriculum(const float *difficulty, const uint32_t *tokens, size_t n, size_t E,
                       uint16_t *partition, double *upper, float *scores, struct mf_err *err);

#endif
