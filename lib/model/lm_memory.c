/* The trainable model's memory, in one block; what is where when. Time runs to the right through one step;
 * dashes: it is kept.
 *
 *   memory          | embed  attention  FFN      next   | head     | FFN back   attention back  next
 *   ----------------+-----------------------------------+----------+----------------------------------
 *   attention.x [i] | x0     x ------------------------- --------- ------------- x
 *   ffn.x [i]       |        x1 ------- x -------------- --------- - x
 *   h               |        norm(x)    norm(x1)        | norm(xL) | norm(x1)   dmixed, norm(x)
 *   y               | (a)    (e), branch  branch        | dnorm    | dy         dy, (e), dnorm
 *   dx  \           |                                   | logits,  | dx ------- dx ----------- dx
 *   wide } one block|                   hidden units    | then dx  | units      dqkv
 *   again/ (b)      |        qkv (b)    pre (b)         | logits   | pre        qkv
 *   mixed, lse (c,d)|        mixed                      |          |            mixed
 *   x (c)           |                                xL | xL       | dnorm
 *
 * x1 is the layer's sum after attention, xL the last layer's; `pre` goes before the activation; dnorm is the
 * gradient of what a norm made.
 * (a) Of a backbone in bf16, the embeddings of the batch's tokens.
 * (b) Of the plan.recompute lowest layers qkv, pre and mixed are made again where the backward needs them, so
 *     these have theirs in turn in one place. The others keep their own from forward to backward; without any
 *     of the former there is no `again`.
 * (c) Where all are made again x is mixed's memory: attention is through when the last layer's sum is made,
 *     and in the backward a layer's FFN is through when its attention begins.
 * (d) Beside them q and k as they were before their norms, where the shape has such.
 * (e) What threads need to make scores block by block.
 * Where the backbone is frozen, layer 0's attention has no backward, so its attention.x is in dx, which the
 * gradient fills only later; and it uses layer 1's qkv, mixed and lse, which layer 1 then makes anew.
 * Norms and activations are made again in the backward in any case: they are cheap. */
#include "model/lm_internal.h"

#include <stdlib.h>
#include "nn/attention.h"

#define WEIGHT_BLOCK ((size_t)2 << 20) /* numbers */

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

/* What layers share: those with recomputation all that is made again; else layer 0 uses layer 1's where it
 * has no backward. */
static void layout_layers(struct mf_lm *lm, struct lm_kept *layers) {
    const struct mf_shape *s = &lm->shape;
    struct mf_arena *a = &lm->arena;
    const struct heads heads = mf_shape_heads(s);
    size_t N = lm->plan.max_rows, D = s->D;
    struct mf_attention_kept k = {0};
    struct mf_ffn_kept f = {0};
    for (size_t i = s->L; i-- > 0;) {
        bool last = i + 1 == s->L, again = i < lm->plan.recompute, first = i + 1 == lm->plan.recompute,
             own = last || ((first || !again) && !lm_lowest(lm, i));
        k.x = lm_lowest(lm, i) ? lm->dx
                               : mf_arena_floats(a, N * D); /* without backward it is done with by then */
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
        if (a->base) layers[i] = (struct lm_kept){k, f};
        if (last)
            lm->x =
                again ? k.mixed : mf_arena_floats(a, N * D); /* mixed is free between forward and backward */
    }
}

/* Where the logits are, dx, hidden units and what is made again are in turn: how many logits fit. */
static void layout_block(struct mf_lm *lm) {
    const struct mf_shape *s = &lm->shape;
    size_t N = lm->plan.max_rows, D = s->D, C = heads_columns(mf_shape_heads(s));
    size_t wide = N * larger(s->F, C), again = N * larger(mf_layer_products(s) * s->F, C);
    size_t capacity = N * D + wide + (lm->plan.recompute ? again : 0);
    lm->columns = even_part(s->V, smaller(capacity / N, s->V));
    lm->logits_rows =
        lm->plan.frozen && !lm->plan.head ? 0 : larger(smaller(capacity / s->V, N), smaller(N, 32));
    lm->logits = mf_arena_floats(&lm->arena, larger(capacity, lm->logits_rows * s->V));
    lm->dx = lm->logits;
    lm->wide = lm->logits ? lm->dx + N * D : NULL;
    lm->again = lm->logits && lm->plan.recompute ? lm->wide + wide : NULL;
}

/* Do products in fp32 meet a matrix in bf16? */
static bool widens(const struct mf_lm *lm) {
    const struct mf_shape *s = &lm->shape;
    const struct heads heads = mf_shape_heads(s);
    return !(lm->plan.bf16 && bf16_holds(s->D) && bf16_holds(s->F) && bf16_holds(heads_columns(heads)) &&
             bf16_holds(lm->columns));
}

/* Numbers of a matrix that products in fp32 take at once, whatever its dtype: matrices of a layer are not
 * divided unless they are large. */
static size_t block_of_weight(const struct mf_shape *s) {
    return smaller(WEIGHT_BLOCK, larger(mf_backbone_layer_size(s), s->D * s->F));
}

/* For parameters of a frozen backbone: changes, an anchor's products, and what is widened of those in bf16.
 */
static void layout_frozen(struct mf_lm *lm) {
    const struct mf_shape *s = &lm->shape;
    struct mf_arena *a = &lm->arena;
    size_t N = lm->plan.max_rows;
    lm->low = mf_arena_floats(a, 2 * N * larger(lm->plan.low_rank.R, lm_own_head(lm) ? 0 : lm->plan.head));
    lm->anchor_pre = lm->again;
    if (lm->plan.anchor && !lm->plan.recompute)
        lm->anchor_pre = mf_arena_floats(a, mf_layer_products(s) * N * s->F);
    lm->products.block = block_of_weight(s);
    if (!lm->plan.narrow) return;
    if (widens(lm)) lm->products.widened = mf_arena_floats(a, lm->products.block);
    if (lm->plan.low_rank.R || lm->plan.anchor)
        lm->ffn_vectors = mf_arena_floats(a, mf_table_vectors(s, MF_TABLE_FFN));
    lm->vectors = mf_arena_floats(a, mf_table_vectors(s, MF_TABLE_LAYER));
    lm->tail = mf_arena_floats(a, mf_backbone_norm_size(s));
    lm->own = mf_arena_take(a, N, sizeof *lm->own);
}

static void layout(struct mf_lm *lm, int n_threads) {
    const struct mf_shape *s = &lm->shape;
    struct mf_arena *a = &lm->arena;
    const struct heads heads = mf_shape_heads(s);
    size_t N = lm->plan.max_rows, D = s->D;
    layout_block(lm);
    lm->layers = mf_arena_take(a, s->L, sizeof *lm->layers);
    lm->mean = mf_arena_floats(a, N);
    lm->rstd = mf_arena_floats(a, N);
    lm->h = mf_arena_floats(a, N * larger(D, heads.H * heads.d));
    lm->y = mf_arena_floats(a, larger(N * D, attention_scratch(n_threads, s->S, heads.d)));
    lm->losses = mf_arena_take(a, N, sizeof *lm->losses);
    lm->softmax.sum = mf_arena_take(a, N, sizeof *lm->softmax.sum);
    lm->softmax.maximum = mf_arena_floats(a, N);
    lm->softmax.at_target = mf_arena_floats(a, N);
    lm->positions = mf_arena_floats(a, s->S * mf_layer_position_size(s));
    lm->sums = mf_arena_floats(a, (size_t)n_threads * larger(s->F, larger(2 * D, heads.d)));
    if (lm->plan.frozen) layout_frozen(lm);
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
    lm->products = products_fp32(pool);
    layout(lm, mf_pool_threads(pool));
    if (mf_arena_init(&lm->arena, lm->arena.used, err) < 0 ||
        (plan->bf16 && bf16_new(&lm->products.bf16, mf_pool_threads(pool), err) < 0)) {
        mf_lm_free(lm);
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
    bf16_free(lm->products.bf16);
    mf_arena_free(&lm->arena);
    free(lm);
}

size_t mf_lm_memory(const struct mf_shape *shape, const struct mf_lm_plan *plan, int n_threads) {
    struct mf_lm lm = {.shape = *shape, .plan = *plan};
    layout(&lm, n_threads);
    return lm.arena.used;
}
