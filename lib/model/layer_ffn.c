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

/* --- the FFN by itself, of N rows --- */

struct rows {
    const struct mf_ffn_layer *w, *g; /* g: backward only */
    const float *h, *dy;              /* [N,D] in; dy: backward only */
    float *pre, *dh;                  /* [products,N,F], [N,D]; dh NULL: nothing below learns */
    size_t N;
    bool more; /* forward: y is added to */
};

/* Does a matrix learn, itself or a change to it? */
static bool learns(const struct mf_matrix *g) {
    return g->data || g->a;
}

/* A matrix [O,I], and what learns of it. */
struct linear {
    const struct mf_matrix *w, *g; /* g: backward only */
    size_t O, I;
};

/* fc1 or up, and fc2. */
static struct linear linear_in(const struct mf_layer *c, const struct mf_matrix *w,
                               const struct mf_matrix *g) {
    return (struct linear){w, g, c->shape->F, c->shape->D};
}

static struct linear linear_out(const struct mf_layer *c, const struct mf_matrix *w,
                                const struct mf_matrix *g) {
    return (struct linear){w, g, c->shape->D, c->shape->F};
}

static struct low_rank change_of(const struct mf_layer *c, const struct linear *s) {
    return (struct low_rank){s->w->a, s->w->b, s->I, c->rank, s->O, s->I, c->change};
}

/* y [N,O] = x [N,I] times the matrix, or adds that. */
static int product(const struct mf_layer *c, const struct linear *s, float *y, const float *x, size_t N,
                   bool adds, struct mf_err *err) {
    struct weight w;
    if (mf_weights_matrix(s->w, &w, err) < 0) return -1;
    matmul_forward_weight(c->products, y, s->O, x, s->I, w, s->I, N, s->O, s->I, adds);
    if (!s->w->a) return 0;
    struct low_rank change = change_of(c, s);
    low_rank_forward(c->products, y, s->O, x, s->I, &change, N, c->low);
    return 0;
}

/* The gradient between the factors of the matrix's change, of dy [N,O], which the next two functions read. */
static void product_backward_inside(const struct mf_layer *c, const struct linear *s, const float *dy,
                                    size_t N) {
    if (!s->w->a) return;
    struct low_rank change = change_of(c, s);
    low_rank_backward_inside(c->products, c->low + N * c->rank, dy, s->O, &change, N);
}

/* The gradient of the matrix and of its change, of dy [N,O]. */
static void product_backward_weight(const struct mf_layer *c, const struct linear *s, const float *dy,
                                    const float *x, size_t N) {
    if (s->g->data) matmul_backward_weight(c->products, s->g->data, dy, x, N, s->O, s->I);
    if (!s->g->a) return;
    struct low_rank change = change_of(c, s);
    low_rank_backward_weight(c->products, s->g->a, s->g->b, dy, s->O, x, s->I, c->low + N * c->rank, &change,
                             N, c->low);
}

/* dx [N,I] = the gradient of x, or adds that. */
static int product_backward_input(const struct mf_layer *c, const struct linear *s, float *dx,
                                  const float *dy, size_t N, bool adds, struct mf_err *err) {
    struct weight w;
    if (mf_weights_matrix(s->w, &w, err) < 0) return -1;
    matmul_backward_input_weight(c->products, dx, s->I, dy, s->O, w, s->I, N, s->O, s->I, adds);
    if (!s->w->a) return 0;
    struct low_rank change = change_of(c, s);
    low_rank_backward_input(c->products, dx, s->I, c->low + N * c->rank, &change, N);
    return 0;
}

/* All of these of a product with r->h: d [N,F] is the gradient of its result. */
static int input_product_backward(const struct mf_layer *c, const struct rows *r, const struct linear *s,
                                  const float *d, bool adds, struct mf_err *err) {
    product_backward_inside(c, s, d, r->N);
    product_backward_weight(c, s, d, r->h, r->N);
    return r->dh ? product_backward_input(c, s, r->dh, d, r->N, adds, err) : 0;
}

/* y = gelu(h fc1^T + b1) fc2^T */
static int gelu_ffn(const struct mf_layer *c, const struct rows *r, struct mf_err *err) {
    const struct linear fc1 = linear_in(c, &r->w->fc1, NULL), fc2 = linear_out(c, &r->w->fc2, NULL);
    if (product(c, &fc1, r->pre, r->h, r->N, false, err) < 0) return -1;
    bias_gelu_forward(c->products.pool, c->wide, r->pre, r->w->fc1_bias, r->N, c->shape->F);
    return product(c, &fc2, c->y, c->wide, r->N, r->more, err);
}

static int gelu_ffn_backward(const struct mf_layer *c, const struct rows *r, struct mf_err *err) {
    const struct linear fc1 = linear_in(c, &r->w->fc1, &r->g->fc1),
                        fc2 = linear_out(c, &r->w->fc2, &r->g->fc2);
    const float *bias = r->w->fc1_bias;
    if (c->recompute && product(c, &fc1, r->pre, r->h, r->N, false, err) < 0) return -1;
    if (learns(&r->g->fc2)) bias_gelu_forward(c->products.pool, c->wide, r->pre, bias, r->N, c->shape->F);
    product_backward_inside(c, &fc2, r->dy, r->N);
    product_backward_weight(c, &fc2, r->dy, c->wide, r->N);
    if (product_backward_input(c, &fc2, c->wide, r->dy, r->N, false, err) < 0) return -1;
    bias_gelu_backward(c->products.pool, c->wide, r->g->fc1_bias, c->wide, r->pre, bias, c->sums, r->N,
                       c->shape->F);
    return input_product_backward(c, r, &fc1, c->wide, false, err);
}

/* pre = h fc1^T, then h up^T */
static int gate_and_up(const struct mf_layer *c, const struct rows *r, struct mf_err *err) {
    const struct linear fc1 = linear_in(c, &r->w->fc1, NULL), up = linear_in(c, &r->w->up, NULL);
    if (product(c, &fc1, r->pre, r->h, r->N, false, err) < 0) return -1;
    return product(c, &up, r->pre + r->N * c->shape->F, r->h, r->N, false, err);
}

/* y = (silu(h fc1^T) * (h up^T)) fc2^T */
static int swiglu_ffn(const struct mf_layer *c, const struct rows *r, struct mf_err *err) {
    const struct linear fc2 = linear_out(c, &r->w->fc2, NULL);
    size_t F = c->shape->F;
    if (gate_and_up(c, r, err) < 0) return -1;
    swiglu_forward(c->products.pool, c->wide, r->pre, r->pre + r->N * F, F, r->N, F);
    return product(c, &fc2, c->y, c->wide, r->N, r->more, err);
}

static int swiglu_ffn_backward(const struct mf_layer *c, const struct rows *r, struct mf_err *err) {
    const struct linear fc1 = linear_in(c, &r->w->fc1, &r->g->fc1),
                        up_linear = linear_in(c, &r->w->up, &r->g->up),
                        fc2 = linear_out(c, &r->w->fc2, &r->g->fc2);
    size_t F = c->shape->F;
    float *gate = r->pre, *up = r->pre + r->N * F;
    if (c->recompute && gate_and_up(c, r, err) < 0) return -1;
    product_backward_inside(c, &fc2, r->dy, r->N);
    if (product_backward_input(c, &fc2, c->wide, r->dy, r->N, false, err) < 0) return -1;
    /* gate and up become their gradients, wide the units once more */
    swiglu_backward(c->products.pool, gate, up, c->wide, c->wide, gate, up, F, r->N, F);
    product_backward_weight(c, &fc2, r->dy, c->wide, r->N);
    if (input_product_backward(c, r, &fc1, gate, false, err) < 0) return -1;
    return input_product_backward(c, r, &up_linear, up, true, err);
}

/* --- families --- */

static const struct family {
    int (*forward)(const struct mf_layer *c, const struct rows *r, struct mf_err *err);
    int (*backward)(const struct mf_layer *c, const struct rows *r, struct mf_err *err);
    size_t products; /* that a unit has before its activation */
} families[] = {
    [MF_REFERENCE] = {gelu_ffn, gelu_ffn_backward, 1},
    [MF_LLAMA] = {swiglu_ffn, swiglu_ffn_backward, 2},
};

size_t mf_layer_products(const struct mf_shape *s) {
    return families[s->arch].products;
}

/* --- with its norm and the sum --- */

static struct mf_norm ffn_norm(const struct mf_ffn_layer *w, const struct mf_ffn_kept *k) {
    return (struct mf_norm){k->x, k->mean, k->rstd, w->norm_gain, w->norm_bias};
}

/* y = FFN(h) but for its last bias; with `more` it is added. */
static int ffn(const struct mf_layer *c, const struct mf_ffn_layer *w, const float *h, float *pre, size_t N,
               bool more, struct mf_err *err) {
    const struct rows r = {.w = w, .h = h, .pre = pre, .N = N, .more = more};
    return families[c->shape->arch].forward(c, &r, err);
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
    const struct rows r = {w, g, w->norm_gain ? c->h : k->x, c->y, k->pre, down ? dh : NULL, R, false};
    if (w->norm_gain && (c->recompute || learns(&g->fc1))) mf_layer_norm(c, 0, &norm, R);
    if (families[c->shape->arch].backward(c, &r, err) < 0) return -1;
    if (!down) return 0;
    if (w->norm_gain)
        mf_layer_norm_backward(c, dx, &norm, g->norm_gain, g->norm_bias, dh, R);
    else
        vector_add(dx, dh, 1, R * c->shape->D);
    return 0;
}
