/* A partitioning that can be kept and applied to other documents (formats/partition.md). */
#ifndef MF_PARTITION_SAVED_H
#define MF_PARTITION_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "config/choices.h"
#include "io/file.h"
#include "io/spill.h"
#include "partition/corpus.h"
#include "partition/sketch.h"

#define MF_PARTITIONS_MAX 4096

/* A document that a partitioning knows; on disk by ascending fingerprint, copies in the stream's order. */
struct mf_known {
    uint64_t fingerprint;
    uint16_t partition;
};

struct mf_partition {
    enum mf_partition_method method;
    size_t E;
    uint64_t seed, documents;
    double balance, overlap, general;
    size_t vocab;
    char tokenizer[65];
    struct mf_terms terms;
    float *centroids;           /* [F,E] unit columns, or zero for one without terms */
    double *prices;             /* [E] clustered: taken off the cosine */
    double *upper;              /* [E] curriculum: the hardest document of each partition */
    char **names;               /* [E] domain: the label of each, with a zero byte behind; else all NULL */
    size_t *name_sizes;         /* [E] */
    uint64_t *sizes, *n_tokens; /* [E] documents and tokens of their own, without overlap and general text */
    double *rates;         /* [E] general text: the share of the others' documents that a partition takes */
    size_t *origins;       /* [E] general text comes from partitions below this; 0: not set yet */
    struct mf_spill table; /* [documents] struct mf_known: the documents it was made from */
};

/* Makes room for everything but the terms; E is set, terms are there. Freed by mf_partition_free,
 * also after a failure. EX_OSERR. */
int mf_partition_alloc(struct mf_partition *p, struct mf_err *err);
void mf_partition_free(struct mf_partition *p); /* does nothing when zeroed */

/* Appends a document to the table. EX_IOERR, EX_CANTCREAT, EX_OSERR. */
int mf_partition_know(struct mf_partition *p, uint64_t fingerprint, size_t partition, struct mf_err *err);

/* Names partition e, which has no name yet. EX_OSERR. */
int mf_partition_name(struct mf_partition *p, size_t e, const char *name, size_t size, struct mf_err *err);

int mf_partition_write(const struct mf_partition *p, struct mf_out *out, struct mf_err *err);

/* Reads a saved partitioning; EX_NOINPUT, EX_DATAERR. Everything is checked, so that what was read can be
 * used. */
int mf_partition_read(struct mf_partition *p, const char *path, struct mf_err *err);

/* The score of a document for partition e of the random method: uniform in [0, 1) and always the same. */
float mf_partition_random(uint64_t seed, uint64_t fingerprint, size_t e);

#endif
