/* Opening a prefix router: where its columns are, in what units, and the head that follows its scores. */
#include "export/prefix_router.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include "base/memory.h"
#include "model/tensors.h"
#include "model/weights.h"
#include "export/normed_fit.h"
#include "export/prefix_internal.h"
#include "export/score_fit.h"

#define MULTIPLE  32   /* of columns: blocks of quantised numbers */
#define DEVIATION 1e-2 /* of a score at most: no token's weight is off by more than this share of it */

/* --- units --- */

void prefix_token_scores(const struct prefix_router *r, size_t token, double *scores) {
    const struct mf_moe *m = r->model;
    double mean = 0;
    bool known = m->log_likelihood && (int64_t)token != m->specials.bos && (int64_t)token != m->specials.pad;
    for (size_t e = 0; e < r->E; e++) {
        scores[e] = known ? (double)m->log_likelihood[e * m->shape.V + token] : 0;
        mean += scores[e] / (double)r->E;
    }
    for (size_t e = 0; e < r->E; e++) scores[e] -= mean;
}

double prefix_mean_square(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum / (double)n;
}

/* The largest score of all tokens becomes 1. */
static void find_score_unit(struct prefix_router *r) {
    double *scores = calloc(r->E, sizeof *scores), max = 0;
    if (!scores) mf_no_memory();
    for (size_t token = 0; token < r->model->shape.V; token++) {
        prefix_token_scores(r, token, scores);
        for (size_t e = 0; e < r->E; e++) max = fmax(max, fabs(scores[e]));
    }
    free(scores);
    r->score_unit = max > 0 ? 1 / max : 1;
}

/* The rms of the embedding. */
static int find_mean_unit(struct prefix_router *r, size_t embedding, struct mf_err *err) {
    float *row = calloc(r->D, sizeof *row);
    double total = 0;
    int status = 0;
    if (!row) mf_no_memory();
    for (size_t token = 0; token < r->model->shape.V && status == 0; token++) {
        status = mf_weights_read(mf_moe_weights(r->model), embedding, token * r->D, r->D, row, err);
        total += prefix_mean_square(row, r->D) / (double)r->model->shape.V;
    }
    free(row);
    r->mean_unit = total > 0 ? sqrt(total) : 1;
    return status;
}

/* --- the head of layer 0 --- */

/* Scores against a token at a distance D become D ln(decay), against BOS ln(bos_weight): after the softmax a
 * token weighs decay^D / (bos_weight + s). */
static int fit_free_head(struct prefix_router *r, const double *frequencies, struct mf_err *err) {
    const struct mf_shape *s = &r->model->shape;
    const struct mf_router *router = &r->model->router;
    size_t d = r->d;
    double off = fmax(score_fit(r->key, frequencies, d, s->S, 0, log(router->decay)),
                      score_fit(r->bos_key, frequencies, d, s->S, log(router->bos_weight), 0)),
           max = 1e-30;
    if (!(off <= DEVIATION))
        return mf_err_set(
            err, EX_DATAERR,
            "%s: heads of %zu columns and rope_theta %g cannot follow the prefix router's scores over %zu "
            "tokens (off by %.2g); longer heads do, a shorter model.context, or router.kind=hidden",
            r->model->name, d, s->rope_theta, s->S, off);
    for (size_t i = 0; i < d; i++) max = fmax(max, fmax(fabs(r->key[i]), fabs(r->bos_key[i])));
    double even = sqrt(max * sqrt((double)d)); /* queries and keys of the same size */
    for (size_t i = 0; i < d; i++) {
        r->query[i] = i < d / 2 ? even : 0;
        r->key[i] *= sqrt((double)d) / even;
        r->bos_key[i] *= sqrt((double)d) / even;
    }
    return 0;
}

/* The gains of layer 0's norm of queries or keys, whose pointer is at `view`, into gains [d]. */
static int read_gains(const struct prefix_router *r, size_t view, float *gains, struct mf_err *err) {
    const struct mf_weights *weights = mf_moe_weights(r->model);
    struct mf_tensor list[MF_TABLE_MAX];
    size_t views[MF_TABLE_MAX], i = 0, index;
    mf_table_tensors(&r->model->shape, MF_TABLE_LAYER, 0, 0, 0, 0, list, views);
    while (views[i] != view) i++;
    if (mf_weights_find(weights, list[i].name, r->d, 0, &index, err) < 0 ||
        mf_weights_read(weights, index, 0, r->d, gains, err) < 0)
        return -1;
    if (!mf_finite(gains, r->d))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds a NaN or infinity", r->model->name,
                          list[i].name);
    return 0;
}

/* Where queries and keys are normed, the new head has the gains of the model's own heads; what it follows are
 * the weights after the softmax. */
static int fit_normed_head(struct prefix_router *r, const double *frequencies, const float *gains,
                           struct mf_err *err) {
    const struct mf_shape *s = &r->model->shape;
    const struct mf_router *router = &r->model->router;
    const struct normed_head head = {.d = r->d,
                                     .S = s->S,
                                     .frequencies = frequencies,
                                     .q_gain = gains,
                                     .k_gain = gains + r->d,
                                     .norm_eps = s->norm_eps * (double)r->D / (double)r->N,
                                     .bos_weight = router->bos_weight,
                                     .decay = router->decay};
    double off = normed_fit(&head, r->query, r->key, r->bos_key);
    if (off <= DEVIATION) return 0;
    return mf_err_set(
        err, EX_DATAERR,
        "%s: heads of %zu columns with norms of queries and keys (model.qk_norm) cannot follow the prefix "
        "router's weights over %zu tokens (bos_weight %g, decay %g: off by %.2g of the tokens' weight); longer "
        "heads do, a shorter model.context, %sor router.kind=hidden",
        r->model->name, r->d, s->S, router->bos_weight, router->decay, off,
        router->decay < 1 ? "a decay nearer 1 (try calibrate.changes=0), " : "");
}

static int fit_head(struct prefix_router *r, struct mf_err *err) {
    const struct mf_shape *s = &r->model->shape;
    double *frequencies = calloc(r->d / 2, sizeof *frequencies);
    float *gains = calloc(2 * r->d, sizeof *gains);
    int status = 0;
    if (!frequencies || !gains) mf_no_memory();
    rope_frequencies(frequencies, r->d, s->rope_theta);
    if (s->stretch.factor != 0) rope_stretch(frequencies, r->d, &s->stretch);
    if (!s->qk_norm)
        status = fit_free_head(r, frequencies, err);
    else if (read_gains(r, offsetof(struct mf_backbone_layer, q_norm), gains, err) < 0 ||
             read_gains(r, offsetof(struct mf_backbone_layer, k_norm), gains + r->d, err) < 0)
        status = -1;
    else
        status = fit_normed_head(r, frequencies, gains, err);
    free(frequencies);
    free(gains);
    return status;
}

/* --- opening --- */

static int check(const struct mf_moe *m, struct mf_err *err) {
    if (m->specials.bos < 0)
        return mf_err_set(err, EX_DATAERR, "%s: its router counts from BOS, and its tokenizer has none",
                          m->name);
    if (!(m->router.decay > 0))
        return mf_err_set(err, EX_DATAERR, "%s: the router's decay is %g, must be above 0", m->name,
                          m->router.decay);
    return 0;
}

static void place_columns(struct prefix_router *r) {
    size_t width = r->D + 3 + 2 * r->E;
    r->constant = r->D;
    r->is_bos = r->D + 1;
    r->scores = r->D + 2;
    r->means = r->scores + r->E;
    r->bos_weight = r->means + r->E;
    r->N = (width + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
}

int prefix_router_new(struct prefix_router **router, const struct mf_moe *m, size_t embedding,
                      struct mf_err *err) {
    const struct mf_shape *s = &m->shape;
    if (check(m, err) < 0) return -1;
    struct prefix_router *r = calloc(1, sizeof *r);
    if (!r) mf_no_memory();
    *r = (struct prefix_router){
        .model = m, .D = s->D, .E = m->router.n_experts, .d = s->d, .group = s->H / s->K};
    r->heads = (r->E + r->d) / r->d; /* E means and BOS's weight */
    r->query = calloc(3 * r->d, sizeof *r->query);
    if (!r->query) mf_no_memory();
    r->key = r->query + r->d;
    r->bos_key = r->key + r->d;
    place_columns(r);
    find_score_unit(r);
    *router = r;
    if (fit_head(r, err) == 0 && find_mean_unit(r, embedding, err) == 0) return 0;
    prefix_router_free(r);
    *router = NULL;
    return -1;
}

void prefix_router_free(struct prefix_router *r) {
    if (!r) return;
    free(r->query);
    free(r);
}

void prefix_router_shape(const struct prefix_router *r, struct mf_shape *shape) {
    shape->D = r->N;
    shape->K += r->heads;
    shape->H += r->heads * r->group;
    shape->norm_eps *= (double)r->D / (double)r->N;
}
