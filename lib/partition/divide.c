/* The passes: counts, then sketches, then the plan; and writing what was decided. */
#include "partition/divide.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "partition/files.h"
#include "partition/general.h"
#include "partition/grow.h"

/* A tokenizer, if there is one, that is the stream's. */
static int load_tokenizer(struct mf_tokenizer **tokenizer, const struct mf_divide *d, bool needed,
                          struct mf_err *err) {
    struct mf_tokens_reader docs;
    *tokenizer = NULL;
    if (!d->tokenizer && !needed) return 0;
    if (!d->tokenizer)
        return mf_err_set(err, EX_USAGE, "the curriculum reads the text: which tokenizer? (-t FILE)");
    if (mf_tokenizer_load(tokenizer, d->tokenizer, err) < 0) return -1;
    if (mf_tokens_open(&docs, d->path, err) < 0) return -1;
    int status = mf_tokens_check(&docs.header, d->name, *tokenizer, err);
    mf_tokens_close(&docs);
    return status;
}

static int sketch_all(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    struct mf_sketch_term terms[MF_SKETCH_TERMS];
    struct mf_sketcher sketcher;
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    if (mf_sketches_new(&division->sketches, err) < 0) return -1;
    if (mf_sketcher_init(&sketcher, &division->saved.terms, err) < 0) return -1;
    int more = mf_tokens_open(&docs, d->path, err);
    if (more == 0) {
        while ((more = mf_tokens_next(&docs, &doc, err)) > 0)
            if (mf_sketches_add(division->sketches, terms, mf_sketch(&sketcher, doc.tokens, doc.n, terms),
                                err) < 0) {
                more = -1;
                break;
            }
        mf_tokens_close(&docs);
    }
    mf_sketcher_free(&sketcher);
    return more;
}

static int divide_anew(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    const struct mf_corpus *c = &division->corpus;
    if (mf_terms_choose(&division->saved.terms, c->df, c->header.vocab, c->count, d->features, err) < 0)
        return -1;
    if (sketch_all(division, d, err) < 0) return -1;
    return mf_plan_make(&division->plan, &division->saved, c, division->sketches, &d->params, d->name,
                        d->pool, err);
}

/* --- with a saved partitioning --- */

static int place_all(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    struct mf_partition *p = &division->saved;
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    size_t n;
    int more = mf_tokens_open(&docs, d->path, err);
    if (more < 0) return -1;
    for (size_t i = 0; (more = mf_tokens_next(&docs, &doc, err)) > 0 && i < division->corpus.count; i++) {
        const struct mf_sketch_term *sketch = mf_sketches_get(division->sketches, i, &n);
        double difficulty = division->corpus.difficulty ? (double)division->corpus.difficulty[i] : 0;
        division->plan.partition[i] =
            (uint16_t)mf_partition_place(p, &doc, sketch, n, difficulty, division->plan.scores + i * p->E);
    }
    mf_tokens_close(&docs);
    return more < 0 ? -1 : 0;
}

/* Makes the saved partitioning one of all the documents seen now. */
static int remember_all(struct mf_division *division, struct mf_err *err) {
    struct mf_partition *p = &division->saved;
    size_t n = division->corpus.count;
    uint64_t *fingerprints = calloc(n + 1, sizeof *fingerprints);
    uint16_t *partitions = calloc(n + 1, sizeof *partitions);
    uint32_t *used = calloc(n + 1, sizeof *used);
    if (!fingerprints || !partitions || !used) mf_no_memory();
    free(p->fingerprints);
    free(p->partitions);
    free(p->used);
    p->fingerprints = fingerprints;
    p->partitions = partitions;
    p->used = used;
    p->documents = n;
    memset(p->sizes, 0, p->E * sizeof *p->sizes);
    memset(p->n_tokens, 0, p->E * sizeof *p->n_tokens);
    for (size_t i = 0; i < n; i++) {
        p->sizes[division->plan.partition[i]]++;
        p->n_tokens[division->plan.partition[i]] += division->corpus.tokens[i];
    }
    mf_general_set(p);
    return mf_partition_remember(p, division->corpus.fingerprints, division->plan.partition, err);
}

static int grow(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    struct mf_partition *p = &division->saved;
    struct mf_growth growth = {&division->corpus,  division->sketches,   d->name,
                               d->params.restarts, d->params.iterations, d->pool};
    if (d->params.partitions == p->E) return 0;
    if (d->params.partitions > p->E) return mf_partition_grow(p, d->params.partitions, &growth, err);
    return mf_err_set(err, EX_USAGE, "%s has %zu partitions; fewer, %zu, need a new partitioning", d->saved,
                      p->E, d->params.partitions);
}

static int divide_as_before(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    struct mf_partition *p = &division->saved;
    if (strcmp(p->tokenizer, division->corpus.header.tokenizer) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: made with tokenizer %.12s, not %.12s as in %s", d->saved,
                          p->tokenizer, division->corpus.header.tokenizer, d->name);
    division->were = p->documents;
    for (size_t i = 0; i < division->corpus.count; i++)
        division->known += mf_partition_knows(p, division->corpus.fingerprints[i]);
    if (sketch_all(division, d, err) < 0) return -1;
    if (d->params.partitions && grow(division, d, err) < 0) return -1;
    if (mf_plan_alloc(&division->plan, division->corpus.count, p->E, err) < 0) return -1;
    if (place_all(division, d, err) < 0) return -1;
    if (mf_plan_overlap(&division->plan, division->corpus.tokens, p->overlap, err) < 0) return -1;
    return remember_all(division, err);
}

int mf_divide(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    *division = (struct mf_division){0};
    if (d->saved && mf_partition_read(&division->saved, d->saved, err) < 0) return -1;
    enum mf_partition_method method = d->saved ? division->saved.method : d->params.method;
    int status = load_tokenizer(&division->tokenizer, d, method == MF_CURRICULUM, err);
    if (status == 0)
        status = mf_corpus_scan(&division->corpus, d->path,
                                method == MF_CURRICULUM ? division->tokenizer : NULL, err);
    if (status < 0) return -1;
    return d->saved ? divide_as_before(division, d, err) : divide_anew(division, d, err);
}

void mf_division_free(struct mf_division *division) {
    mf_plan_free(&division->plan);
    mf_sketches_free(division->sketches);
    mf_tokenizer_free(division->tokenizer);
    mf_partition_free(&division->saved);
    mf_corpus_free(&division->corpus);
}

/* --- writing --- */

/* Whether document i is in partition e: its own, or by overlap or as general text. */
static bool has(const struct mf_division *d, size_t i, size_t e) {
    return mf_plan_has(&d->plan, i, e) ||
           mf_general_takes(&d->saved, e, d->plan.partition[i], d->corpus.fingerprints[i]);
}

int mf_division_write(const struct mf_division *division, const struct mf_divide *d, const char *folder,
                      size_t *changed, struct mf_err *err) {
    struct mf_partition_files *files;
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    size_t E = division->saved.E;
    if (mf_partition_files_open(&files, folder, &division->corpus.header, E, false, err) < 0) return -1;
    int more = mf_tokens_open(&docs, d->path, err);
    if (more == 0) {
        for (size_t i = 0; (more = mf_tokens_next(&docs, &doc, err)) > 0; i++)
            for (size_t e = 0; e < E && more > 0; e++)
                if (has(division, i, e) && mf_partition_files_add(files, e, doc.record, err) < 0) more = -1;
        mf_tokens_close(&docs);
    }
    if (more == 0) return mf_partition_files_commit(files, &division->saved, changed, err);
    mf_partition_files_abandon(files);
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
    if (mf_tokens_open(&docs, l->path, err) < 0) return -1;
    int more = 0;
    for (size_t i = 0; (more = mf_tokens_next(&docs, &doc, err)) > 0; i++)
        l->has_target[l->division->plan.partition[i]] |=
            mf_specials_predict(&docs.header.specials, doc.tokens, doc.n);
    mf_tokens_close(&docs);
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
    if (mf_tokens_open(&docs, l->path, err) < 0) return -1;
    int more = mf_tokens_create(&l->all, out, &docs.header, -1, err);
    if (more == 0) {
        for (size_t i = 0; more == 0 && (more = mf_tokens_next(&docs, &doc, err)) > 0; i++) {
            doc.partition = l->division->plan.partition[i];
            more = put_labelled(l, &doc, err);
        }
        more = mf_stream_end(l->all, more, err);
    }
    mf_tokens_close(&docs);
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
