/* The layer's FFN, forward and backward: the dense one, an expert's, or one beside a frozen anchor. */
#include "model/layer.h"

#include "model/weights.h"
#include "nn/gelu.h"
#include "nn/low_rank.h"
#include "nn/matmul.h"
#include "nn/mean.h"
#include "nn/residual.h"
#include "nn/swiglu.h"
#include "nn/vector.h"

/* --- a block of U hidden units, from unit f on, which meets all rows in one product --- */

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
    struct weight rows;
    size_t D = c->shape->D;
    if (mf_weights_matrix(w, &rows, err) < 0) return -1;
    matmul_forward_weight(c->products, out, b->U, b->h, D, weight_at(rows, b->f * D), D, b->N, b->U, D, 0);
    if (!w->a) return 0;
    struct low_rank change = rows_change(c, w, b);
    low_rank_forward(c->products, out, b->U, b->h, D, &change, b->N, c->low);
    return 0;
}

static void product_change_backward(const struct mf_layer *c, const struct mf_matrix *w,
                                    const struct mf_matrix *g, const struct block *b, const float *d) {
    struct low_rank change = rows_change(c, w, b);
    size_t D = c->shape->D, N = b->N;
    if (g->a)
        low_rank_backward_weight(c->products, g->a, g->b + b->f * c->rank, d, b->U, b->h, D, &change, N,
                                 c->low, c->low + N * c->rank);
    if (b->dh) low_rank_backward_input(c->products, b->dh, D, d, b->U, &change, N, c->low);
}

/* The same back: the gradients of w's rows, and of h (added to what is there where `more`), of d [N,U]. */
static int product_backward(const struct mf_layer *c, const struct mf_matrix *w, const struct mf_matrix *g,
                            const struct block *b, const float *d, bool more, struct mf_err *err) {
    struct weight rows;
    size_t D = c->shape->D, first = b->f * D;
    if (g->data) matmul_backward_weight(c->products, g->data + first, d, b->h, b->N, b->U, D);
    if (b->dh) {
        if (mf_weights_matrix(w, &rows, err) < 0) return -1;
        matmul_backward_input_weight(c->products, b->dh, D, d, b->U, weight_at(rows, first), D, b->N, b->U, D,
                                     more);
    }
    if (w->a) product_change_backward(c, w, g, b, d);
    return 0;
}

/* y += units [N,U] times the block's columns of fc2; the first block overwrites, unless it is to add. */
static int to_output(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    struct weight fc2;
    size_t D = c->shape->D, F = c->shape->F;
    if (mf_weights_matrix(&b->w->fc2, &fc2, err) < 0) return -1;
    matmul_forward_weight(c->products, c->y, D, c->wide, b->U, weight_at(fc2, b->f), F, b->N, D, b->U,
                          b->more || b->f > 0);
    if (!b->w->fc2.a) return 0;
    struct low_rank change = columns_change(c, b);
    low_rank_forward(c->products, c->y, D, c->wide, b->U, &change, b->N, c->low);
    return 0;
}

/* The gradient of fc2's columns, of the units in `wide`. */
static void output_weight_backward(const struct mf_layer *c, const struct block *b) {
    size_t D = c->shape->D, F = c->shape->F;
    if (b->g->fc2.data)
        matmul_backward_weight_block(c->products, b->g->fc2.data + b->f, F, b->dy, D, c->wide, b->U, b->N, D,
                                     b->U);
    if (!b->g->fc2.a) return;
    struct low_rank change = columns_change(c, b);
    low_rank_backward_weight(c->products, b->g->fc2.a + b->f, b->g->fc2.b, b->dy, D, c->wide, b->U, &change,
                             b->N, c->low, c->low + b->N * c->rank);
}

/* wide = gradient of the units. */
static int output_backward(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    struct weight fc2;
    size_t D = c->shape->D, F = c->shape->F;
    if (mf_weights_matrix(&b->w->fc2, &fc2, err) < 0) return -1;
    matmul_backward_input_weight(c->products, c->wide, b->U, b->dy, D, weight_at(fc2, b->f), F, b->N, D, b->U,
                                 0);
    if (!b->w->fc2.a) return 0;
    struct low_rank change = columns_change(c, b);
    low_rank_backward_input(c->products, c->wide, b->U, b->dy, D, &change, b->N, c->low);
    return 0;
}

/* y = gelu(h fc1^T + b1) fc2^T */
static int gelu_ffn(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    if (product(c, &b->w->fc1, b, b->pre, err) < 0) return -1;
    bias_gelu_forward(c->products.pool, c->wide, b->pre, b->w->fc1_bias + b->f, b->N, b->U);
    return to_output(c, b, err);
}

static int gelu_ffn_backward(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    const float *bias = b->w->fc1_bias + b->f;
    float *dbias = b->g->fc1_bias ? b->g->fc1_bias + b->f : NULL;
    if (c->recompute && product(c, &b->w->fc1, b, b->pre, err) < 0) return -1;
    if (learns(&b->g->fc2)) bias_gelu_forward(c->products.pool, c->wide, b->pre, bias, b->N, b->U);
    output_weight_backward(c, b);
    if (output_backward(c, b, err) < 0) return -1;
    bias_gelu_backward(c->products.pool, c->wide, dbias, c->wide, b->pre, bias, c->sums, b->N, b->U);
    return product_backward(c, &b->w->fc1, &b->g->fc1, b, c->wide, b->f > 0, err);
}

/* y = (silu(h fc1^T) * (h up^T)) fc2^T */
static int swiglu_ffn(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    float *up = b->pre + b->N * b->U;
    if (product(c, &b->w->fc1, b, b->pre, err) < 0 || product(c, &b->w->up, b, up, err) < 0) return -1;
    swiglu_forward(c->products.pool, c->wide, b->pre, up, b->U, b->N, b->U);
    return to_output(c, b, err);
}

static int swiglu_ffn_backward(const struct mf_layer *c, const struct block *b, struct mf_err *err) {
    float *gate = b->pre, *up = b->pre + b->N * b->U;
    if (c->recompute && (product(c, &b->w->fc1, b, gate, err) < 0 || product(c, &b->w->up, b, up, err) < 0))
        return -1;
    if (output_backward(c, b, err) < 0) return -1;
    /* gate and up become their gradients, wide the units once more */
    swiglu_backward(c->products.pool, gate, up, c->wide, c->wide, gate, up, b->U, b->N, b->U);
    output_weight_backward(c, b);
    if (product_backward(c, &b->w->fc1, &b->g->fc1, b, gate, b->f > 0, err) < 0) return -1;
    return product_backward(c, &b->w->up, &b->g->up, b, up, true, err);
}

/* --- families --- */

static const struct family {
    int (*forward)(const struct mf_layer *c, const struct block *b, struct mf_err *err);
    int (*backward)(const struct mf_layer *c, const struct block *b, struct mf_err *err);
    size_t products; /* that a unit has before its activation */
} families[] = {
    [MF_REFERENCE] = {gelu_ffn, gelu_ffn_backward, 1},
    [MF_LLAMA] = {swiglu_ffn, swiglu_ffn_backward, 2},
};

size_t mf_layer_products(const struct mf_shape *s) {
    return families[s->arch].products;
}

/* --- all hidden units --- */

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
        if (families[c->shape->arch].forward(c, &b, err) < 0) return -1;
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
    size_t N = seqs_rows(c->seqs), D = c->shape->D;
    if (c->anchor && anchor_forward(c, k, N, err) < 0) return -1;
    mf_layer_norm(c, c->shape->L + layer, &norm, N);
    if (ffn(c, w, c->h, k->pre, N, c->anchor != NULL, err) < 0) return -1;
    if (c->anchor) mean_forward(c->products.pool, c->y, w->fc2_bias, c->anchor->fc2_bias, N, D);
    residual_forward(c->products.pool, out, k->x, c->y, c->anchor ? NULL : w->fc2_bias, dropout, N, D);
    return 0;
}

int mf_layer_ffn_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                          const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, struct dropout dropout,
                          float *dh, float *dx, struct mf_err *err) {
    size_t N = seqs_rows(c->seqs);
    residual_backward(c->products.pool, c->y, c->anchor ? NULL : g->fc2_bias, dx, dropout, c->sums, N,
                      c->shape->D);
    if (!c->anchor) return mf_layer_expert_backward(c, w, g, k, dh, dx, N, err);
    mean_backward(c->products.pool, c->y, g->fc2_bias, N, c->shape->D);
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
        if (families[c->shape->arch].backward(c, &b, err) < 0) return -1;
    if (!down) return 0;
    if (w->norm_gain)
        mf_layer_norm_backward(c, dx, &norm, g->norm_gain, g->norm_bias, dh, R);
    else
        vector_add(dx, dh, 1, R * c->shape->D);
    return 0;
}
