/* Attention of a model's experts: each row asks by the queries of the experts that it chose, and takes what
 * they find through their outputs,
 *     x += sum over the chosen experts of w_e O_e attention(Q_e h, K h, V h)
 * with the keys and values of the backbone. The choice is that of the token scores, which are known before
 * attention. One expert's matrices are in memory at a time. */
#include <string.h>
#include "model/moe_internal.h"
#include "nn/matmul.h"

/* --- where it is --- */

bool moe_attention_has(const struct mf_moe *m, const struct mf_safetensors *st, size_t e) {
    struct mf_tensor t[MF_ATTENTION_TENSORS];
    mf_attention_tensors(&m->shape, 0, (int64_t)e, NULL, t);
    return mf_safetensors_find(st, t[0].name) >= 0;
}

int moe_attention_look(struct mf_moe *m, const struct mf_safetensors *st, struct mf_err *err) {
    for (size_t e = 0; e < m->router.n_experts && m->shape.arch == MF_LLAMA; e++)
        m->file->own_attention |= moe_attention_has(m, st, e);
    if (!m->file->own_attention || m->router.score_scale != 0) return 0;
    return mf_err_set(err, EX_DATAERR,
                      "%s: attention of experts needs a router of token scores, which has chosen before it",
                      m->name);
}

size_t moe_attention_layer_bytes(const struct mf_moe *m) {
    if (!m->file->own_attention) return 0;
    return mf_attention_size(&m->shape) / m->shape.L * m->router.n_experts * sizeof(float);
}

static int find_expert(struct mf_moe *m, size_t e, struct mf_err *err) {
    bool own = moe_attention_has(m, mf_moe_model(m), e);
    for (size_t i = 0; i < m->shape.L; i++) {
        struct moe_weights *w = &m->file->layers[i];
        struct mf_tensor t[MF_ATTENTION_TENSORS];
        mf_attention_tensors(&m->shape, i, (int64_t)e, NULL, t);
        w->chosen[e] = (struct moe_attention){w->attention.qkv, w->attention.out};
        struct mf_matrix *matrices[] = {&w->chosen[e].q, &w->chosen[e].out};
        for (size_t k = 0; k < MF_ATTENTION_TENSORS && own; k++)
            if (mf_weights_find(m->file->weights, t[k].name, t[k].shape[0], t[k].shape[1],
                                &matrices[k]->index, err) < 0)
                return -1;
    }
    return 0;
}

int moe_attention_find(struct mf_moe *m, struct mf_err *err) {
    for (size_t e = 0; e < m->router.n_experts && m->file->own_attention; e++)
        if (find_expert(m, e, err) < 0) return -1;
    return 0;
}

/* --- the pass --- */

void moe_attention_layout(struct mf_moe_work *w, const struct mf_moe *m, struct mf_arena *a) {
    size_t R = moe_expert_rows(w->max_rows), A = m->shape.H * m->shape.d, D = m->shape.D,
           larger = A > D ? A : D;
    if (!m->file->own_attention) return;
    w->queries = mf_arena_floats(a, w->max_rows * m->router.n_experts * A);
    w->part_in = mf_arena_floats(a, R * larger);
    w->part_out = mf_arena_floats(a, R * larger);
}

/* The rows of one expert: those of `from` that chose it, [N,I], or with `by_slot` the slots' own [N,top_k,I],
 * through a matrix [O,I]; added to the slots' rows of w->queries, or with weights to those of w->x. */
struct meeting {
    const struct mf_matrix *matrix;
    const float *from;
    size_t I, O;
    bool out;
};

static int meet(struct mf_moe *m, struct mf_moe_work *w, size_t e, const struct meeting *g,
                struct mf_err *err) {
    struct mf_pool *pool = w->products.pool;
    struct moe_slots rows = {.top_k = m->router.top_k, .most = moe_expert_rows(w->max_rows)};
    struct weight matrix;
    if (w->first[e] == w->first[e + 1]) return 0;
    if (mf_weights_matrix(g->matrix, &matrix, err) < 0) return -1;
    while (moe_next_slots(w, e, &rows)) {
        struct moe_slots each = rows; /* of arrays with a row for each slot */
        each.top_k = 1;
        moe_gather(pool, g->out ? &each : &rows, w->part_in, g->from, g->I);
        matmul_forward_weight(w->products, w->part_out, g->O, w->part_in, g->I, matrix, g->I, rows.n, g->O,
                              g->I, 0);
        if (g->out)
            moe_scatter(pool, &rows, w->x, w->part_out, g->O, w->weights, NULL);
        else
            moe_scatter(pool, &each, w->queries, w->part_out, g->O, NULL, NULL);
    }
    return 0;
}

/* w->queries = Q_e h of each slot, or w->x += weight O_e of what the slots' queries found. */
static int meet_all(struct mf_moe *m, struct mf_moe_work *w, size_t layer, bool out, struct mf_err *err) {
    size_t A = m->shape.H * m->shape.d, D = m->shape.D;
    for (size_t e = 0; e < m->router.n_experts; e++) {
        const struct moe_attention *own = &m->file->layers[layer].chosen[e];
        const struct meeting queries = {&own->q, w->h, D, A, false},
                             outputs = {&own->out, w->queries, A, D, true};
        if (meet(m, w, e, out ? &outputs : &queries, err) < 0) return -1;
    }
    return 0;
}

int moe_attend_chosen(struct mf_moe *m, struct mf_moe_work *w, const struct mf_layer *c, size_t layer,
                      const float *token_scores, const struct mf_moe_hooks *hooks, struct mf_moe_cache *cache,
                      struct mf_err *err) {
    const struct mf_backbone_layer *l = &m->file->layers[layer].attention;
    const struct mf_norm norm = {.x = w->x, .rstd = w->rstd, .gain = l->norm_gain, .bias = l->norm_bias};
    const struct mf_attention_kept k = {.x = w->x, .qkv = w->qkv, .mixed = w->mixed};
    size_t N = seqs_rows(c->seqs), slots = m->router.top_k;
    struct mf_layer_cache rows;
    if (cache) rows = moe_layer_cache(cache, layer);
    mf_layer_norm(c, layer, &norm, N);
    moe_route_scores(m, w, layer, token_scores, N);
    if (hooks && hooks->route) hooks->route(hooks->context, layer, w->experts, w->weights, N);
    moe_group(w, 0, N * slots, m->router.n_experts);
    memset(w->queries, 0, N * slots * m->shape.H * m->shape.d * sizeof *w->queries);
    if (meet_all(m, w, layer, false, err) < 0 ||
        mf_layer_attention_chosen(c, l, &k, cache ? &rows : NULL, slots, w->queries, err) < 0)
        return -1;
    return meet_all(m, w, layer, true, err);
}
