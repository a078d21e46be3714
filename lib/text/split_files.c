/* Writing splits. */
#include "text/split_files.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/strings.h"

static int open_file(struct mf_split_file *file, const char *path, struct mf_err *err) {
    if (mf_out_open(&file->out, path, err) < 0) return -1;
    return mf_stream_create(&file->writer, file->out, "docs", 0, err);
}

static int open_named(struct mf_split_file *file, char *path, struct mf_err *err) {
    int status = open_file(file, path, err);
    free(path);
    return status;
}

static int open_train(struct mf_split_files *s, size_t shard, struct mf_err *err) {
    s->of[MF_TRAIN] = &s->files[shard];
    return open_named(s->of[MF_TRAIN], mf_format("%s/train.%zu.mf", s->folder, shard), err);
}

static void make_files(struct mf_split_files *s, size_t n) {
    *s = (struct mf_split_files){.files = calloc(n, sizeof *s->files), .n = n};
    if (!s->files) mf_no_memory();
}

int mf_split_files_open(struct mf_split_files *s, const char *folder, size_t shards, struct mf_err *err) {
    size_t n_train = shards ? shards : 1;
    make_files(s, n_train + 2);
    s->folder = folder;
    s->n_train = n_train;
    if (mf_folder_make(folder, err) < 0) return -1;
    for (int split = MF_VAL; split < MF_SPLITS; split++) {
        s->of[split] = &s->files[n_train + (size_t)split - MF_VAL];
        if (open_named(s->of[split], mf_format("%s/%s.mf", folder, mf_split_names[split]), err) < 0)
            return -1;
    }
    if (shards) return open_train(s, 0, err);
    s->of[MF_TRAIN] = &s->files[0];
    return open_named(s->of[MF_TRAIN], mf_format("%s/%s.mf", folder, mf_split_names[MF_TRAIN]), err);
}

int mf_split_files_open_one(struct mf_split_files *s, const char *path, enum mf_split split,
                            struct mf_err *err) {
    make_files(s, 1);
    s->of[split] = &s->files[0];
    return open_file(s->of[split], path, err);
}

static int end_stream(struct mf_split_file *file, struct mf_err *err) {
    struct mf_stream_writer *writer = file->writer;
    file->writer = NULL;
    return writer ? mf_stream_finish(writer, err) : 0;
}

/* A thousand files need not be open: those that are written wait without a descriptor. */
int mf_split_files_shard(struct mf_split_files *s, size_t shard, struct mf_err *err) {
    while (s->of[MF_TRAIN] < &s->files[shard]) {
        struct mf_split_file *file = s->of[MF_TRAIN];
        if (end_stream(file, err) < 0 || mf_out_rest(file->out, err) < 0) return -1;
        if (open_train(s, (size_t)(file - s->files) + 1, err) < 0) return -1;
    }
    return 0;
}

int mf_split_files_add(struct mf_split_files *s, const struct mf_doc *doc, enum mf_split split,
                       struct mf_err *err) {
    if (!s->of[split]) return 0;
    mf_tally_add(&s->written, doc->size);
    return mf_doc_put(s->of[split]->writer, doc, err);
}

int mf_split_files_complete(struct mf_split_files *s, struct mf_err *err) {
    if (s->n_train && mf_split_files_shard(s, s->n_train - 1, err) < 0) return -1;
    for (size_t i = 0; i < s->n; i++) {
        struct mf_split_file *file = &s->files[i];
        if (end_stream(file, err) < 0 || mf_out_complete(file->out, err) < 0) return -1;
        if (i + 1 < s->n_train && mf_out_rest(file->out, err) < 0) return -1;
    }
    return 0;
}

int mf_split_files_commit(struct mf_split_files *s, struct mf_err *err) {
    int status = 0;
    for (size_t i = 0; i < s->n && status == 0; i++) {
        struct mf_out *out = s->files[i].out;
        s->files[i].out = NULL;
        status = s->n > 1 ? mf_out_commit_changed(out, err) : mf_out_commit(out, err);
    }
    return status;
}

void mf_split_files_abandon(struct mf_split_files *s) {
    for (size_t i = 0; i < s->n; i++) {
        mf_stream_drop(s->files[i].writer);
        mf_out_abandon(s->files[i].out);
    }
    free(s->files);
    *s = (struct mf_split_files){0};
}
