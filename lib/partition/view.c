/* Passes over documents on disk. */
#include "partition/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int mf_places_add(struct mf_spill *places, size_t partition, struct mf_err *err) {
    uint16_t p = (uint16_t)partition;
    return mf_spill_append(places, &p, sizeof p, err);
}

int mf_places_take(struct mf_spill_reader *places, size_t *partition, struct mf_err *err) {
    uint16_t p;
    if (mf_spill_take(places, &p, sizeof p, err) < 0) return -1;
    *partition = p;
    return 0;
}

int mf_view_next(struct mf_view_reader *r, struct mf_err *err) {
    const struct mf_view *view = r->view;
    size_t placed = MF_NO_PARTITION;
    int more;
    r->facts.corpus = view->corpus;
    r->sketches.spill = view->sketches;
    r->placed.spill = view->placed;
    while ((more = mf_facts_next(&r->facts, &r->fact, err)) > 0) {
        r->document = r->passed++;
        if (mf_sketch_take(&r->sketches, r->terms, &r->n_terms, err) < 0) return -1;
        if (view->placed && mf_places_take(&r->placed, &placed, err) < 0) return -1;
        if (placed == MF_NO_PARTITION) return 1;
    }
    return more;
}

void mf_view_end(struct mf_view_reader *r) {
    mf_facts_end(&r->facts);
    mf_spill_reader_free(&r->sketches);
    mf_spill_reader_free(&r->placed);
}

/* --- the sample --- */

static int fill_sample(struct mf_sample *s, struct mf_view_reader *r, struct mf_err *err) {
    size_t taken = 0;
    int more = 0;
    for (size_t i = 0; taken < s->n && (more = mf_view_next(r, err)) > 0; i++) {
        if (i != (size_t)((uint64_t)taken * r->view->n / s->n)) continue;
        s->tokens[taken++] = r->fact.tokens;
        if (mf_sketches_add(s->sketches, r->terms, r->n_terms, err) < 0) return -1;
    }
    return more < 0 ? -1 : 0;
}

int mf_sample_take(struct mf_sample *s, const struct mf_view *view, struct mf_err *err) {
    struct mf_view_reader reader = {.view = view};
    *s = (struct mf_sample){.n = view->n < MF_SAMPLE ? view->n : MF_SAMPLE};
    s->tokens = malloc((s->n + 1) * sizeof *s->tokens);
    if (!s->tokens) return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", s->n);
    int status = mf_sketches_new(&s->sketches, err);
    if (status == 0) status = fill_sample(s, &reader, err);
    mf_view_end(&reader);
    return status;
}

void mf_sample_free(struct mf_sample *s) {
    mf_sketches_free(s->sketches);
    free(s->tokens);
    *s = (struct mf_sample){0};
}

/* --- centroids --- */

/* Adds the sketches of the partitions [first, first + count) to sums [count,F]. */
static int sum_some(const struct mf_view *view, const struct mf_spill *places, size_t features, size_t first,
                    size_t count, double *sums, struct mf_err *err) {
    struct mf_view_reader r = {.view = view};
    struct mf_spill_reader places_reader = {.spill = places};
    size_t e;
    int more;
    while ((more = mf_view_next(&r, err)) > 0) {
        more = mf_places_take(&places_reader, &e, err);
        if (more < 0) break;
        if (e < first || e - first >= count) continue;
        double *sum = sums + (e - first) * features;
        for (size_t t = 0; t < r.n_terms; t++) sum[r.terms[t].feature] += r.terms[t].weight;
    }
    mf_view_end(&r);
    mf_spill_reader_free(&places_reader);
    return more;
}

int mf_view_centroids(const struct mf_view *view, const struct mf_spill *places, size_t features, size_t E,
                      float *centroids, struct mf_err *err) {
    size_t most = MF_CENTROIDS_MEMORY / sizeof(double) / (features + 1) + 1, block = E < most ? E : most;
    double *sums = malloc((block * features + 1) * sizeof *sums);
    int status = sums ? 0 : mf_err_set(err, EX_OSERR, "out of memory for %zu centroids", E);
    for (size_t first = 0; status == 0 && first < E; first += block) {
        size_t count = E - first < block ? E - first : block;
        memset(sums, 0, count * features * sizeof *sums);
        status = sum_some(view, places, features, first, count, sums, err);
        for (size_t k = 0; status == 0 && k < count; k++) {
            const double *sum = sums + k * features;
            double squares = 0;
            for (size_t f = 0; f < features; f++) squares += sum[f] * sum[f];
            double scale = squares > 0 ? 1 / sqrt(squares) : 0;
            for (size_t f = 0; f < features; f++) centroids[f * E + first + k] = (float)(sum[f] * scale);
        }
    }
    free(sums);
    return status;
}
