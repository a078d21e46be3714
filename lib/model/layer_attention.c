/* The layer's attention, forward and backward: its norm, the products around it, and the cache of
 * generation. */
#include "model/layer.h"

#include <string.h>
#include "model/weights.h"
#include "nn/attention.h"
#include "nn/attention_bf16.h"
#include "nn/bias.h"
#include "nn/matmul.h"
#include "nn/residual.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "nn/vector.h"

/* The matrix that makes q, k or v, or one that makes all three: where k lies right behind q in memory, as in
 * a flat array always, of tensors that lie apart maybe never. */
struct projection {
    const struct mf_matrix *w;
    size_t at, columns; /* of a row of qkv */
};

static size_t projections_of(const struct mf_layer *c, const struct mf_backbone_layer *w,
                             struct projection projections[3]) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t A = heads.H * heads.d, KV = heads.K * heads.d;
    size_t queries = A * c->shape->D;
    bool own = w->q.data, one = !own && !w->k.file &&
                                (w->k.narrow ? w->k.narrow == w->qkv.narrow + queries
                                             : !w->k.data || w->k.data == w->qkv.data + queries);
    projections[0] = (struct projection){own ? &w->q : &w->qkv, 0, one ? A + 2 * KV : A};
    projections[1] = (struct projection){&w->k, A, KV};
    projections[2] = (struct projection){&w->v, A + KV, KV};
    return one ? 1 : 3;
}

/* Keeps keys and values of the rows that join the cache. */
static void cache_put(const struct mf_layer *c, const struct mf_layer_cache *cache, const float *qkv) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t d = heads.d, C = heads_columns(heads), N = seqs_rows(c->seqs);
    for (size_t h = 0; h < heads.K; h++) {
        const float *key = qkv + (heads.H + h) * d, *value = key + heads.K * d;
        size_t at = (h * cache->S + cache->length) * d;
        for (size_t n = 0; n < N; n++) {
            memcpy(cache->keys + at + n * d, key + n * C, d * sizeof *key);
            memcpy(cache->values + at + n * d, value + n * C, d * sizeof *value);
        }
    }
}

/* Norms the heads of queries and of keys in place, and keeps them as they were. */
static void norm_heads(const struct mf_layer *c, const struct mf_backbone_layer *w,
                       const struct mf_attention_kept *k) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), H = heads.H, K = heads.K, d = heads.d, C = heads_columns(heads);
    float *rstd = k->qk_rstd, eps = (float)c->shape->norm_eps;
    for (size_t n = 0; k->qk && n < N; n++)
        memcpy(k->qk + n * (H + K) * d, k->qkv + n * C, (H + K) * d * sizeof *k->qk);
    rmsnorm_heads_forward(c->products.pool, k->qkv, C, rstd, k->qkv, C, w->q_norm, eps, N, H, d);
    rmsnorm_heads_forward(c->products.pool, k->qkv + H * d, C, rstd ? rstd + N * H : NULL, k->qkv + H * d, C,
                          w->k_norm, eps, N, K, d);
}

/* wide: the gradients of queries and keys, from behind their norms to before them. */
static void norm_heads_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                                const struct mf_backbone_layer *g, const struct mf_attention_kept *k) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), H = heads.H, K = heads.K, d = heads.d, C = heads_columns(heads),
           kept = (H + K) * d;
    float *q = c->wide, *key = c->wide + H * d;
    rmsnorm_heads_backward(c->products.pool, q, C, g->q_norm, q, C, k->qk, kept, w->q_norm, k->qk_rstd,
                           c->sums, N, H, d);
    rmsnorm_heads_backward(c->products.pool, key, C, g->k_norm, key, C, k->qk + H * d, kept, w->k_norm,
                           k->qk_rstd + N * H, c->sums, N, K, d);
}

/* mixed = attention of qkv, in the precision of the products where that has one for these sequences. */
static void mix_rows(const struct mf_layer *c, struct heads heads, const struct mf_attention_kept *k) {
    struct bf16 *b = c->products.bf16;
    if (attention_bf16_takes(b, c->seqs, heads))
        attention_bf16_forward(b, c->products.pool, k->mixed, k->lse, k->qkv, c->seqs, heads);
    else
        attention_forward(c->products.pool, k->mixed, k->lse, k->qkv, c->seqs, heads, c->scratch);
}

/* mixed = attention of qkv to the rows of the cache, or where that was empty among themselves. */
static void mix(const struct mf_layer *c, const struct mf_attention_kept *k,
                const struct mf_layer_cache *cache) {
    const struct heads heads = mf_shape_heads(c->shape);
    if (cache && cache->length > 0)
        attention_step(c->products.pool, k->mixed, k->qkv, cache->keys, cache->values, cache->length + 1,
                       cache->S, heads, c->scratch);
    else
        mix_rows(c, heads, k);
}

/* wide: the gradient of qkv, from h, that of mixed. */
static void mix_backward(const struct mf_layer *c, struct heads heads, const struct mf_attention_kept *k) {
    struct bf16 *b = c->products.bf16;
    if (attention_bf16_takes(b, c->seqs, heads))
        attention_bf16_backward(b, c->products.pool, c->wide, c->h, k->qkv, k->mixed, k->lse, c->seqs, heads);
    else
        attention_backward(c->products.pool, c->wide, c->h, k->qkv, k->mixed, k->lse, c->seqs, heads,
                           c->scratch);
}

/* qkv = h W_qkv^T + b, q and k normalised by heads where the shape says so, and turned;  mixed = softmax(q
 * k^T / sqrt d) v, each row over those before it and itself. */
static int attend(const struct mf_layer *c, const struct mf_backbone_layer *w,
                  const struct mf_attention_kept *k, const struct mf_layer_cache *cache, struct mf_err *err) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), D = c->shape->D, C = heads_columns(heads),
           before = cache ? cache->length : 0;
    struct projection projections[3];
    struct weight rows;
    if (w->qkv_bias) bias_forward(c->products.pool, k->qkv, w->qkv_bias, N, C);
    for (size_t i = 0, n = projections_of(c, w, projections); i < n; i++) {
        if (mf_weights_matrix(projections[i].w, &rows, err) < 0) return -1;
        matmul_forward_weight(c->products, k->qkv + projections[i].at, C, c->h, D, rows, D, N,
                              projections[i].columns, D, w->qkv_bias != NULL);
    }
    if (w->q_norm) norm_heads(c, w, k);
    if (mf_layer_turns(c->shape))
        rope_forward(c->products.pool, k->qkv, C, c->positions, c->seqs, before, heads.H + heads.K, heads.d);
    if (cache) cache_put(c, cache, k->qkv);
    mix(c, k, cache);
    return 0;
}

static struct mf_norm attention_norm(const struct mf_backbone_layer *w, const struct mf_attention_kept *k) {
    return (struct mf_norm){k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias};
}

int mf_layer_attention(const struct mf_layer *c, size_t layer, const struct mf_backbone_layer *w,
                       const struct mf_attention_kept *k, const struct mf_layer_cache *cache,
                       struct dropout dropout, float *out, struct mf_err *err) {
    const struct mf_norm norm = attention_norm(w, k);
    const struct heads heads = mf_shape_heads(c->shape);
    struct weight output;
    size_t N = seqs_rows(c->seqs), D = c->shape->D, A = heads.H * heads.d;
    mf_layer_norm(c, layer, &norm, N);
    if (attend(c, w, k, cache, err) < 0 || mf_weights_matrix(&w->out, &output, err) < 0) return -1;
    if (!c->y) {
        if (out != k->x) memcpy(out, k->x, N * D * sizeof *out);
        matmul_forward_weight(c->products, out, D, k->mixed, A, output, A, N, D, A, 1);
        return 0;
    }
    matmul_forward_weight(c->products, c->y, D, k->mixed, A, output, A, N, D, A, 0);
    residual_forward(c->products.pool, out, k->x, c->y, NULL, dropout, N, D);
    return 0;
}

/* --- queries of experts --- */

/* The columns of keys and values: as attend makes them. */
static int keys_and_values(const struct mf_layer *c, const struct mf_backbone_layer *w,
                           const struct mf_attention_kept *k, const struct mf_layer_cache *cache,
                           struct mf_err *err) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), D = c->shape->D, C = heads_columns(heads), KV = heads.K * heads.d;
    const struct mf_matrix *matrices[] = {&w->k, &w->v};
    float *keys = k->qkv + heads.H * heads.d;
    struct weight rows;
    if (w->qkv_bias) bias_forward(c->products.pool, k->qkv, w->qkv_bias, N, C);
    for (size_t i = 0; i < 2; i++) {
        if (mf_weights_matrix(matrices[i], &rows, err) < 0) return -1;
        matmul_forward_weight(c->products, keys + i * KV, C, c->h, D, rows, D, N, KV, D, w->qkv_bias != NULL);
    }
    if (w->k_norm)
        rmsnorm_heads_forward(c->products.pool, keys, C, NULL, keys, C, w->k_norm, (float)c->shape->norm_eps,
                              N, heads.K, heads.d);
    rope_forward(c->products.pool, keys, C, c->positions, c->seqs, cache ? cache->length : 0, heads.K,
                 heads.d);
    if (cache) cache_put(c, cache, k->qkv);
    return 0;
}

/* One slot's queries, `ld` from row to row: with bias, normalised and turned, as attend makes them. */
static void prepare_queries(const struct mf_layer *c, const struct mf_backbone_layer *w, float *q, size_t ld,
                            size_t first_position) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), H = heads.H, d = heads.d;
    for (size_t n = 0; w->qkv_bias && n < N; n++) vector_add(q + n * ld, w->qkv_bias, 1, H * d);
    if (w->q_norm)
        rmsnorm_heads_forward(c->products.pool, q, ld, NULL, q, ld, w->q_norm, (float)c->shape->norm_eps, N,
                              H, d);
    rope_forward(c->products.pool, q, ld, c->positions, c->seqs, first_position, H, d);
}

int mf_layer_attention_chosen(const struct mf_layer *c, const struct mf_backbone_layer *w,
                              const struct mf_attention_kept *k, const struct mf_layer_cache *cache,
                              size_t slots, float *queries, struct mf_err *err) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), A = heads.H * heads.d, C = heads_columns(heads), ld = slots * A;
    if (keys_and_values(c, w, k, cache, err) < 0) return -1;
    for (size_t slot = 0; slot < slots; slot++) {
        float *q = queries + slot * A;
        prepare_queries(c, w, q, ld, cache ? cache->length : 0);
        for (size_t n = 0; n < N; n++) memcpy(k->qkv + n * C, q + n * ld, A * sizeof *q);
        mix(c, k, cache);
        for (size_t n = 0; n < N; n++) memcpy(q + n * ld, k->mixed + n * A, A * sizeof *q);
    }
    return 0;
}

/* --- backward --- */

/* wide = gradient of what attend made from h, of dmixed in h. */
static void attend_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                            const struct mf_backbone_layer *g, const struct mf_attention_kept *k) {
    const struct heads heads = mf_shape_heads(c->shape);
    mix_backward(c, heads, k);
    if (mf_layer_turns(c->shape))
        rope_backward(c->products.pool, c->wide, heads_columns(heads), c->positions, c->seqs, 0,
                      heads.H + heads.K, heads.d);
    if (w->q_norm) norm_heads_backward(c, w, g, k);
}

int mf_layer_attention_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                                const struct mf_backbone_layer *g, const struct mf_attention_kept *k,
                                struct dropout dropout, float *dx, struct mf_err *err) {
    const struct mf_norm norm = attention_norm(w, k);
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = seqs_rows(c->seqs), D = c->shape->D, A = heads.H * heads.d, C = heads_columns(heads);
    struct projection projections[3];
    struct weight rows;
    const float *dy = dx;
    if (c->recompute) {
        mf_layer_norm(c, 0, &norm, N);
        if (attend(c, w, k, NULL, err) < 0) return -1;
    }
    if (dropout.p > 0) {
        residual_backward(c->products.pool, c->y, NULL, dx, dropout, c->sums, N, D);
        dy = c->y;
    }
    if (g->out.data) matmul_backward_weight(c->products, g->out.data, dy, k->mixed, N, D, A);
    if (mf_weights_matrix(&w->out, &rows, err) < 0) return -1;
    matmul_backward_input_weight(c->products, c->h, A, dy, D, rows, A, N, D, A, 0);
    attend_backward(c, w, g, k);
    float *learns = g->q.data ? g->q.data : g->qkv.data;
    if (learns) {
        mf_layer_norm(c, 0, &norm, N);
        matmul_backward_weight_block(c->products, learns, D, c->wide, C, c->h, D, N, g->q.data ? A : C, D);
    }
    if (g->qkv_bias) bias_backward(c->products.pool, g->qkv_bias, c->wide, N, C);
    if (c->bottom) return 0;
    for (size_t i = 0, n = projections_of(c, w, projections); i < n; i++) {
        if (mf_weights_matrix(projections[i].w, &rows, err) < 0) return -1;
        matmul_backward_input_weight(c->products, c->y, D, c->wide + projections[i].at, C, rows, D, N,
                                     projections[i].columns, D, i > 0);
    }
    mf_layer_norm_backward(c, dx, &norm, g->norm_gain, g->norm_bias, c->y, N);
    return 0;
}
