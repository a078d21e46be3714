/* More partitions for a saved partitioning, out of the documents it has not seen. */
#include "partition/grow.h"

#include <stdlib.h>
#include <string.h>

static bool has_name(const struct mf_partition *p, const char *name, size_t size) {
    for (size_t e = 0; e < p->E; e++)
        if (p->names[e] && p->name_sizes[e] == size && memcmp(p->names[e], name, size) == 0) return true;
    return false;
}

/* Marks the labels of the fresh documents. */
static int find_labels(const struct mf_view *fresh, uint16_t *partition_of, struct mf_err *err) {
    struct mf_view_reader r = {.view = fresh};
    int more;
    while ((more = mf_view_next(&r, err)) > 0)
        if (r.fact.label != MF_NO_LABEL) partition_of[r.fact.label] = 1;
    mf_view_end(&r);
    return more;
}

/* Numbers the marked labels that no partition of p has, and gives their names to the partitions of `added`.
 * The others become MF_NO_PARTITION. */
static int name_added(struct mf_partition *added, const struct mf_partition *p, const struct mf_growth *g,
                      uint16_t *partition_of, struct mf_err *err) {
    const struct mf_corpus *c = g->fresh->corpus;
    size_t n = 0;
    for (size_t l = 0; l < c->n_names; l++) {
        bool is_new = partition_of[l] == 1 && !has_name(p, c->names[l], c->name_sizes[l]);
        partition_of[l] = MF_NO_PARTITION;
        if (!is_new) continue;
        if (n < added->E && mf_partition_name(added, n, c->names[l], c->name_sizes[l], err) < 0) return -1;
        partition_of[l] = (uint16_t)n++;
    }
    if (n == added->E) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: documents of %zu new domains do not make %zu more partitions",
                      g->name, n, added->E);
}

static int place_labels(const struct mf_view *fresh, const uint16_t *partition_of, struct mf_spill *places,
                        struct mf_err *err) {
    struct mf_view_reader r = {.view = fresh};
    int more;
    while ((more = mf_view_next(&r, err)) > 0) {
        size_t e = r.fact.label == MF_NO_LABEL ? MF_NO_PARTITION : partition_of[r.fact.label];
        if (mf_places_add(places, e, err) < 0) {
            more = -1;
            break;
        }
    }
    mf_view_end(&r);
    return more;
}

static int by_label(struct mf_partition *added, const struct mf_partition *p, const struct mf_growth *g,
                    struct mf_spill *places, struct mf_err *err) {
    uint16_t *partition_of = calloc(g->fresh->corpus->n_names + 1, sizeof *partition_of);
    if (!partition_of) return mf_err_set(err, EX_OSERR, "out of memory for domain names");
    int status = find_labels(g->fresh, partition_of, err);
    if (status == 0) status = name_added(added, p, g, partition_of, err);
    if (status == 0) status = place_labels(g->fresh, partition_of, places, err);
    free(partition_of);
    if (status < 0) return -1;
    return mf_view_centroids(g->fresh, places, p->terms.count, added->E, added->centroids, err);
}

static int divide_fresh(struct mf_partition *added, const struct mf_partition *p, const struct mf_growth *g,
                        struct mf_spill *places, struct mf_err *err) {
    if (p->method == MF_DOMAIN) return by_label(added, p, g, places, err);
    if (g->fresh->n < added->E)
        return mf_err_set(err, EX_DATAERR,
                          "%s: %zu document%s not seen before: too few for %zu more partition%s "
                          "(model.n_experts=%zu does, or more text)",
                          g->name, g->fresh->n, g->fresh->n == 1 ? "" : "s", added->E,
                          added->E == 1 ? "" : "s", p->E + g->fresh->n);
    return mf_plan_make(added, p->E, g->fresh, g->params, g->memory, places, err);
}

static void move_names(struct mf_partition *to, size_t at, struct mf_partition *from) {
    for (size_t e = 0; e < from->E; e++) {
        to->names[at + e] = from->names[e];
        to->name_sizes[at + e] = from->name_sizes[e];
        from->names[e] = NULL;
    }
}

/* Appends the partitions of `added` to those of *p. */
static int widen(struct mf_partition *p, struct mf_partition *added, struct mf_err *err) {
    struct mf_partition to = *p;
    size_t E = p->E, k = added->E;
    to.E = E + k;
    if (mf_partition_alloc(&to, err) < 0) {
        to.terms = (struct mf_terms){0}; /* still p's */
        to.table = (struct mf_spill){0};
        mf_partition_free(&to);
        return -1;
    }
    for (size_t t = 0; t < p->terms.count; t++) {
        memcpy(to.centroids + t * to.E, p->centroids + t * E, E * sizeof *to.centroids);
        memcpy(to.centroids + t * to.E + E, added->centroids + t * k, k * sizeof *to.centroids);
    }
    memcpy(to.prices, p->prices, E * sizeof *to.prices);
    memcpy(to.prices + E, added->prices, k * sizeof *to.prices);
    memcpy(to.rates, p->rates, E * sizeof *to.rates);
    memcpy(to.origins, p->origins, E * sizeof *to.origins);
    move_names(&to, 0, p);
    move_names(&to, E, added);
    p->terms = (struct mf_terms){0};
    p->table = (struct mf_spill){0};
    mf_partition_free(p);
    *p = to;
    return 0;
}

int mf_partition_grow(struct mf_partition *p, size_t E, const struct mf_growth *g, struct mf_spill *places,
                      struct mf_err *err) {
    struct mf_partition added = {.method = p->method,
                                 .E = E - p->E,
                                 .seed = p->seed,
                                 .balance = p->balance,
                                 .vocab = p->vocab,
                                 .terms = p->terms};
    if (p->method == MF_CURRICULUM)
        return mf_err_set(err, EX_USAGE, "a curriculum is divided anew, it cannot get more partitions");
    int status = mf_partition_alloc(&added, err);
    if (status == 0) status = divide_fresh(&added, p, g, places, err);
    if (status == 0) status = widen(p, &added, err);
    added.terms = (struct mf_terms){0}; /* p's */
    mf_partition_free(&added);
    return status;
}
