/* The trainable model: embedding, the layers of model/layer.h in order, head; then in reverse.
 *
 * What is in which memory when. Time runs to the right through one step; dashes: it is kept.
 *
 *   memory          | embed  attention  FFN      next   | head     | FFN back   attention back  next
 *   ----------------+-----------------------------------+----------+----------------------------------
 *   attention.x [i] | x0     x ------------------------- --------- ------------- x
 *   ffn.x [i]       |        x1 ------- x -------------- --------- - x
 *   h               |        norm(x)    norm(x1)        | norm(xL) | norm(x1)   dmixed, norm(x)
 *   y               | (a)    branch     branch          | dnorm    | dy         dy, dnorm
 *   dx  \           |                                   | logits,  | dx ------- dx ----------- dx
 *   wide } one block|                   hidden units    | then dx  | units      dqkv
 *   again/ (b)      |        qkv (b)    pre (b)         | logits   | pre        qkv
 *   mixed, lse (c,d)|        mixed                      |          |            mixed
 *   x (c)           |                                xL | xL       | dnorm
 *
 * x1 is the layer's sum after attention, xL the last layer's; `pre` goes before the activation; dnorm is the
 * gradient of what a norm made.
 * (a) Of a backbone in bf16, the embeddings of the batch's tokens.
 * (b) With plan.recompute: qkv, pre and mixed are made again where the backward needs them, so all layers
 *     have theirs in turn in one place. Without it each layer keeps its own from forward to backward, and
 *     there is no `again`.
 * (c) With plan.recompute x is mixed's memory: attention is through when the last layer's sum is made, and
 *     in the backward a layer's FFN is through when its attention begins.
 * (d) Beside them q and k as they were before their norms, where the shape has such.
 * Where the backbone is frozen, layer 0's attention has no backward, so its attention.x is in dx, which the
 * gradient fills only later; and it uses layer 1's qkv, mixed and lse, which layer 1 then makes anew.
 * Norms and activations are made again in the backward in any case: they are cheap. */
#include "model/lm.h"

#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/rng.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/loss.h"
#include "nn/matmul.h"

/* What one layer keeps for its backward; layers may share what is made again. */
struct kept {
    struct mf_attention_kept attention;
    struct mf_ffn_kept ffn;
};

struct mf_lm {
    struct mf_shape shape;
    struct mf_lm_plan plan;
    struct mf_pool *pool;
    struct mf_arena arena;
    struct kept *layers;    /* [L] */
    float *x, *mean, *rstd; /* [N,D], [N], [N] after the last layer */
    float *h;               /* [N,max(D,A)], A = H d */
    float *y, *dx;          /* [N,D] */
    float *wide;            /* [N,units] or [N,C], C = (H+2K) d */
    float *again;           /* [products,N,units] or [N,C], or NULL */
    float *logits;          /* [N,columns] or [logits_rows,V]: dx, wide and again in one */
    size_t units;       /* hidden units of an FFN that are at work at once: each weight meets all rows in one
                           product */
    size_t columns;     /* of the logits that exist at once, and */
    size_t logits_rows; /* rows, where they are needed whole: for the embedding's gradient */
    double *losses;     /* [N] */
    struct online_softmax softmax;
    float *positions;              /* mf_layer_positions */
    float *attention, *sums;       /* scratch */
    float *low;                    /* [2,N,R] */
    float *anchor_pre;             /* [products,N,units] with plan.anchor; with `again` that */
    size_t n_head, n_layer, n_ffn; /* tensors of the tables, and of the backbone */
    size_t n_backbone;
    float *widened, *tail; /* of a narrow backbone: a layer or a chunk of the embedding; the output norm */
    float *widened_ffn;    /* of a narrow FFN: a layer */
    uint32_t *own;         /* [N] 0, 1, 2, ...: the rows of a table that holds just them */
};

/* A layer whose attention needs no backward: everything below it is frozen. */
static bool lowest(const struct mf_lm *lm, size_t layer) {
    return lm->plan.frozen && layer == 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The length of n things' parts, as few and as even as `max` to a part allows; of 16s where they fit. */
static size_t even_part(size_t n, size_t max) {
    if (n <= max) return n;
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): max is at least one */
    size_t parts = (n + max - 1) / max, part = (n + parts - 1) / parts, sixteens = (part + 15) / 16 * 16;
    return sixteens <= max ? sixteens : part;
}

/* Has the expert a whole head of its own? */
static bool own_head(const struct mf_lm *lm) {
    return lm->plan.head && mf_head_whole(&lm->shape, lm->plan.head);
}

/* What layers share: with recomputation all that is made again; else layer 0 uses layer 1's where it has no
 * backward. */
static void layout_layers(struct mf_lm *lm, struct kept *layers) {
    const struct mf_shape *s = &lm->shape;
    struct mf_arena *a = &lm->arena;
    const struct heads heads = mf_shape_heads(s);
    size_t N = lm->plan.max_rows, D = s->D;
    bool again = lm->plan.recompute;
    struct mf_attention_kept k = {0};
    struct mf_ffn_kept f = {0};
    for (size_t i = s->L; i-- > 0;) {
        bool last = i + 1 == s->L, own = last || !(again || lowest(lm, i));
        k.x =
            lowest(lm, i) ? lm->dx : mf_arena_floats(a, N * D); /* without backward it is done with by then */
        k.mean = mf_arena_floats(a, N);
        k.rstd = mf_arena_floats(a, N);
        f.x = mf_arena_floats(a, N * D);
        f.mean = mf_arena_floats(a, N);
        f.rstd = mf_arena_floats(a, N);
        f.pre = again ? lm->again : mf_arena_floats(a, mf_layer_products(s) * N * s->F);
        if (own) {
            k.qkv = again ? lm->again : mf_arena_floats(a, N * heads_columns(heads));
            k.mixed = mf_arena_floats(a, N * larger(D, heads.H * heads.d));
            k.lse = mf_arena_floats(a, N * s->H);
            k.qk = s->qk_norm ? mf_arena_floats(a, N * (heads.H + heads.K) * heads.d) : NULL;
            k.qk_rstd = s->qk_norm ? mf_arena_floats(a, N * (heads.H + heads.K)) : NULL;
        }
        if (a->base) layers[i] = (struct kept){k, f};
        if (last)
            lm->x =
                again ? k.mixed : mf_arena_floats(a, N * D); /* mixed is free between forward and backward */
    }
}

static void layout(struct mf_lm *lm, int n_threads) {
    const struct mf_shape *s = &lm->shape;
    struct mf_arena *a = &lm->arena;
    const struct heads heads = mf_shape_heads(s);
    size_t N = lm->plan.max_rows, D = s->D, F = s->F, C = heads_columns(heads);
    lm->units = lm->plan.recompute ? even_part(F, larger(C / mf_layer_products(s), 1)) : F;
    size_t wide = N * larger(lm->units, C), again = N * larger(mf_layer_products(s) * lm->units, C);
    size_t capacity = N * D + wide + (lm->plan.recompute ? again : 0);
    /* of a frozen backbone no more than fit where a layer is widened, in F32 as well: its dtype changes no
     * sum */
    lm->columns = even_part(
        s->V, smaller(capacity / N, lm->plan.frozen ? larger(mf_backbone_layer_size(s) / D, 1) : s->V));
    lm->logits_rows =
        lm->plan.frozen && !lm->plan.head ? 0 : larger(smaller(capacity / s->V, N), smaller(N, 32));
    lm->layers = mf_arena_take(a, s->L, sizeof *lm->layers);
    lm->mean = mf_arena_floats(a, N);
    lm->rstd = mf_arena_floats(a, N);
    lm->h = mf_arena_floats(a, N * larger(D, heads.H * heads.d));
    lm->y = mf_arena_floats(a, N * D);
    lm->logits = mf_arena_floats(a, larger(capacity, lm->logits_rows * s->V));
    lm->dx = lm->logits;
    lm->wide = lm->logits ? lm->dx + N * D : NULL;
    lm->again = lm->logits && lm->plan.recompute ? lm->wide + wide : NULL;
    lm->losses = mf_arena_take(a, N, sizeof *lm->losses);
    lm->softmax.sum = mf_arena_take(a, N, sizeof *lm->softmax.sum);
    lm->softmax.maximum = mf_arena_floats(a, N);
    lm->softmax.at_target = mf_arena_floats(a, N);
    lm->positions = mf_arena_floats(a, s->S * mf_layer_position_size(s));
    lm->attention = mf_arena_floats(a, attention_scratch(n_threads, s->S, heads.d));
    lm->sums = mf_arena_floats(a, (size_t)n_threads * larger(F, larger(2 * D, heads.d)));
    lm->low = mf_arena_floats(a, 2 * N * larger(lm->plan.low_rank.R, own_head(lm) ? 0 : lm->plan.head));
    lm->anchor_pre = lm->again;
    if (lm->plan.anchor && !lm->plan.recompute)
        lm->anchor_pre = mf_arena_floats(a, mf_layer_products(s) * N * F);
    if (lm->plan.narrow && (lm->plan.low_rank.R || lm->plan.anchor))
        lm->widened_ffn = mf_arena_floats(a, mf_ffn_size(s) / s->L);
    if (lm->plan.narrow) {
        lm->widened = mf_arena_floats(a, larger(mf_backbone_layer_size(s), lm->columns * D));
        lm->tail = mf_arena_floats(a, mf_backbone_norm_size(s));
        lm->own = mf_arena_take(a, N, sizeof *lm->own);
    }
    layout_layers(lm, lm->layers);
}

static void count_tensors(struct mf_lm *lm) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    lm->n_head = mf_table_tensors(&lm->shape, MF_TABLE_HEAD, 0, 0, 0, 0, tensors, NULL);
    lm->n_layer = mf_table_tensors(&lm->shape, MF_TABLE_LAYER, 0, 0, 0, 0, tensors, NULL);
    lm->n_ffn = mf_table_tensors(&lm->shape, MF_TABLE_FFN, 0, 0, 0, 0, tensors, NULL);
    lm->n_backbone = mf_backbone_tensors(&lm->shape, NULL, NULL);
}

int mf_lm_new(struct mf_lm **out, const struct mf_shape *shape, const struct mf_lm_plan *plan,
              struct mf_pool *pool, struct mf_err *err) {
    struct mf_lm *lm = calloc(1, sizeof *lm);
    if (!lm) return mf_err_set(err, EX_OSERR, "out of memory");
    lm->shape = *shape;
    lm->plan = *plan;
    lm->pool = pool;
    layout(lm, mf_pool_threads(pool));
    if (mf_arena_init(&lm->arena, lm->arena.used, err) < 0) {
        free(lm);
        return -1;
    }
    layout(lm, mf_pool_threads(pool));
    count_tensors(lm);
    mf_layer_positions(shape, lm->positions, 0, shape->S);
    for (size_t n = 0; plan->narrow && n < plan->max_rows; n++) lm->own[n] = (uint32_t)n;
    *out = lm;
    return 0;
}

void mf_lm_free(struct mf_lm *lm) {
    if (!lm) return;
    mf_arena_free(&lm->arena);
    free(lm);
}

size_t mf_lm_memory(const struct mf_shape *shape, const struct mf_lm_plan *plan, int n_threads) {
    struct mf_lm lm = {.shape = *shape, .plan = *plan};
    layout(&lm, n_threads);
    return lm.arena.used;
}

/* --- the passes --- */

/* One pass: its rows, parameters and what may be NULL in it. */
struct pass {
    struct mf_lm *lm;
    const struct mf_lm_weights *w, *grad; /* grad NULL: forward only */
    const struct mf_lm_batch *batch;
    struct dropout dropout;
    size_t N;
    struct mf_layer layer;
};

/* Dropout where it happens: site 0 the embedding, then two a layer. */
static struct dropout dropout_at(const struct pass *p, size_t site) {
    struct dropout dropout = p->dropout;
    dropout.key = mf_rng_at(dropout.key, site);
    return dropout;
}

struct widening {
    float *to;
    const uint16_t *from;
};

static void widen_part(void *context, size_t begin, size_t end, int thread) {
    const struct widening *w = context;
    (void)thread;
    mf_bf16_widen(w->to + begin, w->from + begin, end - begin);
}

/* Widens n tensors in bf16, one behind the other. */
static float *widen(const struct pass *p, float *to, const struct mf_tensor *tensors, size_t n) {
    for (size_t i = 0, at = 0; i < n; i++) {
        struct widening w = {to + at, tensors[i].data};
        mf_pool_run(p->lm->pool, mf_tensor_count(&tensors[i]), 64, widen_part, &w);
        at += mf_tensor_count(&tensors[i]);
    }
    return to;
}

/* The tensors that lie apart, from a layer's first one of the backbone on (L: the tail's), or of the FFN. */
static const struct mf_tensor *frozen_layer(const struct pass *p, size_t i) {
    return p->w->frozen + p->lm->n_head + i * p->lm->n_layer;
}

static const struct mf_tensor *frozen_ffn(const struct pass *p, size_t i) {
    return p->w->frozen + p->lm->n_backbone + i * p->lm->n_ffn;
}

/* A layer's parameters; those widened stay until the next call. */
static struct mf_backbone_layer backbone_layer(const struct pass *p, size_t i) {
    struct mf_lm *lm = p->lm;
    struct mf_backbone_layer view = {0};
    if (p->w->backbone) return mf_backbone_layer(&lm->shape, p->w->backbone, i);
    if (lm->plan.narrow)
        return mf_backbone_layer_view(&lm->shape, widen(p, lm->widened, frozen_layer(p, i), lm->n_layer));
    mf_table_point(&lm->shape, MF_TABLE_LAYER, frozen_layer(p, i), &view);
    return view;
}

/* The FFN's parameters that lie apart, with the norm of its backbone layer where it has none of its own;
 * those widened stay until the next layer's. */
static struct mf_ffn_layer frozen_ffn_layer(const struct pass *p, const struct mf_backbone_layer *backbone,
                                            size_t i) {
    struct mf_lm *lm = p->lm;
    struct mf_ffn_layer view = {0};
    if (lm->plan.narrow)
        view = mf_ffn_layer(&lm->shape, widen(p, lm->widened_ffn, frozen_ffn(p, i), lm->n_ffn), 0);
    else
        mf_table_point(&lm->shape, MF_TABLE_FFN, frozen_ffn(p, i), &view);
    if (!view.norm_gain) view.norm_gain = backbone->ffn_norm;
    return view;
}

/* A layer's FFN, and what it works beside. */
struct ffn_pair {
    struct mf_ffn_layer own, anchor;
};

static struct ffn_pair ffn_pair(const struct pass *p, const struct mf_backbone_layer *backbone, size_t i) {
    const struct mf_lm *lm = p->lm;
    struct ffn_pair pair = {0};
    if (!p->w->ffn || lm->plan.anchor) pair.anchor = pair.own = frozen_ffn_layer(p, backbone, i);
    if (p->w->ffn) pair.own = mf_ffn_layer(&lm->shape, p->w->ffn, i);
    mf_changes_layer(&lm->shape, lm->plan.low_rank.R, p->w->changes, i, &pair.own);
    if (!pair.own.norm_gain) pair.own.norm_gain = backbone->ffn_norm;
    return pair;
}

/* The layer with the anchor beside it, if there is one. */
static struct mf_layer layer_beside(const struct pass *p, const struct ffn_pair *pair) {
    struct mf_layer layer = p->layer;
    if (p->lm->plan.anchor) layer.anchor = &pair->anchor;
    return layer;
}

/* Its gradients. */
static struct mf_ffn_layer ffn_gradients(const struct pass *p, const struct mf_backbone_layer *dbackbone,
                                         size_t i) {
    const struct mf_shape *s = &p->lm->shape;
    struct mf_ffn_layer view = mf_ffn_layer(s, p->grad->ffn, i);
    mf_changes_layer(s, p->lm->plan.low_rank.R, p->grad->changes, i, &view);
    if (!view.norm_gain) view.norm_gain = dbackbone->ffn_norm;
    return view;
}

/* The ends of the backbone; of a narrow one the output norm only. */
static struct mf_backbone_ends backbone_ends(const struct pass *p) {
    struct mf_lm *lm = p->lm;
    const struct mf_shape *s = &lm->shape;
    struct mf_backbone_ends view = {0};
    size_t size = mf_backbone_norm_size(s);
    if (p->w->backbone) return mf_backbone_ends(s, p->w->backbone);
    if (lm->plan.narrow) {
        widen(p, lm->tail, frozen_layer(p, s->L), size / s->D);
        return (struct mf_backbone_ends){.out_norm_gain = lm->tail,
                                         .out_norm_bias = size > s->D ? lm->tail + s->D : NULL};
    }
    mf_table_point(s, MF_TABLE_HEAD, p->w->frozen, &view);
    mf_table_point(s, MF_TABLE_TAIL, frozen_layer(p, s->L), &view);
    return view;
}

/* A matrix [V,D] of the backbone: the embedding, or the head where that is another. */
struct table {
    const float *rows; /* or NULL: */
    const uint16_t *narrow;
};

static struct table table_of(const struct pass *p, bool head) {
    const struct mf_shape *s = &p->lm->shape;
    if (p->w->backbone) return (struct table){p->w->backbone + (head ? mf_backbone_head_offset(s) : 0), NULL};
    const struct mf_tensor *t = p->w->frozen + (head && s->untied ? p->lm->n_backbone - 1 : 0);
    return p->lm->plan.narrow ? (struct table){NULL, t->data} : (struct table){t->data, NULL};
}

/* Where the rows `ids` [N] of a table are: of a narrow one, `widened` [N,D], with the rows
 * `own`; nothing for LOSS_IGNORE. */
static const float *rows_table(const struct pass *p, float *widened, struct table table,
                               const uint32_t *ids) {
    size_t D = p->lm->shape.D;
    if (table.rows) return table.rows;
    for (size_t n = 0; n < p->N; n++)
        if (ids[n] != LOSS_IGNORE) mf_bf16_widen(widened + n * D, table.narrow + ids[n] * D, D);
    return widened;
}

/* What makes the logits: a matrix, and an expert's change of low rank to it. */
struct head {
    struct table table;
    struct low_rank change; /* R 0: none */
};

static struct head head_of(const struct pass *p) {
    const struct mf_lm *lm = p->lm;
    bool own = own_head(lm);
    return (struct head){own ? (struct table){p->w->head, NULL} : table_of(p, true),
                         mf_head_change(&lm->shape, lm->plan.head, p->w->head)};
}

/* The head's rows of a chunk of the vocabulary, from v on, *P of them, `most` at most. */
static const float *vocabulary_chunk(const struct pass *p, struct table head, size_t v, size_t most,
                                     size_t *P) {
    struct mf_lm *lm = p->lm;
    size_t V = lm->shape.V, D = lm->shape.D;
    *P = smaller(V - v, most);
    if (head.rows) return head.rows + v * D;
    mf_bf16_widen(lm->widened, head.narrow + v * D, *P * D);
    return lm->widened;
}

/* Adds to a chunk's logits, of tokens v to v+P-1, what the change makes of them. */
static void add_change(const struct pass *p, const struct low_rank *whole, size_t v, size_t P) {
    struct mf_lm *lm = p->lm;
    struct low_rank part = *whole;
    if (!part.R) return;
    part.b += v * part.R;
    part.O = P;
    low_rank_forward(lm->pool, lm->logits, P, lm->h, lm->shape.D, &part, p->N, lm->low);
}

/* Losses with the vocabulary in chunks, each of which meets all rows in one product. With gradients, y
 * becomes that of the normalised rows. */
static void head_in_chunks(const struct pass *p, const struct head *head, float scale) {
    struct mf_lm *lm = p->lm;
    size_t N = p->N, D = lm->shape.D;
    const uint32_t *targets = p->batch->targets;
    for (size_t v = 0, P; v < lm->shape.V; v += P) {
        const float *w = vocabulary_chunk(p, head->table, v, lm->columns, &P);
        matmul_forward(lm->pool, lm->logits, lm->h, w, N, P, D, 0);
        add_change(p, &head->change, v, P);
        cross_entropy_chunk(lm->pool, &lm->softmax, lm->logits, targets, v, N, P, p->grad ? lm->y : NULL, D);
        if (p->grad) matmul_backward_input(lm->pool, lm->y, lm->logits, w, N, P, D, v > 0);
    }
    cross_entropy_losses(&lm->softmax, lm->losses, targets, N);
    if (!p->grad) return;
    const float *table = rows_table(p, lm->h, head->table, targets);
    cross_entropy_input(lm->pool, &lm->softmax, lm->y, targets, table, lm->plan.narrow ? lm->own : targets,
                        scale, N, D);
}

/* The head that learns: the backbone's, an expert's whole one, or the factors of its change. */
struct head_gradient {
    float *matrix; /* [V,D], or NULL: */
    float *a, *b;  /* [R,D], [V,R] */
};

static struct head_gradient head_gradient(const struct pass *p) {
    const struct mf_lm *lm = p->lm;
    struct mf_backbone_ends g = mf_backbone_ends(&lm->shape, p->grad->backbone);
    if (!lm->plan.head) return (struct head_gradient){.matrix = g.head ? g.head : g.embedding};
    if (own_head(lm)) return (struct head_gradient){.matrix = p->grad->head};
    return (struct head_gradient){NULL, p->grad->head, p->grad->head + lm->plan.head * lm->shape.D};
}

/* What a block of rows adds to the head's gradient, from the gradient of its logits; and y, that of its rows
 * h. */
static void head_backward(const struct pass *p, const struct head *head, const struct head_gradient *g,
                          const float *h, float *y, size_t rows) {
    struct mf_lm *lm = p->lm;
    size_t D = lm->shape.D, V = lm->shape.V, most = head->table.rows ? V : lm->columns;
    if (g->matrix) matmul_backward_weight(lm->pool, g->matrix, lm->logits, h, rows, V, D);
    for (size_t v = 0, P; v < V; v += P) {
        const float *w = vocabulary_chunk(p, head->table, v, most, &P);
        matmul_backward_input_block(lm->pool, y, D, lm->logits + v, V, w, D, rows, P, D, v > 0);
    }
    if (!head->change.R) return;
    float *du = lm->low + rows * head->change.R;
    low_rank_backward_weight(lm->pool, g->a, g->b, lm->logits, V, h, D, &head->change, rows, lm->low, du);
    low_rank_backward_input(lm->pool, y, D, lm->logits, V, &head->change, rows, du);
}

/* Losses and the gradients of rows and of the head, which need whole rows of logits: a block of rows at a
 * time. */
static void head_in_rows(const struct pass *p, const struct head *head, float scale) {
    struct mf_lm *lm = p->lm;
    size_t N = p->N, D = lm->shape.D, V = lm->shape.V, most = head->table.rows ? V : lm->columns;
    const struct head_gradient g = head_gradient(p);
    for (size_t n = 0, rows; n < N; n += rows) {
        const float *h = lm->h + n * D;
        rows = smaller(N - n, lm->logits_rows);
        for (size_t v = 0, P; v < V; v += P) {
            const float *w = vocabulary_chunk(p, head->table, v, most, &P);
            matmul_forward_block(lm->pool, lm->logits + v, V, h, D, w, D, rows, P, D, 0);
        }
        if (head->change.R) low_rank_forward(lm->pool, lm->logits, V, h, D, &head->change, rows, lm->low);
        cross_entropy_backward(lm->pool, lm->losses + n, lm->logits, p->batch->targets + n, scale, rows, V);
        head_backward(p, head, &g, h, lm->y + n * D, rows);
    }
    if (g.matrix && lm->plan.pad >= 0 && !lm->plan.frozen && !lm->shape.untied)
        memset(g.matrix + (size_t)lm->plan.pad * D, 0, D * sizeof *g.matrix); /* a logit all the same */
}

/* Logits and losses; with gradients, dx becomes that of the last layer's output. */
static double head(const struct pass *p, float scale) {
    struct mf_lm *lm = p->lm;
    struct mf_backbone_ends w = backbone_ends(p), g = {0};
    size_t N = p->N, D = lm->shape.D;
    const struct head made_by = head_of(p);
    const struct mf_norm norm = {lm->x, lm->mean, lm->rstd, w.out_norm_gain, w.out_norm_bias};
    if (p->grad) g = mf_backbone_ends(&lm->shape, p->grad->backbone);
    mf_layer_norm(&p->layer, 2 * lm->shape.L, &norm, N);
    if (p->grad && lm->logits_rows)
        head_in_rows(p, &made_by, scale);
    else
        head_in_chunks(p, &made_by, scale);
    if (p->grad) {
        memset(lm->dx, 0, N * D * sizeof *lm->dx);
        mf_layer_norm_backward(&p->layer, lm->dx, &norm, g.out_norm_gain, g.out_norm_bias, lm->y, N);
    }
    double sum = 0;
    for (size_t n = 0; n < N; n++) sum += lm->losses[n];
    return sum;
}

/* The rows' embeddings. */
static void embed(const struct pass *p) {
    struct mf_lm *lm = p->lm;
    const uint32_t *tokens = p->batch->tokens;
    const float *table = rows_table(p, lm->y, table_of(p, false), tokens);
    embedding_forward(lm->pool, lm->layers[0].attention.x, lm->plan.narrow ? lm->own : tokens,
                      &p->batch->seqs, table, mf_layer_turns(&lm->shape) ? NULL : lm->positions,
                      dropout_at(p, 0), lm->shape.D);
}

static void forward(const struct pass *p) {
    struct mf_lm *lm = p->lm;
    embed(p);
    for (size_t i = 0; i < lm->shape.L; i++) {
        const struct kept *k = &lm->layers[i];
        struct mf_backbone_layer backbone = backbone_layer(p, i);
        const struct ffn_pair ffn = ffn_pair(p, &backbone, i);
        const struct mf_layer layer = layer_beside(p, &ffn);
        float *out = i + 1 < lm->shape.L ? lm->layers[i + 1].attention.x : lm->x;
        mf_layer_attention(&p->layer, i, &backbone, &k->attention, NULL, dropout_at(p, 1 + 2 * i), k->ffn.x,
                           NULL);
        mf_layer_ffn(&layer, i, &ffn.own, &k->ffn, dropout_at(p, 2 + 2 * i), out, NULL);
    }
}

/* dx, the gradient of the last layer's output, becomes that of the lowest layer's input; where the backbone
 * is frozen the backward ends with the lowest tensor that learns, in that layer's FFN. */
static void backward(const struct pass *p) {
    struct mf_lm *lm = p->lm;
    for (size_t i = lm->shape.L; i-- > 0;) {
        const struct kept *k = &lm->layers[i];
        struct mf_backbone_layer backbone = backbone_layer(p, i),
                                 dbackbone = mf_backbone_layer(&lm->shape, p->grad->backbone, i);
        const struct ffn_pair ffn = ffn_pair(p, &backbone, i);
        const struct mf_ffn_layer dffn = ffn_gradients(p, &dbackbone, i);
        struct mf_layer layer = layer_beside(p, &ffn);
        layer.bottom = lowest(lm, i);
        mf_layer_ffn_backward(&layer, &ffn.own, &dffn, &k->ffn, dropout_at(p, 2 + 2 * i), lm->x, lm->dx,
                              NULL);
        if (lowest(lm, i)) break;
        mf_layer_attention_backward(&p->layer, &backbone, &dbackbone, &k->attention, dropout_at(p, 1 + 2 * i),
                                    lm->dx, NULL);
    }
}

static struct pass pass_of(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch) {
    struct pass p = {.lm = lm, .w = w, .batch = batch};
    p.N = batch->seqs.start[batch->seqs.count];
    if (p.N > lm->plan.max_rows) abort();
    p.layer = (struct mf_layer){.shape = &lm->shape,
                                .pool = lm->pool,
                                .seqs = &batch->seqs,
                                .positions = lm->positions,
                                .h = lm->h,
                                .y = lm->y,
                                .wide = lm->wide,
                                .units = lm->units,
                                .recompute = lm->plan.recompute,
                                .scratch = lm->attention,
                                .sums = lm->sums,
                                .rank = lm->plan.low_rank.R,
                                .change = mf_low_rank_scale(&lm->plan.low_rank),
                                .low = lm->low,
                                .anchor_pre = lm->anchor_pre};
    return p;
}

double mf_lm_loss(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch,
                  mf_norm_hook *hook, void *context) {
    struct pass p = pass_of(lm, w, batch);
    p.layer.hook = hook;
    p.layer.context = context;
    forward(&p);
    return head(&p, 0);
}

double mf_lm_backward(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_weights *grad,
                      const struct mf_lm_batch *batch, struct dropout dropout, float scale) {
    struct pass p = pass_of(lm, w, batch);
    float *dembedding = mf_backbone_ends(&lm->shape, grad->backbone).embedding;
    p.grad = grad;
    p.dropout = dropout;
    forward(&p);
    double loss = head(&p, scale);
    backward(&p);
    if (dembedding)
        embedding_backward(lm->pool, dembedding, lm->dx, batch->tokens, &batch->seqs, dropout_at(&p, 0),
                           lm->plan.pad, lm->shape.D);
    return loss;
}
