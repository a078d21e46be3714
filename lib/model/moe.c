/* The forward pass of a model on disk: one layer's weights at a time, the rows of each expert together. */
#include "model/moe_head_internal.h"

#include <stdlib.h>
#include <string.h>
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/vector.h"

static void layout(struct mf_moe_work *w, const struct mf_moe *m) {
    const struct mf_shape *s = &m->shape;
    struct mf_arena *a = &w->arena;
    size_t N = w->max_rows, R = moe_expert_rows(N), E = m->router.n_experts;
    size_t block = s->V < MOE_VOCAB_BLOCK ? s->V : MOE_VOCAB_BLOCK, longest = N < s->S ? N : s->S;
    const struct heads heads = mf_shape_heads(s);
    size_t scratch = attention_scratch(mf_pool_threads(w->products.pool), longest, heads.d),
           A = heads.H * heads.d;
    w->x = mf_arena_floats(a, N * s->D);
    w->h = mf_arena_floats(a, N * (A > s->D ? A : s->D));
    w->attention = mf_arena_floats(a, scratch > s->H * s->S ? scratch : s->H * s->S);
    w->rstd = mf_arena_floats(a, N);
    w->gate = mf_arena_floats(a, N * E);
    w->experts = mf_arena_take(a, N * E, sizeof *w->experts);
    w->weights = mf_arena_floats(a, N * E);
    w->first = mf_arena_take(a, E + 1, sizeof *w->first);
    w->slots = mf_arena_take(a, N * E, sizeof *w->slots);
    struct mf_arena together[3] = {*a, *a, *a};
    w->qkv = mf_arena_floats(&together[0], N * heads_columns(heads));
    w->mixed = mf_arena_floats(&together[0], N * A);
    moe_attention_layout(w, m, &together[0]);
    w->in = mf_arena_floats(&together[1], R * s->D);
    w->mid = mf_arena_floats(&together[1], mf_layer_products(s) * R * s->F);
    w->out = mf_arena_floats(&together[1], R * s->D);
    w->rows = mf_arena_floats(&together[2], block * s->D);
    w->logits = mf_arena_floats(&together[2], N * block);
    moe_heads_layout(w, m, block, &together[2]);
    for (size_t i = 0; i < 3; i++)
        if (together[i].used > a->used) a->used = together[i].used;
    w->share = mf_arena_floats(a, m->file->heads.columns ? N : 0);
    w->softmax.maximum = mf_arena_floats(a, N);
    w->softmax.at_target = mf_arena_floats(a, N);
    w->softmax.sum = mf_arena_take(a, N, sizeof *w->softmax.sum);
}

int mf_moe_work_new(struct mf_moe_work **out, const struct mf_moe *m, size_t max_rows,
                    struct products products, struct mf_err *err) {
    struct mf_moe_work *w = calloc(1, sizeof *w);
    if (!w) return mf_err_set(err, EX_OSERR, "out of memory");
    w->products = products;
    w->max_rows = max_rows;
    layout(w, m);
    if (mf_arena_init(&w->arena, w->arena.used, err) < 0) {
        free(w);
        return -1;
    }
    layout(w, m);
    *out = w;
    return 0;
}

size_t mf_moe_work_memory(const struct mf_moe *m, size_t max_rows, struct mf_pool *pool) {
    struct mf_moe_work w = {.products = products_fp32(pool), .max_rows = max_rows};
    layout(&w, m);
    return w.arena.used;
}

void mf_moe_work_free(struct mf_moe_work *w) {
    if (!w) return;
    mf_arena_free(&w->arena);
    free(w);
}

const float *mf_moe_work_rstd(const struct mf_moe_work *w) {
    return w->rstd;
}

/* --- one layer --- */

struct mf_layer moe_layer(const struct mf_moe *m, struct mf_moe_work *w, const struct seqs *seqs,
                          const struct mf_moe_hooks *hooks) {
    return (struct mf_layer){.shape = &m->shape,
                             .products = w->products,
                             .seqs = seqs,
                             .positions = m->file->positions,
                             .h = w->h,
                             .scratch = w->attention,
                             .hook = hooks ? hooks->normalised : NULL,
                             .context = hooks ? hooks->context : NULL};
}

/* x += sum over the chosen experts of weight * FFN_e(h). */
int moe_ffn(struct mf_moe *m, struct mf_moe_work *w, const struct mf_layer *c, size_t layer,
            const float *token_scores, const struct mf_moe_hooks *hooks, const struct moe_noise *noise,
            struct mf_err *err) {
    const struct mf_moe_layer *l = &m->layers[layer];
    size_t N = seqs_rows(c->seqs), E = m->router.n_experts, K = m->router.top_k;
    const struct mf_norm norm = {.x = w->x, .rstd = w->rstd, .gain = l->moe_gain, .bias = l->moe_bias};
    const float *from = l->moe_gain ? w->h : w->x; /* each row is read before it is added to */
    if (l->moe_gain || c->hook) mf_layer_norm(c, m->shape.L + layer, &norm, N);
    if (l->gate) {
        moe_route(m, w, layer, token_scores, N, noise);
        if (hooks && hooks->route) hooks->route(hooks->context, layer, w->experts, w->weights, N);
        if (hooks && hooks->routed) hooks->routed(hooks->context, layer, w->experts, w->weights, w->h, N);
    } else {
        for (size_t n = 0; n < N; n++) {
            w->experts[n] = 0;
            w->weights[n] = 1;
        }
    }
    moe_group(w, 0, N * K, E);
    for (size_t e = 0; e < E; e++)
        if (moe_expert(m, w, layer, e, from, err) < 0) return -1;
    return 0;
}

int moe_attend(struct mf_moe *m, struct mf_moe_work *w, const struct mf_layer *c, size_t layer,
               struct mf_moe_cache *cache, struct mf_err *err) {
    const struct mf_attention_kept k = {.x = w->x, .qkv = w->qkv, .mixed = w->mixed};
    struct mf_layer_cache rows;
    if (cache) rows = moe_layer_cache(cache, layer);
    return mf_layer_attention(c, layer, &m->file->layers[layer].attention, &k, cache ? &rows : NULL,
                              (struct dropout){0}, w->x, err);
}

int moe_check_tokens(const struct mf_moe *m, const uint32_t *tokens, size_t N, struct mf_err *err) {
    for (size_t n = 0; n < N; n++)
        if (tokens[n] >= m->shape.V)
            return mf_err_set(err, EX_DATAERR, "%s: token %u is not below the vocabulary's %zu", m->name,
                              tokens[n], m->shape.V);
    return 0;
}

bool moe_keeps_embedding(const struct mf_moe *m) {
    const struct mf_shape *s = &m->shape;
    size_t layer = mf_backbone_layer_size(s) + mf_ffn_size(s) / s->L * m->router.n_experts;
    size_t ends = (m->file->head != m->file->embedding ? 2 : 1) * s->V * s->D;
    return mf_weights_holds_all(m->file->weights,
                                (ends + layer) * sizeof(float) + moe_attention_layer_bytes(m));
}

/* x = embedding, + position where positions are added; row n stands at first_position + its place in its
 * sequence. */
int moe_embed(struct mf_moe *m, struct mf_moe_work *w, const uint32_t *tokens, const struct seqs *seqs,
              size_t first_position, struct mf_err *err) {
    size_t D = m->shape.D, end = first_position;
    for (size_t q = 0; q < seqs->count; q++)
        if (first_position + seqs->start[q + 1] - seqs->start[q] > end)
            end = first_position + seqs->start[q + 1] - seqs->start[q];
    if (end > m->file->n_positions) {
        size_t made = m->file->n_positions;
        mf_layer_positions(&m->shape, m->file->positions + made * mf_layer_position_size(&m->shape), made,
                           end - made);
        m->file->n_positions = end;
    }
    const float *pe = mf_layer_turns(&m->shape) ? NULL : m->file->positions + first_position * D, *table;
    if (moe_keeps_embedding(m)) {
        if (mf_weights_get(m->file->weights, m->file->embedding, &table, err) < 0) return -1;
        embedding_forward(w->products.pool, w->x, tokens, seqs, table, pe, (struct dropout){0}, D);
        return 0;
    }
    for (size_t q = 0; q < seqs->count; q++)
        for (size_t n = seqs->start[q]; n < seqs->start[q + 1]; n++) {
            if (mf_weights_read(m->file->weights, m->file->embedding, tokens[n] * D, D, w->x + n * D, err) <
                0)
                return -1;
            if (pe) vector_add(w->x + n * D, pe + (n - seqs->start[q]) * D, 1, D);
        }
    return 0;
}

int moe_run(struct mf_moe *m, struct mf_moe_work *w, const uint32_t *tokens, const struct seqs *seqs,
            const float *token_scores, const struct mf_moe_hooks *hooks, struct mf_moe_cache *cache,
            const float **hidden, struct mf_err *err) {
    size_t N = seqs_rows(seqs);
    if (N > w->max_rows || (m->router.top_k > m->router.n_experts)) abort();
    size_t first_position = cache ? cache->length : 0;
    if (moe_check_tokens(m, tokens, N, err) < 0 || moe_embed(m, w, tokens, seqs, first_position, err) < 0)
        return -1;
    const struct mf_layer c = moe_layer(m, w, seqs, hooks);
    for (size_t i = 0; i < m->shape.L; i++) {
        int status = m->file->own_attention ? moe_attend_chosen(m, w, &c, i, token_scores, hooks, cache, err)
                                            : moe_attend(m, w, &c, i, cache, err);
        if (status < 0 || moe_ffn(m, w, &c, i, token_scores, hooks, NULL, err) < 0) return -1;
    }
    const struct mf_norm norm = {.x = w->x, .gain = m->out_gain, .bias = m->out_bias};
    mf_layer_norm(&c, 2 * m->shape.L, &norm, N);
    *hidden = w->h;
    return 0;
}

int mf_moe_forward(struct mf_moe *m, struct mf_moe_work *w, const uint32_t *tokens, const struct seqs *seqs,
                   const float *token_scores, const struct mf_moe_hooks *hooks, const float **hidden,
                   struct mf_err *err) {
    return moe_run(m, w, tokens, seqs, token_scores, hooks, NULL, hidden, err);
}
