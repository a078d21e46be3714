/* The four ways to divide documents, and overlap between the partitions. */
#include "partition/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "partition/assign.h"
#include "partition/general.h"

int mf_plan_alloc(struct mf_plan *plan, size_t n, size_t E, struct mf_err *err) {
    *plan = (struct mf_plan){.n = n, .E = E};
    if (n <= SIZE_MAX / sizeof(float) / E) plan->scores = calloc(n * E + 1, sizeof *plan->scores);
    plan->partition = calloc(n + 1, sizeof *plan->partition);
    if (plan->scores && plan->partition) return 0;
    return mf_err_set(err, EX_OSERR, "out of memory for %zu documents in %zu partitions", n, E);
}

void mf_plan_free(struct mf_plan *plan) {
    free(plan->partition);
    free(plan->scores);
    free(plan->extra);
    *plan = (struct mf_plan){0};
}

/* --- curriculum --- */

struct scaled {
    float difficulty;
    uint32_t document;
};

static int by_difficulty(const void *a, const void *b) {
    const struct scaled *x = a, *y = b;
    if (x->difficulty != y->difficulty) return x->difficulty < y->difficulty ? -1 : 1;
    return x->document < y->document ? -1 : x->document > y->document;
}

int mf_plan_curriculum(const float *difficulty, const uint32_t *tokens, size_t n, size_t E,
                       uint16_t *partition, double *upper, float *scores, struct mf_err *err) {
    double total = 0, passed = 0;
    struct scaled *scale = malloc((n + 1) * sizeof *scale);
    double *begin = calloc(E + 1, sizeof *begin); /* tokens before each partition */
    if (!scale || !begin) {
        free(scale);
        free(begin);
        return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", n);
    }
    for (size_t i = 0; i < n; i++) {
        scale[i] = (struct scaled){difficulty[i], (uint32_t)i};
        total += tokens[i];
    }
    qsort(scale, n, sizeof *scale, by_difficulty);
    size_t e = 0;
    for (size_t rank = 0; rank < n; rank++) {
        size_t i = scale[rank].document;
        double middle = total > 0 ? (passed + tokens[i] / 2.0) / total : (double)rank / (double)n;
        size_t want = (size_t)(middle * (double)E);
        /* Go on by one partition at most, so that none is empty, and leave a document for each partition
         * still to come.
         */
        if (rank > 0 && e + 1 < E && (want > e || n - rank <= E - 1 - e)) begin[++e] = passed;
        partition[i] = (uint16_t)e;
        upper[e] = scale[rank].difficulty;
        passed += tokens[i];
    }
    begin[E] = total;
    passed = 0;
    for (size_t rank = 0; scores && rank < n; rank++) {
        size_t i = scale[rank].document;
        double from = passed, to = passed + tokens[i];
        for (size_t f = 0; f < E; f++)
            scores[i * E + f] = (float)-fmax(0, fmax(begin[f] - to, from - begin[f + 1]));
        passed = to;
    }
    free(scale);
    free(begin);
    return 0;
}

/* --- the methods --- */

static double capacity(const struct mf_corpus *corpus, double balance, size_t E) {
    return balance * (double)corpus->total / (double)E;
}

static int by_random(struct mf_plan *plan, struct mf_partition *saved, const struct mf_corpus *corpus,
                     const struct mf_plan_params *params, struct mf_err *err) {
    for (size_t i = 0; i < plan->n; i++)
        for (size_t e = 0; e < plan->E; e++)
            plan->scores[i * plan->E + e] = mf_partition_random(params->seed, corpus->fingerprints[i], e);
    return mf_assign_balanced(plan->scores, corpus->tokens, plan->n, plan->E,
                              capacity(corpus, params->balance, plan->E), plan->partition, saved->prices,
                              err);
}

static int by_domain(struct mf_plan *plan, struct mf_partition *saved, const struct mf_corpus *corpus,
                     struct mf_err *err) {
    for (size_t i = 0; i < plan->n; i++) plan->partition[i] = corpus->labels[i];
    for (size_t e = 0; e < plan->E; e++)
        if (mf_partition_name(saved, e, corpus->names[e], corpus->name_sizes[e], err) < 0) return -1;
    return 0;
}

/* How many partitions there will be, or 0 with an error. */
static size_t count_partitions(const struct mf_corpus *corpus, const struct mf_plan_params *params,
                               const char *name, struct mf_err *err) {
    size_t E = params->partitions;
    if (corpus->count == 0) return mf_err_set(err, EX_DATAERR, "%s: no documents to partition", name), 0;
    if (params->method == MF_DOMAIN) {
        for (size_t i = 0; i < corpus->count; i++)
            if (corpus->labels[i] == MF_NO_LABEL)
                return mf_err_set(err, EX_DATAERR, "%s: record %zu has no domain to partition by", name,
                                  i + 1),
                       0;
        if (E != 0 && E != corpus->n_names)
            return mf_err_set(err, EX_DATAERR,
                              "%s: documents of %zu domains do not make %zu partitions by domain "
                              "(model.n_experts=%zu does)",
                              name, corpus->n_names, E, corpus->n_names),
                   0;
        E = corpus->n_names;
    }
    if (corpus->count < E)
        return mf_err_set(
                   err, EX_DATAERR,
                   "%s: %zu document%s too few for %zu partitions (model.n_experts=%zu does, or shorter blocks "
                   "by docs.max_chars)",
                   name, corpus->count, corpus->count == 1 ? " is" : "s are", E, corpus->count),
               0;
    if (E > MF_PARTITIONS_MAX)
        return mf_err_set(err, EX_DATAERR, "%s: %zu partitions are more than %d", name, E, MF_PARTITIONS_MAX),
               0;
    return E;
}

int mf_plan_make(struct mf_plan *plan, struct mf_partition *saved, const struct mf_corpus *corpus,
                 const struct mf_sketches *sketches, const struct mf_plan_params *params, const char *name,
                 struct mf_pool *pool, struct mf_err *err) {
    size_t n = corpus->count, F = saved->terms.count, E = count_partitions(corpus, params, name, err);
    *plan = (struct mf_plan){0};
    if (E == 0) return -1;
    saved->method = params->method;
    saved->E = E;
    saved->seed = params->seed;
    saved->documents = n;
    saved->balance = params->balance;
    saved->overlap = params->overlap;
    saved->general = params->general;
    saved->vocab = corpus->header.vocab;
    memcpy(saved->tokenizer, corpus->header.tokenizer, sizeof saved->tokenizer);
    if (mf_partition_alloc(saved, err) < 0 || mf_plan_alloc(plan, n, E, err) < 0) return -1;
    int result = 0;
    if (params->method == MF_CLUSTERED) {
        struct mf_kmeans_params k = {E, params->balance, params->restarts, params->iterations, params->seed};
        result = mf_kmeans(sketches, corpus->tokens, F, &k, pool, plan->partition, plan->scores,
                           saved->centroids, saved->prices, err);
    } else if (params->method == MF_RANDOM) {
        result = by_random(plan, saved, corpus, params, err);
    } else if (params->method == MF_CURRICULUM) {
        result = mf_plan_curriculum(corpus->difficulty, corpus->tokens, n, E, plan->partition, saved->upper,
                                    plan->scores, err);
    } else {
        result = by_domain(plan, saved, corpus, err);
    }
    if (result < 0) return -1;
    /* Clusters keep the centroids that made them; the others get theirs for the table, and domains for new
     * documents. */
    if (params->method != MF_CLUSTERED &&
        mf_centroids(sketches, NULL, n, plan->partition, F, E, saved->centroids, pool, err) < 0)
        return -1;
    if (params->method == MF_DOMAIN) mf_scores(sketches, NULL, n, saved->centroids, E, plan->scores, pool);
    for (size_t i = 0; i < n; i++) {
        saved->sizes[plan->partition[i]]++;
        saved->n_tokens[plan->partition[i]] += corpus->tokens[i];
    }
    mf_general_set(saved);
    if (mf_partition_remember(saved, corpus->fingerprints, plan->partition, err) < 0) return -1;
    return mf_plan_overlap(plan, corpus->tokens, params->overlap, err);
}

/* --- overlap --- */

struct candidate {
    float score;
    uint32_t document;
};

static int by_score(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->document < y->document ? -1 : x->document > y->document;
}

int mf_plan_overlap(struct mf_plan *plan, const uint32_t *tokens, double overlap, struct mf_err *err) {
    size_t row = (plan->n + 7) / 8;
    if (!(overlap > 0)) return 0;
    struct candidate *candidates = malloc((plan->n + 1) * sizeof *candidates);
    plan->extra = calloc(plan->E, row + 1);
    if (!candidates || !plan->extra) {
        free(candidates);
        return mf_err_set(err, EX_OSERR, "out of memory for the overlap of %zu documents", plan->n);
    }
    for (size_t e = 0; e < plan->E; e++) {
        double own = 0, added = 0;
        size_t count = 0;
        for (size_t i = 0; i < plan->n; i++) {
            if (plan->partition[i] == e)
                own += tokens[i];
            else
                candidates[count++] = (struct candidate){plan->scores[i * plan->E + e], (uint32_t)i};
        }
        qsort(candidates, count, sizeof *candidates, by_score);
        for (size_t k = 0; k < count && added < overlap * own; k++) {
            size_t i = candidates[k].document;
            plan->extra[e * row + i / 8] |= (unsigned char)(1 << i % 8);
            added += tokens[i];
        }
    }
    free(candidates);
    return 0;
}

int mf_plan_has(const struct mf_plan *plan, size_t document, size_t e) {
    if (plan->partition[document] == e) return 1;
    size_t row = (plan->n + 7) / 8;
    return plan->extra && (plan->extra[e * row + document / 8] >> document % 8 & 1);
}
