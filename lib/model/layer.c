/* The layer's mathematics, once: what the families do differently, then each half forward and backward. */
#include "model/layer.h"

#include <string.h>
#include "model/weights.h"
#include "nn/bias.h"
#include "nn/embedding.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/low_rank.h"
#include "nn/matmul.h"
#include "nn/mean.h"
#include "nn/residual.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "nn/swiglu.h"
#include "nn/vector.h"

static size_t rows_of(const struct mf_layer *c) {
    return c->seqs->start[c->seqs->count];
}

/* The numbers of a matrix; of one that is in a file until the next call. */
static int numbers(const struct mf_matrix *m, const float **data, struct mf_err *err) {
    *data = m->data;
    return m->data ? 0 : mf_weights_get(m->file, m->index, data, err);
}

/* --- norms --- */

static void layer_norm(const struct mf_layer *c, float *y, const struct mf_norm *n, size_t N) {
    layernorm_forward(c->pool, y, n->mean, n->rstd, n->x, n->gain, n->bias, N, c->shape->D);
}

/* dx += the gradient of n->x, of dy. */
static void layer_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                                float *dbias, const float *dy, size_t N) {
    layernorm_backward(c->pool, dx, dgain, dbias, dy, n->x, n->gain, n->mean, n->rstd, c->sums, N,
                       c->shape->D);
}

static void rms_norm(const struct mf_layer *c, float *y, const struct mf_norm *n, size_t N) {
    rmsnorm_forward(c->pool, y, n->rstd, n->x, n->gain, (float)c->shape->norm_eps, N, c->shape->D);
}

static void rms_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                              float *dbias, const float *dy, size_t N) {
    (void)dbias;
    rmsnorm_backward(c->pool, dx, dgain, dy, n->x, n->gain, n->rstd, c->sums, N, c->shape->D);
}

/* --- FFNs: a block of U hidden units, from unit f on, which meets all rows in one product --- */

struct block {
    const struct mf_ffn_layer *w, *g; /* g: backward only */
    const float *h, *dy;              /* [N,D] in; dy: backward only */
    float *pre, *dh;                  /* [products,N,U], [N,D]; dh NULL: nothing below learns */
    size_t f, U, N;
    bool more; /* forward: y is added to */
};

/* Does a matrix learn, itself or a change to it? */
static bool learns(const struct mf_matrix *g) {
    return g->data || g->a;
}

/* The change to the block's rows of fc1 or up, and to its columns of fc2. */
static struct low_rank rows_change(const struct mf_layer *c, const struct mf_matrix *w,
                                   const struct block *b) {
    size_t D = c->shape->D, R = c->rank;
    return (struct low_rank){w->a, w->b + b->f * R, D, R, b->U, D, c->change};
}

static struct low_rank columns_change(const struct mf_layer *c, const struct block *b) {
    const struct mf_matrix *w = &b->w->fc2;
    return (struct low_rank){w->a + b->f, w->b, c->shape->F, c->rank, c->shape->D, b->U, c->change};
}

/* out [N,U] = h times the block's rows of w. */
static int product(const struct mf_layer *c, const struct mf_matrix *w, const struct block *b, float *out,
                   struct mf_err *err) {
    const float *rows;
    size_t D = c->shape->D;
    if (numbers(w, &rows, err) < 0) return -1;
    matmul_forward(c->pool, out, b->h, rows + b->f * D, b->N, b->U, D, 0);
    if (!w->a) return 0;
    struct low_rank change = rows_change(c, w, b);
    low_rank_forward(c->pool, out, b->U, b->h, D, &change, b->N, c->low);
    return 0;
}

static void product_change_backward(const struct mf_layer *c, const struct mf_matrix *w,
                                    const struct mf_matrix *g, const struct block *b, const float *d) {
    struct low_rank change = rows_change(c, w, b);
    size_t D = c->shape->D, N = b->N;
    if (g->a)
        low_rank_backward_weight(c->pool, g->a, g->b + b->f * c->rank, d, b->U, b->h, D, &change, N, c->low,
                                 c->low + N * c->rank);
    if (b->dh) low_rank_backward_input(c->pool, b->dh, D, d, b->U, &change, N, c->low);
}

/* The same back: the gradients of w's rows, and of h (added to what is there where `more`), of d [N,U]. */
static int product_backward(const struct mf_layer *c, const struct mf_matrix *w, const struct mf_matrix *g,
                            const struct block *b, const float *d, bool more, struct mf_err *err) {
    const float *rows;
    size_t D = c->shape->D, first = b->f * D;
    if (g->data) matmul_backward_weight(c->pool, g->data + first, d, b->h, b->N, b->U, D);
    if (b->dh) {
        if (numbers(w, &rows, err) < 0) return -1;
        matmul_backward_input(c->pool, b->dh, d, rows + first, b->N, b->U, D, more);
    }
    if (w->a) product_change_backward(c, w, g, b, d);
    return 0;
}

/* y += units [N,U] times the block's columns of fc2; the first block overwrites, unless it is to add. */
static int to_output(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    const float *fc2;
    size_t D = c->shape->D, F = c->shape->F;
    if (numbers(&b->w->fc2, &fc2, err) < 0) return -1;
    matmul_forward_block(c->pool, c->y, D, c->wide, b->U, fc2 + b->f, F, b->N, D, b->U, b->more || b->f > 0);
    if (!b->w->fc2.a) return 0;
    struct low_rank change = columns_change(c, b);
    low_rank_forward(c->pool, c->y, D, c->wide, b->U, &change, b->N, c->low);
    return 0;
}

/* The gradient of fc2's columns, of the units in `wide`. */
static void output_weight_backward(const struct mf_layer *c, const struct block *b) {
    size_t D = c->shape->D, F = c->shape->F;
    if (b->g->fc2.data)
        matmul_backward_weight_block(c->pool, b->g->fc2.data + b->f, F, b->dy, D, c->wide, b->U, b->N, D,
                                     b->U);
    if (!b->g->fc2.a) return;
    struct low_rank change = columns_change(c, b);
    low_rank_backward_weight(c->pool, b->g->fc2.a + b->f, b->g->fc2.b, b->dy, D, c->wide, b->U, &change, b->N,
                             c->low, c->low + b->N * c->rank);
}

/* wide = gradient of the units. */
static int output_backward(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    const float *fc2;
    size_t D = c->shape->D, F = c->shape->F;
    if (numbers(&b->w->fc2, &fc2, err) < 0) return -1;
    matmul_backward_input_block(c->pool, c->wide, b->U, b->dy, D, fc2 + b->f, F, b->N, D, b->U, 0);
    if (!b->w->fc2.a) return 0;
    struct low_rank change = columns_change(c, b);
    low_rank_backward_input(c->pool, c->wide, b->U, b->dy, D, &change, b->N, c->low);
    return 0;
}

/* y = gelu(h fc1^T + b1) fc2^T */
static int gelu_ffn(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    if (product(c, &b->w->fc1, b, b->pre, err) < 0) return -1;
    bias_gelu_forward(c->pool, c->wide, b->pre, b->w->fc1_bias + b->f, b->N, b->U);
    return to_output(c, b, err);
}

static int gelu_ffn_backward(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    const float *bias = b->w->fc1_bias + b->f;
    float *dbias = b->g->fc1_bias ? b->g->fc1_bias + b->f : NULL;
    if (c->recompute && product(c, &b->w->fc1, b, b->pre, err) < 0) return -1;
    if (learns(&b->g->fc2)) bias_gelu_forward(c->pool, c->wide, b->pre, bias, b->N, b->U);
    output_weight_backward(c, b);
    if (output_backward(c, b, err) < 0) return -1;
    bias_gelu_backward(c->pool, c->wide, dbias, c->wide, b->pre, bias, c->sums, b->N, b->U);
    return product_backward(c, &b->w->fc1, &b->g->fc1, b, c->wide, b->f > 0, err);
}

/* y = (silu(h fc1^T) * (h up^T)) fc2^T */
static int swiglu_ffn(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    float *up = b->pre + b->N * b->U;
    if (product(c, &b->w->fc1, b, b->pre, err) < 0 || product(c, &b->w->up, b, up, err) < 0) return -1;
    swiglu_forward(c->pool, c->wide, b->pre, up, b->U, b->N, b->U);
    return to_output(c, b, err);
}

static int swiglu_ffn_backward(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    float *gate = b->pre, *up = b->pre + b->N * b->U;
    if (c->recompute && (product(c, &b->w->fc1, b, gate, err) < 0 || product(c, &b->w->up, b, up, err) < 0))
        return -1;
    if (output_backward(c, b, err) < 0) return -1;
    /* gate and up become their gradients, wide the units once more */
    swiglu_backward(c->pool, gate, up, c->wide, c->wide, gate, up, b->U, b->N, b->U);
    output_weight_backward(c, b);
    if (product_backward(c, &b->w->fc1, &b->g->fc1, b, gate, b->f > 0, err) < 0) return -1;
    return product_backward(c, &b->w->up, &b->g->up, b, up, true, err);
}

/* --- families --- */

static const struct family {
    void (*norm)(const struct mf_layer *c, float *y, const struct mf_norm *n, size_t N);
    void (*norm_backward)(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                          float *dbias, const float *dy, size_t N);
    int (*ffn)(const struct mf_layer *c, const struct block *b, struct mf_err *err);
    int (*ffn_backward)(const struct mf_layer *c, const struct block *b, struct mf_err *err);
    size_t products; /* that a unit of the FFN has before its activation */
    bool turns;      /* queries and keys by their positions */
} families[] = {
    [MF_REFERENCE] = {layer_norm, layer_norm_backward, gelu_ffn, gelu_ffn_backward, 1, false},
    [MF_LLAMA] = {rms_norm, rms_norm_backward, swiglu_ffn, swiglu_ffn_backward, 2, true},
};

static const struct family *family(const struct mf_layer *c) {
    return &families[c->shape->arch];
}

size_t mf_layer_products(const struct mf_shape *s) {
    return families[s->arch].products;
}

bool mf_layer_turns(const struct mf_shape *s) {
    return families[s->arch].turns;
}

size_t mf_layer_position_size(const struct mf_shape *s) {
    return mf_layer_turns(s) ? mf_shape_heads(s).d : s->D;
}

void mf_layer_positions(const struct mf_shape *s, float *rows, size_t first, size_t count) {
    double frequencies[MF_HEAD_MAX / 2];
    if (mf_layer_turns(s)) {
        rope_frequencies(frequencies, s->d, s->rope_theta);
        if (s->stretch.factor != 0) rope_stretch(frequencies, s->d, &s->stretch);
        rope_fill(rows, frequencies, first, count, s->d);
    } else
        positions_fill(rows, first, count, s->D, s->position_scale);
}

void mf_layer_norm(const struct mf_layer *c, size_t site, const struct mf_norm *n, size_t N) {
    if (c->hook) {
        family(c)->norm(c, c->h, &(struct mf_norm){.x = n->x}, N);
        c->hook(c->context, site, c->h, N);
    }
    if (!c->hook || n->gain) family(c)->norm(c, c->h, n, N);
}

void mf_layer_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                            float *dbias, const float *dy, size_t N) {
    family(c)->norm_backward(c, dx, n, dgain, dbias, dy, N);
}

/* --- attention --- */

/* The rows of the product that makes q, k and v that one matrix has: all where it is one, else those of each.
 * In memory it is one where k is right behind q: all of a flat array, of tensors that lie apart maybe none.
 */
struct part {
    const struct mf_matrix *w;
    size_t at, columns; /* of a row of qkv */
};

static size_t parts_of(const struct mf_layer *c, const struct mf_backbone_layer *w, struct part parts[3]) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t A = heads.H * heads.d, KV = heads.K * heads.d;
    bool one = !w->k.file && (!w->k.data || w->k.data == w->qkv.data + A * c->shape->D);
    parts[0] = (struct part){&w->qkv, 0, one ? A + 2 * KV : A};
    parts[1] = (struct part){&w->k, A, KV};
    parts[2] = (struct part){&w->v, A + KV, KV};
    return one ? 1 : 3;
}

/* Keeps keys and values of the rows that join the cache. */
static void cache_put(const struct mf_layer *c, const struct mf_layer_cache *cache, const float *qkv) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t d = heads.d, C = heads_columns(heads), N = rows_of(c);
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
    size_t N = rows_of(c), H = heads.H, K = heads.K, d = heads.d, C = heads_columns(heads);
    float *rstd = k->qk_rstd, eps = (float)c->shape->norm_eps;
    for (size_t n = 0; k->qk && n < N; n++)
        memcpy(k->qk + n * (H + K) * d, k->qkv + n * C, (H + K) * d * sizeof *k->qk);
    rmsnorm_heads_forward(c->pool, k->qkv, C, rstd, k->qkv, C, w->q_norm, eps, N, H, d);
    rmsnorm_heads_forward(c->pool, k->qkv + H * d, C, rstd ? rstd + N * H : NULL, k->qkv + H * d, C,
                          w->k_norm, eps, N, K, d);
}

/* wide: the gradients of queries and keys, from behind their norms to before them. */
static void norm_heads_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                                const struct mf_backbone_layer *g, const struct mf_attention_kept *k) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = rows_of(c), H = heads.H, K = heads.K, d = heads.d, C = heads_columns(heads),
           kept = (H + K) * d;
    float *q = c->wide, *key = c->wide + H * d;
    rmsnorm_heads_backward(c->pool, q, C, g->q_norm, q, C, k->qk, kept, w->q_norm, k->qk_rstd, c->sums, N, H,
                           d);
    rmsnorm_heads_backward(c->pool, key, C, g->k_norm, key, C, k->qk + H * d, kept, w->k_norm,
                           k->qk_rstd + N * H, c->sums, N, K, d);
}

/* qkv = h W_qkv^T + b, q and k normalised by heads where the shape says so, and turned;  mixed = softmax(q
 * k^T / sqrt d) v, each row over those before it and itself. */
static int attend(const struct mf_layer *c, const struct mf_backbone_layer *w,
                  const struct mf_attention_kept *k, const struct mf_layer_cache *cache, struct mf_err *err) {
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = rows_of(c), D = c->shape->D, C = heads_columns(heads), before = cache ? cache->length : 0;
    struct part parts[3];
    const float *rows;
    if (w->qkv_bias) bias_forward(c->pool, k->qkv, w->qkv_bias, N, C);
    for (size_t i = 0, n = parts_of(c, w, parts); i < n; i++) {
        if (numbers(parts[i].w, &rows, err) < 0) return -1;
        matmul_forward_block(c->pool, k->qkv + parts[i].at, C, c->h, D, rows, D, N, parts[i].columns, D,
                             w->qkv_bias != NULL);
    }
    if (w->q_norm) norm_heads(c, w, k);
    if (family(c)->turns)
        rope_forward(c->pool, k->qkv, C, c->positions, c->seqs, before, heads.H + heads.K, heads.d);
    if (cache) cache_put(c, cache, k->qkv);
    if (before > 0)
        attention_step(c->pool, k->mixed, k->qkv, cache->keys, cache->values, before + 1, cache->S, heads,
                       c->scratch);
    else
        attention_forward(c->pool, k->mixed, k->lse, k->qkv, c->seqs, heads, c->scratch);
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
    const float *output;
    size_t N = rows_of(c), D = c->shape->D, A = heads.H * heads.d;
    mf_layer_norm(c, layer, &norm, N);
    if (attend(c, w, k, cache, err) < 0 || numbers(&w->out, &output, err) < 0) return -1;
    if (out != k->x) memcpy(out, k->x, N * D * sizeof *out);
    if (!c->y) {
        matmul_forward(c->pool, out, k->mixed, output, N, D, A, 1);
        return 0;
    }
    matmul_forward(c->pool, c->y, k->mixed, output, N, D, A, 0);
    residual_forward(c->pool, out, c->y, NULL, dropout, N, D);
    return 0;
}

/* wide = gradient of what attend made from h, of dmixed in h. */
static void attend_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                            const struct mf_backbone_layer *g, const struct mf_attention_kept *k) {
    const struct heads heads = mf_shape_heads(c->shape);
    attention_backward(c->pool, c->wide, c->h, k->qkv, k->mixed, k->lse, c->seqs, heads, c->scratch);
    if (family(c)->turns)
        rope_backward(c->pool, c->wide, heads_columns(heads), c->positions, c->seqs, 0, heads.H + heads.K,
                      heads.d);
    if (w->q_norm) norm_heads_backward(c, w, g, k);
}

int mf_layer_attention_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                                const struct mf_backbone_layer *g, const struct mf_attention_kept *k,
                                struct dropout dropout, float *dx, struct mf_err *err) {
    const struct mf_norm norm = attention_norm(w, k);
    const struct heads heads = mf_shape_heads(c->shape);
    size_t N = rows_of(c), D = c->shape->D, A = heads.H * heads.d, C = heads_columns(heads);
    struct part parts[3];
    const float *rows, *dy = dx;
    if (c->recompute) {
        mf_layer_norm(c, 0, &norm, N);
        if (attend(c, w, k, NULL, err) < 0) return -1;
    }
    if (dropout.p > 0) {
        residual_backward(c->pool, c->y, NULL, dx, dropout, c->sums, N, D);
        dy = c->y;
    }
    if (g->out.data) matmul_backward_weight(c->pool, g->out.data, dy, k->mixed, N, D, A);
    if (numbers(&w->out, &rows, err) < 0) return -1;
    matmul_backward_input(c->pool, c->h, dy, rows, N, D, A, 0);
    attend_backward(c, w, g, k);
    if (g->qkv.data) {
        mf_layer_norm(c, 0, &norm, N);
        matmul_backward_weight(c->pool, g->qkv.data, c->wide, c->h, N, C, D);
    }
    if (g->qkv_bias) bias_backward(c->pool, g->qkv_bias, c->wide, N, C);
    for (size_t i = 0, n = parts_of(c, w, parts); i < n; i++) {
        if (numbers(parts[i].w, &rows, err) < 0) return -1;
        matmul_backward_input_block(c->pool, c->y, D, c->wide + parts[i].at, C, rows, D, N, parts[i].columns,
                                    D, i > 0);
    }
    mf_layer_norm_backward(c, dx, &norm, g->norm_gain, g->norm_bias, c->y, N);
    return 0;
}

/* --- FFN --- */

static struct mf_norm ffn_norm(const struct mf_ffn_layer *w, const struct mf_ffn_kept *k) {
    return (struct mf_norm){k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias};
}

/* The next block of hidden units; with `recompute` only one is in memory at a time. */
static bool next_block(const struct mf_layer *c, struct block *b) {
    b->f += b->U;
    b->U = c->shape->F - b->f < c->units ? c->shape->F - b->f : c->units;
    return b->U > 0;
}

/* y = FFN(h) but for its last bias; with `more` it is added. */
static int ffn(const struct mf_layer *c, const struct mf_ffn_layer *w, const float *h, float *pre, size_t N,
               bool more, struct mf_err *err) {
    struct block b = {.w = w, .h = h, .pre = pre, .N = N, .more = more};
    while (next_block(c, &b))
        if (family(c)->ffn(c, &b, err) < 0) return -1;
    return 0;
}

/* y = FFN(norm(k->x)) of the anchor; mean and rstd are the rows', whatever the norm's parameters are. */
static int anchor_forward(const struct mf_layer *c, const struct mf_ffn_kept *k, size_t N,
                          struct mf_err *err) {
    struct mf_layer quiet = *c;
    const struct mf_norm norm = ffn_norm(c->anchor, k);
    quiet.hook = NULL;
    mf_layer_norm(&quiet, 0, &norm, N);
    return ffn(c, c->anchor, c->h, c->anchor_pre, N, false, err);
}

/* dx += the gradient through the anchor, of y, that of its result. Nothing of it was kept but mean and rstd.
 */
static int anchor_backward(const struct mf_layer *c, const struct mf_ffn_kept *k, float *dh, float *dx,
                           size_t N, struct mf_err *err) {
    const struct mf_ffn_layer frozen = {0};
    const struct mf_ffn_kept kept = {k->x, k->mean, k->rstd, c->anchor_pre};
    struct mf_layer again = *c;
    again.recompute = true;
    return c->bottom ? 0 : mf_layer_expert_backward(&again, c->anchor, &frozen, &kept, dh, dx, N, err);
}

int mf_layer_ffn(const struct mf_layer *c, size_t layer, const struct mf_ffn_layer *w,
                 const struct mf_ffn_kept *k, struct dropout dropout, float *out, struct mf_err *err) {
    const struct mf_norm norm = ffn_norm(w, k);
    size_t N = rows_of(c), D = c->shape->D;
    if (c->anchor && anchor_forward(c, k, N, err) < 0) return -1;
    mf_layer_norm(c, c->shape->L + layer, &norm, N);
    if (ffn(c, w, c->h, k->pre, N, c->anchor != NULL, err) < 0) return -1;
    if (c->anchor) mean_forward(c->pool, c->y, w->fc2_bias, c->anchor->fc2_bias, N, D);
    memcpy(out, k->x, N * D * sizeof *out);
    residual_forward(c->pool, out, c->y, c->anchor ? NULL : w->fc2_bias, dropout, N, D);
    return 0;
}

int mf_layer_ffn_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                          const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, struct dropout dropout,
                          float *dh, float *dx, struct mf_err *err) {
    size_t N = rows_of(c);
    residual_backward(c->pool, c->y, c->anchor ? NULL : g->fc2_bias, dx, dropout, c->sums, N, c->shape->D);
    if (!c->anchor) return mf_layer_expert_backward(c, w, g, k, dh, dx, N, err);
    mean_backward(c->pool, c->y, g->fc2_bias, N, c->shape->D);
    if (mf_layer_expert_backward(c, w, g, k, dh, dx, N, err) < 0) return -1;
    return anchor_backward(c, k, dh, dx, N, err);
}

int mf_layer_expert(const struct mf_layer *c, const struct mf_ffn_layer *w, const struct mf_ffn_kept *k,
                    size_t R, struct mf_err *err) {
    const struct mf_norm norm = ffn_norm(w, k);
    if (!w->norm_gain) return ffn(c, w, k->x, k->pre, R, false, err);
    mf_layer_norm(c, 0, &norm, R);
    return ffn(c, w, c->h, k->pre, R, false, err);
}

int mf_layer_expert_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                             const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, float *dh, float *dx,
                             size_t R, struct mf_err *err) {
    const struct mf_norm norm = ffn_norm(w, k);
    bool down = !c->bottom || g->norm_gain; /* what is below learns */
    struct block b = {w, g, w->norm_gain ? c->h : k->x, c->y, k->pre, down ? dh : NULL, 0, 0, R, false};
    if (w->norm_gain && (c->recompute || learns(&g->fc1))) mf_layer_norm(c, 0, &norm, R);
    while (next_block(c, &b))
        if (family(c)->ffn_backward(c, &b, err) < 0) return -1;
    if (!down) return 0;
    if (w->norm_gain)
        mf_layer_norm_backward(c, dx, &norm, g->norm_gain, g->norm_bias, dh, R);
    else
        vector_add(dx, dh, 1, R * c->shape->D);
    return 0;
}
