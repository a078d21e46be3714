/* What mf-docs is asked for, and its two kinds of work: to select documents, and to read a shard of them. */
#ifndef MF_CLI_DOCS_REQUEST_H
#define MF_CLI_DOCS_REQUEST_H

#include "cli/options.h"
#include "text/docs.h"
#include "text/splits.h"

struct mf_docs_request {
    struct mf_docs_options options;         /* of reading */
    const char *output, *folder, *removed;  /* output NULL: standard output; folder: of the three splits */
    const char *cuts;                       /* the file of text/cuts.h; or NULL */
    int split;                              /* of the enum mf_split, and 1; 0: all documents */
    const char *job;                        /* "I/N": which shard of how many to read; or NULL */
    bool merges;                            /* the inputs are shards */
    int64_t max_bad;                        /* lines that may be left out */
    int64_t min_chars, max_chars, max_docs; /* 0: no limit */
    int64_t blocks;
    double near_dup;
    struct mf_split_rule rule;
    uint64_t max_memory;
    const struct mf_common *common;
};

/* Reads the paths, or merges shards, and writes the documents that are selected. Orders the shards. As
 * mf_docs_read, mf_shard_read, mf_selection_end; EX_CONFIG where max_memory is too little. */
int mf_docs_select(struct mf_docs_request *q, struct mf_strs *paths, struct mf_err *err);

/* Reads the shard of the paths and writes it for a merge. As mf_docs_read; EX_USAGE where `job` is none;
 * EX_DATAERR also when files came, went or changed meanwhile. */
int mf_docs_write_shard(struct mf_docs_request *q, const struct mf_strs *paths, struct mf_err *err);

#endif
