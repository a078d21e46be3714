/* mf-docs: from what is read, or from shards of it, to the files of the splits. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/docs_request.h"
#include "cli/docs_summary.h"
#include "io/utf8.h"
#include "text/select.h"
#include "text/shard.h"
#include "text/split_files.h"

/* Of --max-memory: program, libraries, buffers of reading and writing; and the least for copies, which would
 * do with less, slowly. */
#define PROGRAM_MEMORY    ((size_t)12 << 20)
#define COPIES_MEMORY_MIN ((size_t)2 << 20)

struct work {
    struct mf_docs_request *q;
    struct mf_selection selection;
    struct mf_cuts cuts;
    struct mf_split_files files;
    struct mf_docs_summary summary;
    struct mf_progress progress;
    uint32_t *ends; /* of a merge: the documents up to the end of each shard; or NULL */
    size_t shard;   /* whose documents are written */
};

/* --- reading --- */

static void note(struct mf_named *l, const char *name, size_t size) {
    if (l->count++ < MF_NAMED) mf_err_set(&l->first[l->count - 1], EX_DATAERR, "%.*s", (int)size, name);
}

static int take(void *context, const struct mf_doc *doc, struct mf_err *err) {
    struct work *w = context;
    mf_progress_show(&w->progress, w->selection.read.documents, NULL);
    if (!w->q->common->quiet && !mf_utf8_valid(doc->text, doc->size))
        note(&w->summary.stray, doc->id, doc->id_size);
    return mf_selection_add(&w->selection, doc, err);
}

static void leave(void *context, enum mf_docs_left why, const char *name) {
    struct work *w = context;
    note(&w->summary.left[why], name, strlen(name));
}

static bool leave_line(void *context, const struct mf_err *why) {
    struct work *w = context;
    if (w->summary.bad.count >= (uint64_t)w->q->max_bad) return false;
    note(&w->summary.bad, why->text, strlen(why->text));
    return true;
}

static int read_shards(struct work *w, const struct mf_strs *paths, struct mf_err *err) {
    int status = 0;
    w->ends = calloc(paths->count, sizeof *w->ends);
    if (!w->ends) mf_no_memory();
    for (size_t i = 0; i < paths->count && status >= 0; i++) {
        if (status == 0) status = mf_shard_read(paths->items[i], &w->q->options, err);
        w->ends[i] = mf_copies_count(w->selection.copies);
    }
    return status;
}

static int read_all(struct work *w, const struct mf_strs *paths, struct mf_err *err) {
    int status = w->q->merges ? read_shards(w, paths, err) : mf_docs_read(paths, &w->q->options, err);
    const struct mf_named *left = w->summary.left;
    const struct mf_named *l = &left[left[MF_DOCS_NO_TEXT].count ? MF_DOCS_NO_TEXT : MF_DOCS_OWN];
    if (status == 0 && w->selection.read.documents == 0 && l->count > 0)
        return mf_err_set(err, EX_DATAERR, "%s: %s, and nothing else is there", l->first[0].text,
                          l == &left[MF_DOCS_NO_TEXT] ? "no text (--all takes it)" : "ModularForge wrote it");
    return status < 0 ? -1 : mf_selection_end(&w->selection, err);
}

/* --- writing --- */

static int write_document(void *context, const struct mf_doc *doc, enum mf_split split, struct mf_err *err) {
    struct work *w = context;
    while (w->ends && w->selection.at >= w->ends[w->shard]) w->shard++;
    if (w->ends && w->q->folder && mf_split_files_shard(&w->files, w->shard, err) < 0) return -1;
    return mf_split_files_add(&w->files, doc, split, err);
}

static int open_files(struct work *w, size_t shards, struct mf_err *err) {
    const struct mf_docs_request *q = w->q;
    if (q->folder) return mf_split_files_open(&w->files, q->folder, shards, err);
    enum mf_split split = q->split ? (enum mf_split)(q->split - 1) : MF_TRAIN;
    return mf_split_files_open_one(&w->files, q->output, split, err);
}

static int write_all(struct work *w, const struct mf_strs *paths, struct mf_err *err) {
    struct mf_out **removed = &w->selection.removed, *list;
    if (w->q->cuts && mf_cuts_read(&w->cuts, w->q->cuts, err) < 0) return -1;
    if (w->q->removed && mf_out_open(removed, w->q->removed, err) < 0) return -1;
    if (open_files(w, w->q->merges ? paths->count : 0, err) < 0 || read_all(w, paths, err) < 0) return -1;
    if (mf_split_files_complete(&w->files, err) < 0) return -1;
    list = *removed;
    *removed = NULL;
    if (list && mf_out_commit(list, err) < 0) return -1;
    if (w->q->cuts && mf_cuts_write(&w->cuts, w->q->cuts, err) < 0) return -1;
    return mf_split_files_commit(&w->files, err);
}

/* All outputs become real, or none. */
static int make(struct work *w, const struct mf_strs *paths, struct mf_err *err) {
    int status = write_all(w, paths, err);
    mf_out_abandon(w->selection.removed);
    w->summary.written = w->files.written;
    mf_split_files_abandon(&w->files);
    free(w->ends);
    return status;
}

static int new_copies(struct mf_selection *s, const struct mf_docs_request *q, struct mf_err *err) {
    if (q->max_memory < PROGRAM_MEMORY + COPIES_MEMORY_MIN)
        return mf_memory_refuse("finding copies", PROGRAM_MEMORY + COPIES_MEMORY_MIN, q->max_memory, err);
    size_t memory = q->max_memory - PROGRAM_MEMORY;
    if (!q->common->quiet) mf_docs_plan_print(q->near_dup, q->max_memory, memory);
    return mf_copies_new(&s->copies, q->near_dup, memory, err);
}

int mf_docs_select(struct mf_docs_request *q, struct mf_strs *paths, struct mf_err *err) {
    const struct mf_common *common = q->common;
    struct mf_docs_options *o = &q->options;
    struct work w = {.q = q, .summary.all_splits = q->folder != NULL};
    struct mf_selection *s = &w.selection;
    *s = (struct mf_selection){.splitting = q->folder || q->split,
                               .rule = q->rule,
                               .blocks = (uint64_t)q->blocks,
                               .cuts = q->cuts ? &w.cuts : NULL,
                               .min_chars = (uint64_t)q->min_chars,
                               .max_chars = (uint64_t)q->max_chars,
                               .max_docs = (uint64_t)q->max_docs,
                               .context = &w,
                               .take = write_document};
    o->context = &w;
    o->take = take;
    o->left = leave;
    o->bad = leave_line;
    if (q->merges && mf_shards_order(paths, err) < 0) return -1;
    if (new_copies(s, q, err) < 0) return -1;
    mf_progress_begin(&w.progress, "mf-docs", "documents", 0, common->progress, common->quiet);
    int status = make(&w, paths, err);
    mf_progress_end(&w.progress, s->read.documents);
    mf_copies_free(s->copies);
    mf_selection_free(s);
    mf_cuts_free(&w.cuts);
    if (status == 0 && !common->quiet) mf_docs_summary_print(&w.summary, s);
    return status;
}
