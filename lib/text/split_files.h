/* Streams of documents, one for each split: train.mf, val.mf and test.mf in a folder, or one of them alone.
 */
#ifndef MF_TEXT_SPLIT_FILES_H
#define MF_TEXT_SPLIT_FILES_H

#include "io/stream.h"
#include "text/select.h"

struct mf_split_files {
    struct mf_out *outs[MF_SPLITS]; /* NULL: documents of this split are not written */
    struct mf_stream_writer *writers[MF_SPLITS];
    struct mf_tally written;
};

/* Opens the three in `folder`, which is made if need be. EX_CANTCREAT. On failure nothing is left open. */
int mf_split_files_open(struct mf_split_files *files, const char *folder, struct mf_err *err);

/* Opens one stream at `path` (NULL: standard output) for the documents of one split. */
int mf_split_files_open_one(struct mf_split_files *files, const char *path, enum mf_split split,
                            struct mf_err *err);

int mf_split_files_add(struct mf_split_files *files, const struct mf_doc *doc, enum mf_split split,
                       struct mf_err *err);

/* Ends the streams; all are on disk then, and lack only their names. */
int mf_split_files_complete(struct mf_split_files *files, struct mf_err *err);

/* Gives them their names; of three, a file that holds the same bytes already is left as it is. */
int mf_split_files_commit(struct mf_split_files *files, struct mf_err *err);

/* Removes what was written. For a failure at any point after opening; nothing to do after a commit. */
void mf_split_files_abandon(struct mf_split_files *files);

#endif
