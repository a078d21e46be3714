/* Dividing a tokens stream into partitions: the passes over it, in fixed memory. */
#ifndef MF_PARTITION_DIVIDE_H
#define MF_PARTITION_DIVIDE_H

#include "base/pool.h"
#include "partition/overlap.h"
#include "partition/plan.h"

struct mf_divide {
    const char *path;             /* the tokens stream: a file, for it is read several times */
    const char *name;             /* for messages */
    const char *tokenizer;        /* tokenizer.json, or NULL; needed for the curriculum, read when there */
    const char *saved;            /* a saved partitioning to go on with, or NULL: a new one */
    struct mf_plan_params params; /* with a saved partitioning: partitions is 0, or how many it shall have */
    size_t features;              /* terms of a new partitioning */
    bool labels;                  /* only whose each document is; no overlap */
    bool files;                   /* each partition's file is written */
    size_t max_memory;            /* bytes of the process */
    struct mf_pool *pool;
};

/* Where the memory goes: what is always there, the largest of the phases, and the rest, for sorting. */
struct mf_divide_memory {
    size_t program, centroids;
    size_t clustering, assigning, writing; /* phases: a sample and its clusters; all documents; files */
    size_t least;                          /* with the least for sorting */
    size_t sorting;
};

struct mf_division {
    struct mf_divide_memory memory;
    struct mf_corpus corpus;
    struct mf_tokenizer *tokenizer; /* or NULL */
    struct mf_partition saved;
    struct mf_spill sketches, partitions; /* of each document; partitions: uint16_t */
    struct mf_overlap *overlap;           /* or NULL */
    size_t known, were;                   /* documents that a saved partitioning knew; all that it had */
};

/* Reads what is saved and plans the memory. EX_CONFIG: max_memory is too little; others as for reading. For
 * domains the number of partitions is known, and checked, by mf_divide. Freed by mf_division_free, also after
 * a failure. */
int mf_divide_open(struct mf_division *division, const struct mf_divide *divide, struct mf_err *err);

/* Decides where each document goes. With `saved`, documents known to it stay where they are, others are
 * placed by its method, or make the partitions that are added (partition/grow.h), and division->saved then
 * knows all of them. EX_DATAERR: too few documents, another tokenizer than the saved one's; EX_USAGE: fewer
 * partitions than the saved one has; others as for reading and for scratch files. */
int mf_divide(struct mf_division *division, const struct mf_divide *divide, struct mf_err *err);
void mf_division_free(struct mf_division *division);

/* Sets the plan for E partitions of at most F terms, and refuses a limit below what that needs: EX_CONFIG. */
int mf_divide_plan(struct mf_divide_memory *memory, const struct mf_divide *divide, size_t vocab, size_t F,
                   size_t E, struct mf_err *err);

/* Writes the partitions into `folder` (partition/files.h). */
int mf_division_write(const struct mf_division *division, const struct mf_divide *divide, const char *folder,
                      size_t *changed, struct mf_err *err);

/* Copies the stream to `out` with the field `partition` in each record; with `folder` also the documents of
 * each partition to a file of its own (partition/files.h), all documents where those of a partition hold
 * nothing to predict. */
int mf_division_label(const struct mf_division *division, const struct mf_divide *divide, struct mf_out *out,
                      const char *folder, struct mf_err *err);

#endif
