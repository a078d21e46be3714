/* The forward pass of moe.c, kept, and its way back to each layer's router. */
#include "model/moe_train.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "io/file.h"
#include "model/moe_head_internal.h"
#include "nn/loss.h"
#include "nn/vector.h"

struct mf_moe_tape {
    struct mf_moe_work *w;
    struct mf_arena arena;
    size_t max_rows;
    int scratch;    /* file: the residual stream before attention, then before the experts, of each layer */
    float *dx, *dh; /* [N,D] gradients of the residual stream, and of what a norm made of it */
    float *mean, *rstd, *lse;          /* [N], [N], [N,H] */
    float *slope, *dlogits, *dweights; /* [N,E], [N,E], [N,K] */
    float *dshares;                    /* [E] gradient of the softmax over all logits, of any row */
    uint32_t *own;                     /* [N] 0, 1, 2, ... */
    double *losses;                    /* [N] */
    float *dhead;                      /* [N,K] gradient of the last layer's weights by the experts' heads */
    float *dqkv;                       /* [N,(H+2K) d], where an expert has */
    float *qk, *qk_rstd;               /* [N,(H+K) d], [N,H+K] as mf_attention_kept has them */
    float *rows, *pre, *row_mean, *row_rstd; /* [R,D] rows of h, [products,R,F], [R], [R] */
};

static void layout(struct mf_moe_tape *t, const struct mf_moe *m) {
    const struct mf_shape *s = &m->shape;
    struct mf_arena *a = &t->arena;
    size_t N = t->max_rows, R = moe_expert_rows(N), E = m->router.n_experts;
    t->dx = mf_arena_floats(a, N * s->D);
    t->dh = mf_arena_floats(a, N * s->D);
    t->mean = mf_arena_floats(a, N);
    t->rstd = mf_arena_floats(a, N);
    t->lse = mf_arena_floats(a, N * s->H);
    t->slope = mf_arena_floats(a, N * E);
    t->dlogits = mf_arena_floats(a, N * E);
    t->dweights = mf_arena_floats(a, N * E);
    t->dshares = mf_arena_floats(a, E);
    t->dhead = mf_arena_floats(a, m->file->heads.columns ? N * E : 0);
    t->own = mf_arena_take(a, N, sizeof *t->own);
    t->losses = mf_arena_take(a, N, sizeof *t->losses);
    struct mf_arena expert = *a;
    const struct heads heads = mf_shape_heads(s);
    t->dqkv = mf_arena_floats(a, N * heads_columns(heads));
    t->qk = s->qk_norm ? mf_arena_floats(a, N * (heads.H + heads.K) * heads.d) : NULL;
    t->qk_rstd = s->qk_norm ? mf_arena_floats(a, N * (heads.H + heads.K)) : NULL;
    t->rows = mf_arena_floats(&expert, R * s->D);
    t->pre = mf_arena_floats(&expert, mf_layer_products(s) * R * s->F);
    t->row_mean = mf_arena_floats(&expert, R);
    t->row_rstd = mf_arena_floats(&expert, R);
    if (expert.used > a->used) a->used = expert.used;
}

int mf_moe_tape_new(struct mf_moe_tape **out, const struct mf_moe *m, struct mf_moe_work *work,
                    size_t max_rows, struct mf_err *err) {
    if (m->file->own_attention)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: its experts have attention of their own, through which no gates can be trained "
            "(calibrate.router=best tries others)",
            m->name);
    struct mf_moe_tape *t = calloc(1, sizeof *t);
    if (!t) return mf_err_set(err, EX_OSERR, "out of memory");
    t->w = work;
    t->max_rows = max_rows;
    layout(t, m);
    if (mf_arena_init(&t->arena, t->arena.used, err) < 0 || (t->scratch = mf_scratch_open(err)) < 0) {
        mf_arena_free(&t->arena);
        free(t);
        return -1;
    }
    layout(t, m);
    for (size_t n = 0; n < max_rows; n++) t->own[n] = (uint32_t)n;
    *out = t;
    return 0;
}

size_t mf_moe_tape_memory(const struct mf_moe *moe, size_t max_rows) {
    struct mf_moe_tape t = {.max_rows = max_rows};
    layout(&t, moe);
    return t.arena.used;
}

void mf_moe_tape_free(struct mf_moe_tape *t) {
    if (!t) return;
    close(t->scratch);
    mf_arena_free(&t->arena);
    free(t);
}

size_t mf_moe_routers_size(const struct mf_moe *m) {
    return 2 * m->shape.L * m->router.n_experts * m->shape.D;
}

/* One pass. */
struct pass {
    struct mf_moe *m;
    struct mf_moe_tape *t;
    struct mf_moe_work *w;
    const struct mf_moe_batch *batch;
    const struct moe_noise *noise; /* NULL: none */
    size_t N;
    float *gradient;
    double balance; /* so far */
};

/* --- the residual stream, kept --- */

static int keep(const struct pass *p, size_t site, struct mf_err *err) {
    size_t bytes = p->N * p->m->shape.D * sizeof *p->w->x;
    return mf_scratch_write(p->t->scratch, p->w->x, bytes, site * bytes, err);
}

static int take_back(const struct pass *p, size_t site, struct mf_err *err) {
    size_t bytes = p->N * p->m->shape.D * sizeof *p->w->x;
    return mf_pread_all(p->t->scratch, p->w->x, bytes, site * bytes, "scratch file", err);
}

static int forward(const struct pass *p, struct mf_err *err) {
    struct mf_moe *m = p->m;
    struct mf_moe_work *w = p->w;
    const struct mf_moe_batch *l = p->batch;
    const struct mf_layer c = moe_layer(m, w, &l->seqs, NULL);
    if (moe_check_tokens(m, l->tokens, p->N, err) < 0 || moe_embed(m, w, l->tokens, &l->seqs, 0, err) < 0)
        return -1;
    for (size_t i = 0; i < m->shape.L; i++) {
        if (keep(p, 2 * i, err) < 0 || moe_attend(m, w, &c, i, NULL, err) < 0) return -1;
        if (keep(p, 2 * i + 1, err) < 0 || moe_ffn(m, w, &c, i, l->token_scores, NULL, p->noise, err) < 0)
            return -1;
    }
    return 0;
}

/* The gradient of w->h, in dh, after moe_head. */
static int head_input(const struct pass *p, struct mf_err *err) {
    struct mf_moe *m = p->m;
    struct mf_moe_tape *t = p->t;
    struct mf_moe_work *w = p->w;
    const uint32_t *targets = p->batch->targets;
    size_t N = p->N, D = m->shape.D;
    if (m->file->heads.columns)
        return moe_heads_backward(m, w, w->h, targets, N, (float)p->batch->scale, t->dh, t->dx, t->dhead,
                                  err);
    for (size_t n = 0; n < N; n++) /* the targets' rows of the head, where dx will be */
        if (targets[n] != LOSS_IGNORE &&
            mf_weights_read(m->file->weights, m->file->head, targets[n] * D, D, t->dx + n * D, err) < 0)
            return -1;
    cross_entropy_input(w->products.pool, &w->softmax, t->dh, targets, t->dx, t->own, (float)p->batch->scale,
                        N, D);
    return 0;
}

/* Losses of the rows in w->x; dx becomes their gradient. */
static int head(const struct pass *p, double *loss, struct mf_err *err) {
    struct mf_moe *m = p->m;
    struct mf_moe_tape *t = p->t;
    struct mf_moe_work *w = p->w;
    const uint32_t *targets = p->batch->targets;
    size_t N = p->N, D = m->shape.D;
    const struct mf_layer c = moe_layer(m, w, &p->batch->seqs, NULL);
    const struct mf_norm norm = {w->x, t->mean, t->rstd, m->out_gain, m->out_bias};
    mf_layer_norm(&c, 0, &norm, N);
    float *mixed = m->file->heads.columns ? NULL : t->dh;
    if (moe_head(m, w, w->h, targets, N, t->losses, mixed, err) < 0) return -1;
    if (head_input(p, err) < 0) return -1;
    memset(t->dx, 0, N * D * sizeof *t->dx);
    mf_layer_norm_backward(&c, t->dx, &norm, NULL, NULL, t->dh, N);
    *loss = 0;
    for (size_t n = 0; n < N; n++) *loss += t->losses[n];
    return 0;
}

/* The router's gradients, and its part of dh and dx. */
static void router_backward(struct pass *p, size_t layer) {
    const struct mf_moe_tape *t = p->t;
    size_t gate = p->m->router.n_experts * p->m->shape.D;
    float *gradient = p->gradient + 2 * layer * gate;
    const struct moe_route_back back = {p->batch->token_scores,
                                        p->noise,
                                        p->batch->balance,
                                        t->dweights,
                                        t->dlogits,
                                        t->dshares,
                                        t->dx,
                                        t->dh,
                                        gradient,
                                        gradient + gate};
    p->balance += moe_route_backward(p->m, p->w, layer, &back, p->N);
}

/* --- one layer --- */

/* dx: gradient of the layer's output in, of the experts' input out; of the lowest layer as it was. */
static int ffn_backward(struct pass *p, size_t layer, struct mf_err *err) {
    const struct mf_moe_layer *l = &p->m->layers[layer];
    struct mf_moe_tape *t = p->t;
    struct mf_moe_work *w = p->w;
    size_t N = p->N, D = p->m->shape.D, E = p->m->router.n_experts;
    if (take_back(p, 2 * layer + 1, err) < 0) return -1;
    const struct mf_layer c = moe_layer(p->m, w, &p->batch->seqs, NULL);
    const struct mf_norm norm = {w->x, t->mean, w->rstd, l->moe_gain, l->moe_bias};
    mf_layer_norm(&c, 0, &norm, N);
    moe_route(p->m, w, layer, p->batch->token_scores, N, p->noise);
    moe_group(w, 0, N * p->m->router.top_k, E);
    memset(t->dh, 0, N * D * sizeof *t->dh);
    const struct moe_expert_back back = {{t->rows, t->row_mean, t->row_rstd, t->pre},
                                         moe_expert_rows(t->max_rows),
                                         t->dx,
                                         layer ? t->dh : NULL,
                                         t->dweights};
    for (size_t e = 0; e < E; e++)
        if (moe_expert_backward(p->m, w, layer, e, &back, err) < 0) return -1;
    if (p->m->file->heads.columns && layer + 1 == p->m->shape.L)
        vector_add(t->dweights, t->dhead, 1, N * p->m->router.top_k);
    router_backward(p, layer);
    if (layer == 0) return 0;
    mf_layer_norm_backward(&c, t->dx, &norm, NULL, NULL, t->dh, N);
    return 0;
}

/* dx: gradient of the attention's output in, of its input out. */
static int attention_layer_backward(struct pass *p, size_t layer, struct mf_err *err) {
    struct mf_moe_tape *t = p->t;
    struct mf_moe_work *w = p->w;
    const struct mf_backbone_layer frozen = {0};
    const struct mf_attention_kept k = {w->x, t->mean, t->rstd, w->qkv, w->mixed, t->lse, t->qk, t->qk_rstd};
    struct mf_layer c = moe_layer(p->m, w, &p->batch->seqs, NULL);
    c.y = t->dh;
    c.wide = t->dqkv;
    c.recompute = true;
    if (take_back(p, 2 * layer, err) < 0) return -1;
    return mf_layer_attention_backward(&c, &p->m->file->layers[layer].attention, &frozen, &k,
                                       (struct dropout){0}, t->dx, err);
}

int mf_moe_backward(struct mf_moe *m, struct mf_moe_tape *t, const struct mf_moe_batch *batch,
                    float *gradient, double *loss, double *balance, struct mf_err *err) {
    struct moe_noise noise = {batch->key, t->slope};
    struct pass p = {.m = m, .t = t, .w = t->w, .batch = batch, .gradient = gradient};
    p.N = seqs_rows(&batch->seqs);
    p.noise = batch->noisy ? &noise : NULL;
    if (p.N > t->max_rows || p.N > t->w->max_rows || !m->layers[0].gate) abort();
    if (forward(&p, err) < 0 || head(&p, loss, err) < 0) return -1;
    for (size_t i = m->shape.L; i-- > 0;) {
        if (ffn_backward(&p, i, err) < 0) return -1;
        if (i > 0 && attention_layer_backward(&p, i, err) < 0) return -1;
    }
    *balance = p.balance;
    return 0;
}
