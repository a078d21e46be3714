/* Streams of documents, one for each split: train.mf, val.mf and test.mf in a folder, or one of them alone.
 * Training's may be several, train.0.mf, train.1.mf and so on, one after the other. */
#ifndef MF_TEXT_SPLIT_FILES_H
#define MF_TEXT_SPLIT_FILES_H

#include "io/stream.h"
#include "text/select.h"

struct mf_split_file {
    struct mf_out *out;
    struct mf_stream_writer *writer; /* NULL once the stream has ended */
};

struct mf_split_files {
    struct mf_split_file *files; /* [n], validation and test behind those of training */
    size_t n;
    struct mf_split_file *of[MF_SPLITS]; /* where documents of a split go; NULL: they are not written */
    struct mf_tally written;
    const char *folder; /* borrowed */
    size_t n_train;
};

/* Opens the three in `folder`, which is made if need be; with `shards` above 0 training has so many. `folder`
 * is borrowed. EX_CANTCREAT. After a failure too, to be abandoned. */
int mf_split_files_open(struct mf_split_files *files, const char *folder, size_t shards, struct mf_err *err);

/* Opens one stream at `path` (NULL: standard output) for the documents of one split. */
int mf_split_files_open_one(struct mf_split_files *files, const char *path, enum mf_split split,
                            struct mf_err *err);

/* From now on documents for training go to file `shard`, which is none before the present one. */
int mf_split_files_shard(struct mf_split_files *files, size_t shard, struct mf_err *err);

int mf_split_files_add(struct mf_split_files *files, const struct mf_doc *doc, enum mf_split split,
                       struct mf_err *err);

/* Ends the streams; all are on disk then, and lack only their names. */
int mf_split_files_complete(struct mf_split_files *files, struct mf_err *err);

/* Gives them their names; of several, a file that holds the same bytes already is left as it is. */
int mf_split_files_commit(struct mf_split_files *files, struct mf_err *err);

/* Removes what was written. For a failure at any point; after a commit it only frees. */
void mf_split_files_abandon(struct mf_split_files *files);

#endif
