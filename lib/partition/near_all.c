/* The pass that finds the nearest partitions of all documents: batches of them, scored by all threads. */
#include <stdlib.h>
#include <string.h>
#include "partition/near.h"

#define BATCH 1024

struct batch {
    const struct mf_nearness *nearness;
    size_t want, n;
    size_t document[BATCH], n_terms[BATCH], n_near[BATCH];
    struct mf_fact facts[BATCH];
    struct mf_sketch_term terms[BATCH][MF_SKETCH_TERMS];
    struct mf_near near[BATCH][MF_FLAT];
};
_Static_assert(sizeof(struct batch) <= MF_NEAR_BATCH, "counted in plans of memory");

static int read_batch(struct batch *b, struct mf_view_reader *r, struct mf_err *err) {
    int more = 1;
    for (b->n = 0; b->n < BATCH && (more = mf_view_next(r, err)) > 0; b->n++) {
        b->document[b->n] = r->document;
        b->facts[b->n] = r->fact;
        b->n_terms[b->n] = r->n_terms;
        memcpy(b->terms[b->n], r->terms, r->n_terms * sizeof *r->terms);
    }
    return more < 0 ? -1 : b->n > 0;
}

static void find(void *context, size_t begin, size_t end, int thread) {
    struct batch *b = context;
    for (size_t i = begin; i < end; i++)
        b->n_near[i] = mf_nearness_find(b->nearness, &b->facts[i], b->terms[i], b->n_terms[i], thread,
                                        b->want, b->near[i]);
}

int mf_nearness_all(const struct mf_nearness *nearness, const struct mf_view *view, size_t want,
                    mf_near_take *take, void *context, struct mf_err *err) {
    struct mf_view_reader reader = {.view = view};
    struct batch *b = malloc(sizeof *b);
    int more = b ? 1 : mf_err_set(err, EX_OSERR, "out of memory");
    if (b) {
        b->nearness = nearness;
        b->want = want;
    }
    while (more > 0 && (more = read_batch(b, &reader, err)) > 0) {
        mf_pool_run(view->pool, b->n, 16, find, b);
        for (size_t i = 0; more > 0 && i < b->n; i++)
            if (take(context, b->document[i], &b->facts[i], b->near[i], b->n_near[i], err) < 0) more = -1;
    }
    mf_view_end(&reader);
    free(b);
    return more;
}
