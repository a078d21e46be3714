/* The new columns, and the numbers that fill them. Names are those of the formula in the header; x is a row
 * of the residual stream, R its rms over the first D columns.
 *
 * Norms divide by the rms over N columns, which is R sqrt(D/N) as long as the new columns are small (DELTA):
 * gains times sqrt(D/N) and epsilon times D/N make up for it. A gain of sqrt(D/N)/DELTA makes of a new column
 * DELTA y the number y/R; of an embedding's columns that have a factor R in them (see `lift`), just y. */
#include "export/prefix_router.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "model/weights.h"
#include "export/score_fit.h"

#define DELTA     0x1p-8 /* the norm's relative error grows as DELTA^2 */
#define MULTIPLE  32     /* of columns: blocks of quantised numbers */
#define DEVIATION 1e-3   /* of a score at most: the weight of a token is off by as much */

struct prefix_router {
    const struct mf_moe *model;
    size_t D, N, E, d, heads, group;                    /* key heads to add, query heads of each */
    size_t constant, is_bos, scores, means, bos_weight; /* the new columns; scores and means of E each */
    double score_unit;                                  /* times a score: up to 1 */
    double mean_unit;              /* times a mean, in the stream: of an embedding's size */
    double *query, *key, *bos_key; /* [d] before they are turned; BOS's in all */
};

/* --- what a token brings --- */

/* Scores [E] without what all experts have in common; zeros of a token that says nothing. */
static void token_scores(const struct prefix_router *r, size_t token, double *scores) {
    const struct mf_moe *m = r->model;
    double mean = 0;
    bool known = m->log_likelihood && (int64_t)token != m->specials.bos && (int64_t)token != m->specials.pad;
    for (size_t e = 0; e < r->E; e++) {
        scores[e] = known ? (double)m->log_likelihood[e * m->shape.V + token] : 0;
        mean += scores[e] / (double)r->E;
    }
    for (size_t e = 0; e < r->E; e++) scores[e] -= mean;
}

static double mean_square(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum / (double)n;
}

/* The largest score of all tokens becomes 1. */
static void find_score_unit(struct prefix_router *r) {
    double *scores = calloc(r->E, sizeof *scores), most = 0;
    if (!scores) mf_no_memory();
    for (size_t token = 0; token < r->model->shape.V; token++) {
        token_scores(r, token, scores);
        for (size_t e = 0; e < r->E; e++) most = fmax(most, fabs(scores[e]));
    }
    free(scores);
    r->score_unit = most > 0 ? 1 / most : 1;
}

/* The rms of the embedding. */
static int find_mean_unit(struct prefix_router *r, size_t embedding, struct mf_err *err) {
    float *row = calloc(r->D, sizeof *row);
    double total = 0;
    int status = 0;
    if (!row) mf_no_memory();
    for (size_t token = 0; token < r->model->shape.V && status == 0; token++) {
        status = mf_weights_read(mf_moe_weights(r->model), embedding, token * r->D, r->D, row, err);
        total += mean_square(row, r->D) / (double)r->model->shape.V;
    }
    free(row);
    r->mean_unit = total > 0 ? sqrt(total) : 1;
    return status;
}

/* An embedding's new columns: DELTA * lift * y, where lift is the row's R with these columns counted in, so
 * that layer 0's norm makes y of them exactly. y is 1, for BOS 1, the scores. */
static void fill_embedding(const struct prefix_router *r, size_t token, float *row) {
    double *y = calloc(r->N - r->D, sizeof *y), square = 0;
    if (!y) mf_no_memory();
    y[r->constant - r->D] = 1;
    y[r->is_bos - r->D] = (int64_t)token == r->model->specials.bos;
    token_scores(r, token, y + (r->scores - r->D));
    for (size_t e = 0; e < r->E; e++) y[r->scores - r->D + e] *= r->score_unit;
    for (size_t i = 0; i < r->N - r->D; i++) square += y[i] * y[i];
    double lift = sqrt((mean_square(row, r->D) + r->model->shape.norm_eps) /
                       (1 - DELTA * DELTA * square / (double)r->D));
    for (size_t i = 0; i < r->N - r->D; i++) row[r->D + i] = (float)(DELTA * lift * y[i]);
    free(y);
}

/* --- the head of layer 0 --- */

/* Scores against a token at a distance D become D ln(decay), against BOS ln(bos_weight): after the softmax a
 * token weighs decay^D / (bos_weight + s). */
static int fit_head(struct prefix_router *r, struct mf_err *err) {
    const struct mf_shape *s = &r->model->shape;
    const struct mf_router *router = &r->model->router;
    size_t d = r->d;
    double *frequencies = r->query; /* at first */
    rope_frequencies(frequencies, d, s->rope_theta);
    if (s->stretch.factor != 0) rope_stretch(frequencies, d, &s->stretch);
    double off = fmax(score_fit(r->key, frequencies, d, s->S, 0, log(router->decay)),
                      score_fit(r->bos_key, frequencies, d, s->S, log(router->bos_weight), 0)),
           most = 1e-30;
    if (!(off <= DEVIATION))
        return mf_err_set(
            err, EX_DATAERR,
            "%s: heads of %zu columns and rope_theta %g cannot follow the prefix router's scores over %zu "
            "tokens (off by %.2g)",
            r->model->name, d, s->rope_theta, s->S, off);
    for (size_t i = 0; i < d; i++) most = fmax(most, fmax(fabs(r->key[i]), fabs(r->bos_key[i])));
    double even = sqrt(most * sqrt((double)d)); /* queries and keys of the same size */
    for (size_t i = 0; i < d; i++) {
        r->query[i] = i < d / 2 ? even : 0;
        r->key[i] *= sqrt((double)d) / even;
        r->bos_key[i] *= sqrt((double)d) / even;
    }
    return 0;
}

/* --- opening --- */

static int check(const struct mf_moe *m, struct mf_err *err) {
    if (m->specials.bos < 0)
        return mf_err_set(err, EX_DATAERR, "%s: its router counts from BOS, and its tokenizer has none",
                          m->name);
    if (m->shape.qk_norm)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: a prefix router in plain weights needs keys of any length, and norms of queries "
            "and keys (model.qk_norm) leave them only one",
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

/* --- tensors --- */

/* A norm's gains; in [from, to) those that let new columns through. */
static void fill_gains(const struct prefix_router *r, float *gains, size_t from, size_t to) {
    double same = sqrt((double)r->D / (double)r->N);
    for (size_t i = 0; i < r->D; i++) gains[i] = (float)((double)gains[i] * same);
    for (size_t i = from; i < to; i++) gains[i] = (float)(same / DELTA);
}

/* Row `row` of the new query heads: the first of each group asks. */
static void fill_query(const struct prefix_router *r, size_t row, float *to) {
    if (row / r->d % r->group == 0) to[r->constant] = (float)r->query[row % r->d];
}

static void fill_key(const struct prefix_router *r, size_t row, float *to) {
    size_t i = row % r->d;
    to[r->constant] = (float)r->key[i];
    to[r->is_bos] = (float)(r->bos_key[i] - r->key[i]);
}

/* The values are the scores, and behind the last one 1 for BOS. */
static void fill_value(const struct prefix_router *r, size_t row, float *to) {
    if (row < r->E) to[r->scores + row] = 1;
    if (row == r->E) to[r->is_bos] = 1;
}

/* Row `row` of the new ones takes value row - means from the head that has it: new query heads are behind the
 * model's own H. */
static void fill_out(const struct prefix_router *r, size_t row, float *to) {
    size_t value = row - r->means, head = r->model->shape.H + value / r->d * r->group;
    if (row < r->means || value > r->E) return;
    to[head * r->d + value % r->d] = (float)(DELTA * r->mean_unit);
}

/* The gate of expert e reads its mean, and BOS's weight for its prior. */
static void fill_gate(const struct prefix_router *r, size_t layer, size_t e, float *to) {
    const struct mf_router *router = &r->model->router;
    double scale = router->score_scale * router->layer_scale[layer] / r->mean_unit;
    to[r->means + e] = (float)(scale / r->score_unit);
    to[r->bos_weight] = (float)(scale * router->prior[e] / router->bos_weight);
}

static void fill_row(const struct prefix_router *r, struct mf_plain_role role, size_t row, float *to) {
    const struct mf_shape *s = &r->model->shape;
    bool first = role.layer == 0;
    switch (role.kind) {
    case MF_PLAIN_EMBEDDING:
        fill_embedding(r, row, to);
        break;
    case MF_PLAIN_ATTN_NORM:
        fill_gains(r, to, r->constant, first ? r->means : r->constant);
        break;
    case MF_PLAIN_FFN_NORM:
        fill_gains(r, to, r->means, r->bos_weight + 1);
        break;
    case MF_PLAIN_OUT_NORM:
        fill_gains(r, to, 0, 0);
        break;
    case MF_PLAIN_ROUTER:
        fill_gate(r, role.layer, row, to);
        break;
    case MF_PLAIN_Q:
        if (first && row >= s->H * s->d) fill_query(r, row - s->H * s->d, to);
        break;
    case MF_PLAIN_K:
        if (first && row >= s->K * s->d) fill_key(r, row - s->K * s->d, to);
        break;
    case MF_PLAIN_V:
        if (first && row >= s->K * s->d) fill_value(r, row - s->K * s->d, to);
        break;
    case MF_PLAIN_O:
        if (first && row >= s->D) fill_out(r, row, to);
        break;
    default: /* zeros are what the others have */
        break;
    }
}

void prefix_router_rows(const struct prefix_router *r, struct mf_plain_role role, size_t first, size_t count,
                        size_t columns, float *rows) {
    for (size_t i = 0; i < count; i++) fill_row(r, role, first + i, rows + i * columns);
}
