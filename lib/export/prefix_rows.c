/* The new columns, and the numbers that fill them. Names are those of the formula in the header; x is a row
 * of the residual stream, R its rms over the first D columns.
 *
 * Norms divide by the rms over N columns, which is R sqrt(D/N) as long as the new columns are small (DELTA):
 * gains times sqrt(D/N) and epsilon times D/N make up for it. A gain of sqrt(D/N)/DELTA makes of a new column
 * DELTA y the number y/R; of an embedding's columns that have a factor R in them (see `lift`), just y. */
#include <math.h>
#include <stdlib.h>
#include "base/memory.h"
#include "export/prefix_internal.h"

#define DELTA 0x1p-8 /* the norm's relative error grows as DELTA^2 */

/* An embedding's new columns: DELTA * lift * y, where lift is the row's R with these columns counted in, so
 * that layer 0's norm makes y of them exactly. y is 1, for BOS 1, the scores. */
static void fill_embedding(const struct prefix_router *r, size_t token, float *row) {
    double *y = calloc(r->N - r->D, sizeof *y), square = 0;
    if (!y) mf_no_memory();
    y[r->constant - r->D] = 1;
    y[r->is_bos - r->D] = (int64_t)token == r->model->specials.bos;
    prefix_token_scores(r, token, y + (r->scores - r->D));
    for (size_t e = 0; e < r->E; e++) y[r->scores - r->D + e] *= r->score_unit;
    for (size_t i = 0; i < r->N - r->D; i++) square += y[i] * y[i];
    double lift = sqrt((prefix_mean_square(row, r->D) + r->model->shape.norm_eps) /
                       (1 - DELTA * DELTA * square / (double)r->D));
    for (size_t i = 0; i < r->N - r->D; i++) row[r->D + i] = (float)(DELTA * lift * y[i]);
    free(y);
}

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
