/* The passes: counts, then sketches, then where each document goes. */
#include "partition/divide.h"

#include <stdlib.h>
#include <string.h>
#include "partition/grow.h"
#include "partition/known.h"
#include "partition/near.h"

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
    if (mf_sketcher_init(&sketcher, &division->saved.terms, err) < 0) return -1;
    int more = mf_tokens_open(&docs, d->path, err);
    if (more == 0) {
        while ((more = mf_tokens_next(&docs, &doc, err)) > 0)
            if (mf_sketch_put(&division->sketches, terms, mf_sketch(&sketcher, doc.tokens, doc.n, terms),
                              err) < 0) {
                more = -1;
                break;
            }
        mf_tokens_close(&docs);
    }
    mf_sketcher_free(&sketcher);
    return more;
}

/* The documents of the stream without a place in `placed`, all where that is NULL. */
static struct mf_view view_of(const struct mf_division *division, const struct mf_divide *d,
                              const struct mf_spill *placed, size_t n) {
    return (struct mf_view){&division->corpus, &division->sketches, placed, n, d->pool};
}

/* --- a new partitioning --- */

static int set_up(struct mf_division *division, const struct mf_divide *d, size_t E, struct mf_err *err) {
    const struct mf_corpus *c = &division->corpus;
    struct mf_partition *p = &division->saved;
    p->method = d->params.method;
    p->E = E;
    p->seed = d->params.seed;
    p->balance = d->params.balance;
    p->overlap = d->params.overlap;
    p->general = d->params.general;
    p->vocab = c->header.vocab;
    memcpy(p->tokenizer, c->header.tokenizer, sizeof p->tokenizer);
    if (mf_partition_alloc(p, err) < 0) return -1;
    for (size_t e = 0; e < E && p->method == MF_DOMAIN; e++)
        if (mf_partition_name(p, e, c->names[e], c->name_sizes[e], err) < 0) return -1;
    return 0;
}

static int divide_anew(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    const struct mf_corpus *c = &division->corpus;
    struct mf_partition *p = &division->saved;
    size_t E;
    if (mf_plan_count(&E, c, &d->params, d->name, err) < 0) return -1;
    if (mf_terms_choose(&p->terms, c->df, c->header.vocab, c->count, d->features, err) < 0) return -1;
    if (mf_divide_plan(&division->memory, d, c->header.vocab, p->terms.count, E, err) < 0) return -1;
    if (sketch_all(division, d, err) < 0 || set_up(division, d, E, err) < 0) return -1;
    struct mf_view view = view_of(division, d, NULL, c->count);
    return mf_plan_make(p, 0, &view, &d->params, division->memory.sorting, &division->partitions, err);
}

/* --- with a saved partitioning --- */

/* Gives documents without a place in `placed` that of `more`, in order, by `first` higher. *left counts those
 * that have none yet. */
static int fill_places(struct mf_spill *to, size_t n, const struct mf_spill *placed,
                       const struct mf_spill *more, size_t first, size_t *left, struct mf_err *err) {
    struct mf_spill_reader old = {.spill = placed}, new = {.spill = more};
    size_t e = 0;
    int status = 0;
    *left = 0;
    for (size_t i = 0; status == 0 && i < n; i++) {
        status = mf_places_take(&old, &e, err);
        if (status == 0 && e == MF_NO_PARTITION) {
            status = mf_places_take(&new, &e, err);
            if (e != MF_NO_PARTITION) e += first;
        }
        *left += e == MF_NO_PARTITION;
        if (status == 0) status = mf_places_add(to, e, err);
    }
    mf_spill_reader_free(&old);
    mf_spill_reader_free(&new);
    return status;
}

/* Makes the partitions that are added, and places their documents beside the known ones in *placed. */
static int grow(struct mf_division *division, const struct mf_divide *d, struct mf_spill *placed,
                size_t *left, struct mf_err *err) {
    struct mf_partition *p = &division->saved;
    struct mf_spill places = {0}, both = {0};
    struct mf_view fresh = view_of(division, d, placed, *left);
    struct mf_growth growth = {&fresh, d->name, &d->params, division->memory.sorting};
    size_t E = p->E;
    if (d->params.partitions == 0 || d->params.partitions == E) return 0;
    if (d->params.partitions < E)
        return mf_err_set(err, EX_USAGE, "%s has %zu partitions; fewer, %zu, need a new partitioning",
                          d->saved, E, d->params.partitions);
    int status = mf_partition_grow(p, d->params.partitions, &growth, &places, err);
    if (status == 0) status = fill_places(&both, division->corpus.count, placed, &places, E, left, err);
    mf_spill_free(&places);
    mf_spill_free(placed);
    *placed = both;
    return status;
}

/* Places documents by the method. */
struct placing {
    uint16_t *partition_of; /* [names] of domains, or MF_NO_PARTITION */
    struct mf_spill places;
};

static int place(void *context, size_t document, const struct mf_fact *fact, const struct mf_near *near,
                 size_t n, struct mf_err *err) {
    struct placing *p = context;
    (void)document, (void)n;
    uint16_t e = fact->label == MF_NO_LABEL ? MF_NO_PARTITION : p->partition_of[fact->label];
    return mf_places_add(&p->places, e != MF_NO_PARTITION ? e : near[0].partition, err);
}

static void match_names(const struct mf_partition *p, const struct mf_corpus *c, uint16_t *partition_of) {
    for (size_t l = 0; l < c->n_names; l++) {
        partition_of[l] = MF_NO_PARTITION;
        for (size_t e = p->method == MF_DOMAIN ? p->E : 0; e-- > 0;)
            if (p->names[e] && p->name_sizes[e] == c->name_sizes[l] &&
                memcmp(p->names[e], c->names[l], c->name_sizes[l]) == 0)
                partition_of[l] = (uint16_t)e;
    }
}

/* The documents that are left go to the nearest partition. */
static int place_left(struct mf_division *division, const struct mf_divide *d, const struct mf_spill *placed,
                      size_t left, struct mf_err *err) {
    const struct mf_corpus *c = &division->corpus;
    struct placing placing = {.partition_of = malloc((c->n_names + 1) * sizeof *placing.partition_of)};
    struct mf_view view = view_of(division, d, placed, left);
    struct mf_nearness *nearness = NULL;
    int status = placing.partition_of ? 0 : mf_err_set(err, EX_OSERR, "out of memory for domain names");
    if (status == 0) match_names(&division->saved, c, placing.partition_of);
    if (status == 0 && left > 0) status = mf_nearness_new(&nearness, &division->saved, 0, d->pool, err);
    if (status == 0 && left > 0) status = mf_nearness_all(nearness, &view, 1, place, &placing, err);
    if (status == 0)
        status = fill_places(&division->partitions, c->count, placed, &placing.places, 0, &left, err);
    mf_nearness_free(nearness);
    mf_spill_free(&placing.places);
    free(placing.partition_of);
    return status;
}

static int divide_as_before(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    struct mf_partition *p = &division->saved;
    struct mf_spill placed = {0};
    division->were = p->documents;
    int status = sketch_all(division, d, err);
    if (status == 0)
        status =
            mf_known_find(p, &division->corpus, division->memory.sorting, &placed, &division->known, err);
    size_t left = division->corpus.count - division->known;
    if (status == 0) status = grow(division, d, &placed, &left, err);
    if (status == 0) status = place_left(division, d, &placed, left, err);
    mf_spill_free(&placed);
    return status;
}

/* --- overlap --- */

struct offering {
    struct mf_overlap *overlap;
    struct mf_spill_reader partitions;
};

static int offer(void *context, size_t document, const struct mf_fact *fact, const struct mf_near *near,
                 size_t n, struct mf_err *err) {
    struct offering *o = context;
    size_t own;
    if (mf_places_take(&o->partitions, &own, err) < 0) return -1;
    for (size_t i = 0; i < n; i++)
        if (near[i].partition != own &&
            mf_overlap_offer(o->overlap, document, near[i].partition, near[i].score, fact->tokens, err) < 0)
            return -1;
    return 0;
}

/* Each document is offered to all other partitions, where there are many to the nearest. */
static int choose_overlap(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    const struct mf_partition *p = &division->saved;
    struct mf_view view = view_of(division, d, NULL, division->corpus.count);
    struct mf_nearness *nearness = NULL;
    if (!(p->overlap > 0) || d->labels) return 0;
    int status = mf_overlap_new(&division->overlap, division->memory.sorting, err);
    struct offering offering = {.overlap = division->overlap, .partitions = {.spill = &division->partitions}};
    if (status == 0) status = mf_nearness_new(&nearness, p, 0, d->pool, err);
    if (status == 0)
        status = mf_nearness_all(nearness, &view, p->E <= MF_FLAT ? p->E : MF_NEAREST, offer, &offering, err);
    mf_nearness_free(nearness);
    mf_spill_reader_free(&offering.partitions);
    if (status == 0) status = mf_overlap_choose(division->overlap, p->n_tokens, p->overlap, err);
    return status;
}

int mf_divide(struct mf_division *division, const struct mf_divide *d, struct mf_err *err) {
    enum mf_partition_method method = d->saved ? division->saved.method : d->params.method;
    if (load_tokenizer(&division->tokenizer, d, method == MF_CURRICULUM, err) < 0) return -1;
    int status =
        mf_corpus_scan(&division->corpus, d->path, method == MF_CURRICULUM ? division->tokenizer : NULL, err);
    if (status == 0) status = d->saved ? divide_as_before(division, d, err) : divide_anew(division, d, err);
    if (status == 0)
        status = mf_known_set(&division->saved, &division->corpus, &division->partitions,
                              division->memory.sorting, err);
    return status < 0 ? -1 : choose_overlap(division, d, err);
}

void mf_division_free(struct mf_division *division) {
    mf_overlap_free(division->overlap);
    mf_spill_free(&division->partitions);
    mf_spill_free(&division->sketches);
    mf_tokenizer_free(division->tokenizer);
    mf_partition_free(&division->saved);
    mf_corpus_free(&division->corpus);
}
