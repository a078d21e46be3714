/* Writing what was decided: partitions, or labels. */
#include <stdlib.h>
#include "partition/divide.h"
#include "partition/files.h"
#include "partition/general.h"

/* Writes documents to the files of their partitions. */
struct writing {
    const struct mf_division *division;
    struct mf_partition_files *files;
    uint16_t *list; /* [E] partitions that take the document by overlap */
    bool *has;      /* [E] partitions that have it; false between documents */
};

static int put_into(struct writing *w, size_t e, const struct mf_token_doc *doc, struct mf_err *err) {
    if (w->has[e]) return 0;
    w->has[e] = true;
    return mf_partition_files_add(w->files, e, doc->record, err);
}

/* Puts a document into its own partition, those that take it by overlap, and those of which it is general
 * text. */
static int put_document(struct writing *w, size_t document, size_t own, const struct mf_token_doc *doc,
                        struct mf_err *err) {
    const struct mf_partition *p = &w->division->saved;
    size_t n = 0;
    int status = put_into(w, own, doc, err);
    if (status == 0 && w->division->overlap)
        status = mf_overlap_next(w->division->overlap, document, w->list, &n, err);
    for (size_t i = 0; status == 0 && i < n; i++) status = put_into(w, w->list[i], doc, err);
    for (size_t e = 0; status == 0 && p->general > 0 && e < p->E; e++)
        if (mf_general_takes(p, e, own, doc->fingerprint)) status = put_into(w, e, doc, err);
    w->has[own] = false;
    for (size_t i = 0; i < n; i++) w->has[w->list[i]] = false;
    for (size_t e = 0; p->general > 0 && e < p->E; e++) w->has[e] = false;
    return status;
}

static int put_all(struct writing *w, const char *path, struct mf_err *err) {
    struct mf_spill_reader partitions = {.spill = &w->division->partitions};
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    size_t own;
    if (w->division->overlap && mf_overlap_begin(w->division->overlap, err) < 0) return -1;
    int more = mf_tokens_open(&docs, path, err);
    if (more < 0) return -1;
    for (size_t i = 0; more >= 0 && (more = mf_tokens_next(&docs, &doc, err)) > 0; i++) {
        more = mf_places_take(&partitions, &own, err);
        if (more == 0) more = put_document(w, i, own, &doc, err);
    }
    mf_tokens_close(&docs);
    mf_spill_reader_free(&partitions);
    return more;
}

int mf_division_write(const struct mf_division *division, const struct mf_divide *d, const char *folder,
                      size_t *changed, struct mf_err *err) {
    struct writing w = {.division = division};
    size_t E = division->saved.E;
    if (mf_partition_files_open(&w.files, folder, &division->corpus.header, E, false, err) < 0) return -1;
    w.list = malloc(E * sizeof *w.list);
    w.has = calloc(E, sizeof *w.has);
    int status = w.list && w.has ? put_all(&w, d->path, err)
                                 : mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", E);
    free(w.list);
    free(w.has);
    if (status == 0) return mf_partition_files_commit(w.files, &division->saved, changed, err);
    mf_partition_files_abandon(w.files);
    return -1;
}

/* Writes a labelled stream, and where `files` is not NULL each partition's own. */
struct labelling {
    const struct mf_division *division;
    const char *path;
    struct mf_stream_writer *all;
    struct mf_partition_files *files;
    bool *has_target; /* [E] does the file of the partition have something to predict? */
};

static int find_targets(struct labelling *l, struct mf_err *err) {
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    struct mf_spill_reader partitions = {.spill = &l->division->partitions};
    size_t own;
    if (mf_tokens_open(&docs, l->path, err) < 0) return -1;
    int more = 0;
    while (more >= 0 && (more = mf_tokens_next(&docs, &doc, err)) > 0) {
        more = mf_places_take(&partitions, &own, err);
        if (more == 0) l->has_target[own] |= mf_specials_predict(&docs.header.specials, doc.tokens, doc.n);
    }
    mf_tokens_close(&docs);
    mf_spill_reader_free(&partitions);
    return more;
}

static int put_labelled(struct labelling *l, const struct mf_token_doc *doc, struct mf_err *err) {
    int status = mf_tokens_put(l->all, doc, err);
    for (size_t e = 0; l->files && status == 0 && e < l->division->saved.E; e++)
        if ((size_t)doc->partition == e || !l->has_target[e])
            status = mf_partition_files_put(l->files, e, doc, err);
    return status;
}

static int label_all(struct labelling *l, struct mf_out *out, struct mf_err *err) {
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    struct mf_spill_reader partitions = {.spill = &l->division->partitions};
    size_t own = 0;
    if (mf_tokens_open(&docs, l->path, err) < 0) return -1;
    int more = mf_tokens_create(&l->all, out, &docs.header, -1, err);
    if (more == 0) {
        while (more == 0 && (more = mf_tokens_next(&docs, &doc, err)) > 0) {
            more = mf_places_take(&partitions, &own, err);
            doc.partition = (int64_t)own;
            if (more == 0) more = put_labelled(l, &doc, err);
        }
        more = mf_stream_end(l->all, more, err);
    }
    mf_tokens_close(&docs);
    mf_spill_reader_free(&partitions);
    return more;
}

int mf_division_label(const struct mf_division *division, const struct mf_divide *d, struct mf_out *out,
                      const char *folder, struct mf_err *err) {
    struct labelling l = {.division = division, .path = d->path};
    size_t changed, E = division->saved.E;
    if (!folder) return label_all(&l, out, err);
    l.has_target = calloc(E, sizeof *l.has_target);
    if (!l.has_target) return mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", E);
    int status = find_targets(&l, err);
    if (status == 0)
        status = mf_partition_files_open(&l.files, folder, &division->corpus.header, E, true, err);
    if (status == 0) status = label_all(&l, out, err);
    if (status == 0)
        status = mf_partition_files_commit(l.files, NULL, &changed, err);
    else
        mf_partition_files_abandon(l.files);
    free(l.has_target);
    return status;
}
