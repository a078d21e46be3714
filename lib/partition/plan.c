/* The methods: clusters and random numbers of a sample or of all, domains, the curriculum. */
#include "partition/plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "partition/assign.h"
#include "partition/balance.h"
#include "partition/kmeans.h"
#include "partition/near.h"

/* --- how many --- */

static int check_labels(const struct mf_corpus *corpus, size_t E, const char *name, struct mf_err *err) {
    struct mf_facts facts = {.corpus = corpus};
    struct mf_fact fact;
    int more = 0;
    for (size_t i = 1; (more = mf_facts_next(&facts, &fact, err)) > 0; i++)
        if (fact.label == MF_NO_LABEL) {
            more = mf_err_set(err, EX_DATAERR, "%s: record %zu has no domain to partition by", name, i);
            break;
        }
    mf_facts_end(&facts);
    if (more < 0 || E == 0 || E == corpus->n_names) return more;
    return mf_err_set(err, EX_DATAERR,
                      "%s: documents of %zu domains do not make %zu partitions by domain "
                      "(model.n_experts=%zu does)",
                      name, corpus->n_names, E, corpus->n_names);
}

int mf_plan_count(size_t *E, const struct mf_corpus *corpus, const struct mf_plan_params *params,
                  const char *name, struct mf_err *err) {
    *E = params->partitions;
    if (corpus->count == 0) return mf_err_set(err, EX_DATAERR, "%s: no documents to partition", name);
    if (params->method == MF_DOMAIN) {
        if (check_labels(corpus, *E, name, err) < 0) return -1;
        *E = corpus->n_names;
    }
    if (corpus->count < *E)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: %zu document%s too few for %zu partitions (model.n_experts=%zu%s does, or shorter blocks "
            "by docs.max_chars)",
            name, corpus->count, corpus->count == 1 ? " is" : "s are", *E, corpus->count,
            corpus->count == 1 ? " model.top_k=1" : "");
    if (*E > MF_PARTITIONS_MAX)
        return mf_err_set(err, EX_DATAERR, "%s: %zu partitions are more than %d", name, *E,
                          MF_PARTITIONS_MAX);
    return 0;
}

/* --- the methods --- */

struct making {
    struct mf_partition *p;
    size_t first;
    const struct mf_view *view;
    const struct mf_plan_params *params;
    struct mf_spill *places;
};

/* Few documents and partitions are divided in memory. */
static bool is_small(const struct making *m) {
    return m->view->n <= MF_SAMPLE && m->p->E <= MF_FLAT;
}

struct candidates {
    struct mf_spill spill;
    double total; /* tokens */
};

static int add_candidate(void *context, size_t document, const struct mf_fact *fact,
                         const struct mf_near *near, size_t n, struct mf_err *err) {
    struct candidates *c = context;
    (void)document;
    c->total += fact->tokens;
    return mf_candidates_add(&c->spill, fact->tokens, near, n, err);
}

/* All documents by their nearest partitions. */
static int balance_all(struct making *m, struct mf_err *err) {
    struct candidates c = {0};
    struct mf_nearness *nearness;
    size_t E = m->p->E;
    if (mf_nearness_new(&nearness, m->p, m->first, m->view->pool, err) < 0) return -1;
    int status = mf_nearness_all(nearness, m->view, E < MF_NEAREST ? E : MF_NEAREST, add_candidate, &c, err);
    mf_nearness_free(nearness);
    if (status == 0)
        status = mf_balance(&c.spill, m->view->n, E, m->p->balance * c.total / (double)E, m->p->prices,
                            m->places, err);
    mf_spill_free(&c.spill);
    return status;
}

static int put_places(struct mf_spill *places, const uint16_t *partition, size_t n, struct mf_err *err) {
    return mf_spill_append(places, partition, n * sizeof *partition, err);
}

static int by_clusters(struct making *m, struct mf_err *err) {
    struct mf_sample s;
    struct mf_partition *p = m->p;
    struct mf_kmeans_params k = {p->E, p->balance, m->params->restarts, m->params->iterations, p->seed};
    uint16_t *partition = NULL;
    int status = mf_sample_take(&s, m->view, err);
    if (status == 0 && !(partition = malloc((s.n + 1) * sizeof *partition)))
        status = mf_err_set(err, EX_OSERR, "out of memory for %zu documents", s.n);
    if (status == 0 && p->E <= MF_FLAT)
        status = mf_kmeans(s.sketches, NULL, s.n, s.tokens, p->terms.count, &k, m->view->pool, partition,
                           p->centroids, p->prices, err);
    else if (status == 0)
        status =
            mf_kmeans_levels(s.sketches, s.n, s.tokens, p->terms.count, &k, m->view->pool, p->centroids, err);
    if (status == 0 && is_small(m)) status = put_places(m->places, partition, s.n, err);
    free(partition);
    mf_sample_free(&s);
    return status < 0 || is_small(m) ? status : balance_all(m, err);
}

static int by_few_random(struct making *m, struct mf_err *err) {
    struct mf_view_reader r = {.view = m->view};
    size_t n = m->view->n, E = m->p->E, i = 0;
    float *scores = malloc((n * E + 1) * sizeof *scores);
    uint32_t *tokens = malloc((n + 1) * sizeof *tokens);
    uint16_t *partition = malloc((n + 1) * sizeof *partition);
    double total = 0;
    int status =
        scores && tokens && partition ? 0 : mf_err_set(err, EX_OSERR, "out of memory for %zu documents", n);
    for (; status == 0 && i < n && (status = mf_view_next(&r, err)) > 0; i++, status = 0) {
        total += tokens[i] = r.fact.tokens;
        for (size_t e = 0; e < E; e++)
            scores[i * E + e] = mf_partition_random(m->p->seed, r.fact.fingerprint, m->first + e);
    }
    mf_view_end(&r);
    if (status == 0)
        status = mf_assign_balanced(scores, tokens, n, E, m->p->balance * total / (double)E, partition,
                                    m->p->prices, err);
    if (status == 0) status = put_places(m->places, partition, n, err);
    free(scores);
    free(tokens);
    free(partition);
    return status;
}

static int by_labels(struct making *m, struct mf_err *err) {
    struct mf_view_reader r = {.view = m->view};
    int more;
    while ((more = mf_view_next(&r, err)) > 0)
        if (mf_places_add(m->places, r.fact.label, err) < 0) {
            more = -1;
            break;
        }
    mf_view_end(&r);
    return more;
}

int mf_plan_make(struct mf_partition *p, size_t first, const struct mf_view *view,
                 const struct mf_plan_params *params, size_t memory, struct mf_spill *places,
                 struct mf_err *err) {
    struct making m = {p, first, view, params, places};
    int status = 0;
    if (p->method == MF_CLUSTERED) return by_clusters(&m, err);
    if (p->method == MF_RANDOM)
        status = is_small(&m) ? by_few_random(&m, err) : balance_all(&m, err);
    else if (p->method == MF_CURRICULUM)
        status = mf_plan_curriculum(view, p->E, memory, p->upper, places, err);
    else
        status = by_labels(&m, err);
    /* Clusters keep the centroids that made them; the others get theirs for the table, and domains for new
     * documents. */
    if (status < 0) return -1;
    return mf_view_centroids(view, places, p->terms.count, p->E, p->centroids, err);
}
