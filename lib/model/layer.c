/* The layer's mathematics, once: each half forward, then backward. */
#include "model/layer.h"

#include <string.h>
#include "model/weights.h"
#include "nn/attention.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/matmul.h"
#include "nn/residual.h"

static size_t rows_of(const struct mf_layer *c) {
    return c->seqs->start[c->seqs->count];
}

/* The numbers of a matrix; of one that is in a file until the next call. */
static int numbers(const struct mf_matrix *m, const float **data, struct mf_err *err) {
    *data = m->data;
    return m->data ? 0 : mf_weights_get(m->file, m->index, data, err);
}

void mf_layer_norm(const struct mf_layer *c, size_t site, const float *x, float *mean, float *rstd,
                   const float *gain, const float *bias, size_t N) {
    size_t D = c->shape->D;
    if (c->hook) {
        layernorm_forward(c->pool, c->h, NULL, NULL, x, NULL, NULL, N, D);
        c->hook(c->context, site, c->h, N);
    }
    if (!c->hook || gain) layernorm_forward(c->pool, c->h, mean, rstd, x, gain, bias, N, D);
}

/* --- attention --- */

static struct heads heads_of(const struct mf_layer *c) {
    return (struct heads){c->shape->H, c->shape->H, c->shape->D / c->shape->H};
}

/* Keeps keys and values of the rows that join the cache. */
static void cache_put(const struct mf_layer *c, const struct mf_layer_cache *cache, const float *qkv) {
    size_t D = c->shape->D, d = D / c->shape->H, N = rows_of(c);
    for (size_t h = 0; h < c->shape->H; h++) {
        size_t at = (h * cache->S + cache->length) * d;
        for (size_t n = 0; n < N; n++) {
            memcpy(cache->keys + at + n * d, qkv + (3 * n + 1) * D + h * d, d * sizeof *qkv);
            memcpy(cache->values + at + n * d, qkv + (3 * n + 2) * D + h * d, d * sizeof *qkv);
        }
    }
}

/* qkv = h W_qkv^T;  mixed = softmax(q k^T / sqrt(D/H)) v, each row over those before it and itself. */
static int attend(const struct mf_layer *c, const struct mf_trunk_layer *w, const struct mf_attention_kept *k,
                  const struct mf_layer_cache *cache, struct mf_err *err) {
    const float *qkv;
    size_t D = c->shape->D;
    if (numbers(&w->qkv, &qkv, err) < 0) return -1;
    matmul_forward(c->pool, k->qkv, c->h, qkv, rows_of(c), 3 * D, D, 0);
    if (cache) cache_put(c, cache, k->qkv);
    if (cache && cache->length > 0)
        attention_step(c->pool, k->mixed, k->qkv, cache->keys, cache->values, cache->length + 1, cache->S,
                       heads_of(c), c->scratch);
    else
        attention_forward(c->pool, k->mixed, k->lse, k->qkv, c->seqs, heads_of(c), c->scratch);
    return 0;
}

int mf_layer_attention(const struct mf_layer *c, size_t layer, const struct mf_trunk_layer *w,
                       const struct mf_attention_kept *k, const struct mf_layer_cache *cache,
                       struct dropout dropout, float *out, struct mf_err *err) {
    const float *output;
    size_t N = rows_of(c), D = c->shape->D;
    mf_layer_norm(c, layer, k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias, N);
    if (attend(c, w, k, cache, err) < 0 || numbers(&w->out, &output, err) < 0) return -1;
    if (out != k->x) memcpy(out, k->x, N * D * sizeof *out);
    if (!c->y) {
        matmul_forward(c->pool, out, k->mixed, output, N, D, D, 1);
        return 0;
    }
    matmul_forward(c->pool, c->y, k->mixed, output, N, D, D, 0);
    residual_forward(c->pool, out, c->y, NULL, dropout, N, D);
    return 0;
}

int mf_layer_attention_backward(const struct mf_layer *c, const struct mf_trunk_layer *w,
                                const struct mf_trunk_layer *g, const struct mf_attention_kept *k,
                                struct dropout dropout, float *dx, struct mf_err *err) {
    size_t N = rows_of(c), D = c->shape->D;
    const float *qkv, *output, *dy = dx;
    if (c->recompute) {
        mf_layer_norm(c, 0, k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias, N);
        if (attend(c, w, k, NULL, err) < 0) return -1;
    }
    if (dropout.p > 0) {
        residual_backward(c->pool, c->y, NULL, dx, dropout, c->sums, N, D);
        dy = c->y;
    }
    if (g->out.data) matmul_backward_weight(c->pool, g->out.data, dy, k->mixed, N, D, D);
    if (numbers(&w->out, &output, err) < 0) return -1;
    matmul_backward_input(c->pool, c->h, dy, output, N, D, D, 0);
    attention_backward(c->pool, c->wide, c->h, k->qkv, k->mixed, k->lse, c->seqs, heads_of(c), c->scratch);
    if (g->qkv.data) {
        mf_layer_norm(c, 0, k->x, NULL, NULL, w->norm_gain, w->norm_bias, N);
        matmul_backward_weight(c->pool, g->qkv.data, c->wide, c->h, N, 3 * D, D);
    }
    if (numbers(&w->qkv, &qkv, err) < 0) return -1;
    matmul_backward_input(c->pool, c->y, c->wide, qkv, N, 3 * D, D, 0);
    layernorm_backward(c->pool, dx, g->norm_gain, g->norm_bias, c->y, k->x, w->norm_gain, k->mean, k->rstd,
                       c->sums, N, D);
    return 0;
}

/* --- FFN: gelu(h fc1^T + b1) fc2^T + b2 ---
 *
 * The hidden units come in blocks, each of which meets all rows in one product, so that with `recompute` only
 * a block of them is in memory at a time. */

static size_t block_of(const struct mf_layer *c, size_t f) {
    return c->shape->F - f < c->units ? c->shape->F - f : c->units;
}

/* y = FFN(h) but for its last bias. */
static int ffn(const struct mf_layer *c, const struct mf_ffn_layer *w, const float *h, float *pre, size_t N,
               struct mf_err *err) {
    const float *fc1, *fc2;
    size_t D = c->shape->D, F = c->shape->F;
    for (size_t f = 0, U; f < F; f += U) {
        U = block_of(c, f);
        if (numbers(&w->fc1, &fc1, err) < 0) return -1;
        matmul_forward(c->pool, pre, h, fc1 + f * D, N, U, D, 0);
        bias_gelu_forward(c->pool, c->wide, pre, w->fc1_bias + f, N, U);
        if (numbers(&w->fc2, &fc2, err) < 0) return -1;
        matmul_forward_block(c->pool, c->y, D, c->wide, U, fc2 + f, F, N, D, U, f > 0);
    }
    return 0;
}

/* dh = gradient of h, of dy. */
static int ffn_backward(const struct mf_layer *c, const struct mf_ffn_layer *w, const struct mf_ffn_layer *g,
                        const float *h, float *pre, float *dh, const float *dy, size_t N,
                        struct mf_err *err) {
    const float *fc1, *fc2;
    size_t D = c->shape->D, F = c->shape->F;
    for (size_t f = 0, U; f < F; f += U) {
        float *dbias = g->fc1_bias ? g->fc1_bias + f : NULL;
        U = block_of(c, f);
        if (c->recompute) {
            if (numbers(&w->fc1, &fc1, err) < 0) return -1;
            matmul_forward(c->pool, pre, h, fc1 + f * D, N, U, D, 0);
        }
        if (g->fc2.data) {
            bias_gelu_forward(c->pool, c->wide, pre, w->fc1_bias + f, N, U);
            matmul_backward_weight_block(c->pool, g->fc2.data + f, F, dy, D, c->wide, U, N, D, U);
        }
        if (numbers(&w->fc2, &fc2, err) < 0) return -1;
        matmul_backward_input_block(c->pool, c->wide, U, dy, D, fc2 + f, F, N, D, U, 0);
        bias_gelu_backward(c->pool, c->wide, dbias, c->wide, pre, w->fc1_bias + f, c->sums, N, U);
        if (g->fc1.data) matmul_backward_weight(c->pool, g->fc1.data + f * D, c->wide, h, N, U, D);
        if (numbers(&w->fc1, &fc1, err) < 0) return -1;
        matmul_backward_input(c->pool, dh, c->wide, fc1 + f * D, N, U, D, f > 0);
    }
    return 0;
}

int mf_layer_ffn(const struct mf_layer *c, size_t layer, const struct mf_ffn_layer *w,
                 const struct mf_ffn_kept *k, struct dropout dropout, float *out, struct mf_err *err) {
    size_t N = rows_of(c), D = c->shape->D;
    mf_layer_norm(c, c->shape->L + layer, k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias, N);
    if (ffn(c, w, c->h, k->pre, N, err) < 0) return -1;
    memcpy(out, k->x, N * D * sizeof *out);
    residual_forward(c->pool, out, c->y, w->fc2_bias, dropout, N, D);
    return 0;
}

int mf_layer_ffn_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                          const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, struct dropout dropout,
                          float *dh, float *dx, struct mf_err *err) {
    size_t N = rows_of(c);
    residual_backward(c->pool, c->y, g->fc2_bias, dx, dropout, c->sums, N, c->shape->D);
    return mf_layer_expert_backward(c, w, g, k, dh, dx, N, err);
}

int mf_layer_expert(const struct mf_layer *c, const struct mf_ffn_layer *w, const struct mf_ffn_kept *k,
                    size_t R, struct mf_err *err) {
    mf_layer_norm(c, 0, k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias, R);
    return ffn(c, w, c->h, k->pre, R, err);
}

int mf_layer_expert_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                             const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, float *dh, float *dx,
                             size_t R, struct mf_err *err) {
    if (c->recompute || g->fc1.data) mf_layer_norm(c, 0, k->x, NULL, NULL, w->norm_gain, w->norm_bias, R);
    if (ffn_backward(c, w, g, c->h, k->pre, dh, c->y, R, err) < 0) return -1;
    layernorm_backward(c->pool, dx, g->norm_gain, g->norm_bias, dh, k->x, w->norm_gain, k->mean, k->rstd,
                       c->sums, R, c->shape->D);
    return 0;
}
