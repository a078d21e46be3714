/* mf-docs --shard: one of several jobs that read an input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "cli/docs_request.h"
#include "text/minhash.h"
#include "text/shard.h"

#define SHARDS 100000 /* the most that make sense */

static int parse(const char *text, struct mf_docs_shard *shard, struct mf_err *err) {
    char *number = mf_format("%s", text), *slash = strchr(number, '/');
    int64_t i = -1, n = -1;
    if (slash) *slash = 0;
    bool parsed = slash && mf_parse_int(number, &i) == 0 && mf_parse_int(slash + 1, &n) == 0;
    free(number);
    if (!parsed || n < 1 || n > SHARDS || i < 0 || i >= n)
        return mf_err_set(err, EX_USAGE, "--shard is I/N, with I from 0 to N-1 and N up to %d, not '%s'",
                          SHARDS, text);
    *shard = (struct mf_docs_shard){.number = (uint64_t)i, .count = (uint64_t)n};
    return 0;
}

struct work {
    const struct mf_docs_request *q;
    struct mf_stream_writer *writer;
    struct mf_minhash minhash;
    struct mf_progress progress;
    uint64_t documents, bytes, bad;
    struct mf_err failed; /* of what has no status to return: the first */
};

static int take(void *context, const struct mf_doc *doc, struct mf_err *err) {
    struct work *w = context;
    uint32_t signature[MF_MINHASHES];
    struct mf_doc with = *doc;
    if (w->q->near_dup > 0) {
        mf_minhash(&w->minhash, doc->text, doc->size, signature);
        with.signature = signature;
    }
    if (mf_shard_put_doc(w->writer, &with, err) < 0) return -1;
    w->bytes += doc->size;
    mf_progress_show(&w->progress, ++w->documents, NULL);
    return w->q->max_docs > 0 && w->documents >= (uint64_t)w->q->max_docs;
}

static void leave(void *context, enum mf_docs_left why, const char *name) {
    struct work *w = context;
    if (!w->failed.status) mf_shard_put_left(w->writer, why, name, &w->failed);
}

/* More bad lines than all shards together may have are too many here already. */
static bool leave_line(void *context, const struct mf_err *why) {
    struct work *w = context;
    if (w->bad++ >= (uint64_t)w->q->max_bad) return false;
    if (!w->failed.status) mf_shard_put_bad(w->writer, why->text, &w->failed);
    return true;
}

static int read_files(struct work *w, const struct mf_strs *paths, const struct mf_docs_options *o,
                      struct mf_err *err) {
    const struct mf_docs_shard *s = o->shard;
    int status = mf_docs_read(paths, o, err);
    if (status >= 0 && w->failed.status) {
        *err = w->failed;
        return -1;
    }
    if (status == 0 && (s->met != s->files || s->at != s->bytes))
        return mf_err_set(err, EX_DATAERR, "files came, went or changed while they were read: read again");
    return status < 0 ? -1 : 0;
}

static int write_stream(struct work *w, const struct mf_strs *paths, struct mf_docs_options *o,
                        struct mf_out *out, struct mf_err *err) {
    const struct mf_common *common = w->q->common;
    if (mf_shard_create(&w->writer, out, o->shard, err) < 0) return -1;
    mf_progress_begin(&w->progress, "mf-docs", "documents", 0, common->progress, common->quiet);
    int status = mf_stream_end(w->writer, read_files(w, paths, o, err), err);
    mf_progress_end(&w->progress, w->documents);
    return status;
}

int mf_docs_write_shard(struct mf_docs_request *q, const struct mf_strs *paths, struct mf_err *err) {
    struct work w = {.q = q};
    struct mf_docs_options *o = &q->options;
    struct mf_docs_shard shard;
    struct mf_out *out;
    if (parse(q->job, &shard, err) < 0) return -1;
    o->shard = &shard;
    o->context = &w;
    o->take = take;
    o->left = leave;
    o->bad = leave_line;
    mf_minhash_make(&w.minhash);
    if (mf_docs_measure(paths, o, err) < 0 || mf_out_open(&out, q->output, err) < 0) return -1;
    if (mf_out_end(out, write_stream(&w, paths, o, out, err), err) < 0) return -1;
    if (!q->common->quiet)
        fprintf(stderr, "mf-docs: shard %s: %llu documents, %llu bytes\n", q->job,
                (unsigned long long)w.documents, (unsigned long long)w.bytes);
    return 0;
}
