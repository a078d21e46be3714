/* Writing splits. */
#include "text/split_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int open_split(struct mf_split_files *files, const char *path, enum mf_split split,
                      struct mf_err *err) {
    if (mf_out_open(&files->outs[split], path, err) < 0) return -1;
    return mf_stream_create(&files->writers[split], files->outs[split], "docs", 0, err);
}

int mf_split_files_open(struct mf_split_files *files, const char *folder, struct mf_err *err) {
    size_t size = strlen(folder) + 20;
    char *path = malloc(size);
    if (!path) mf_no_memory();
    *files = (struct mf_split_files){0};
    int status = mf_folder_make(folder, err);
    for (int split = 0; split < MF_SPLITS && status == 0; split++) {
        snprintf(path, size, "%s/%s.mf", folder, mf_split_names[split]);
        status = open_split(files, path, (enum mf_split)split, err);
    }
    free(path);
    if (status < 0) mf_split_files_abandon(files);
    return status;
}

int mf_split_files_open_one(struct mf_split_files *files, const char *path, enum mf_split split,
                            struct mf_err *err) {
    *files = (struct mf_split_files){0};
    int status = open_split(files, path, split, err);
    if (status < 0) mf_split_files_abandon(files);
    return status;
}

int mf_split_files_add(struct mf_split_files *files, const struct mf_doc *doc, enum mf_split split,
                       struct mf_err *err) {
    struct mf_stream_writer *writer = files->writers[split];
    if (!writer) return 0;
    mf_tally_add(&files->written, doc->size);
    return mf_doc_put(writer, doc, err);
}

int mf_split_files_complete(struct mf_split_files *files, struct mf_err *err) {
    int status = 0;
    for (int split = 0; split < MF_SPLITS && status == 0; split++) {
        if (!files->outs[split]) continue;
        struct mf_stream_writer *writer = files->writers[split];
        files->writers[split] = NULL;
        status = mf_stream_finish(writer, err);
        if (status == 0) status = mf_out_complete(files->outs[split], err);
    }
    return status;
}

int mf_split_files_commit(struct mf_split_files *files, struct mf_err *err) {
    bool several = files->outs[MF_TRAIN] && files->outs[MF_VAL];
    int status = 0;
    for (int split = 0; split < MF_SPLITS && status == 0; split++) {
        struct mf_out *out = files->outs[split];
        files->outs[split] = NULL;
        if (out) status = several ? mf_out_commit_changed(out, err) : mf_out_commit(out, err);
    }
    return status;
}

void mf_split_files_abandon(struct mf_split_files *files) {
    for (int split = 0; split < MF_SPLITS; split++) {
        mf_stream_drop(files->writers[split]);
        mf_out_abandon(files->outs[split]);
    }
    *files = (struct mf_split_files){0};
}
