/* The heads of a model's experts: what each adds to the logits of the rows that chose it in the last layer,
 * and the way back. With the weights w_e of the chosen experts a row's logits are
 *     share E h + sum over e of w_e B_e A_e h (factors) or w_e H_e h (whole)
 * where `share` is what is left of one without the weights of the experts with a whole head. One expert's
 * block of the vocabulary is in memory at a time. */
#include <string.h>
#include "model/moe_head_internal.h"
#include "nn/matmul.h"
#include "nn/vector.h"

void moe_heads_layout(struct mf_moe_work *w, const struct mf_moe *m, size_t block, struct mf_arena *a) {
    size_t R = moe_expert_rows(w->max_rows), C = m->file->heads.columns;
    if (C == 0) return;
    w->head_in = mf_arena_floats(a, R * m->shape.D);
    w->head_code = mf_arena_floats(a, R * C);
    w->head_dcode = mf_arena_floats(a, R * C);
    w->head_part = mf_arena_floats(a, R * block);
}

void moe_heads_begin(const struct mf_moe *m, struct mf_moe_work *w, size_t row, size_t N) {
    size_t K = m->router.top_k;
    if (m->file->heads.columns == 0) return;
    moe_group(w, row * K, N * K, m->router.n_experts);
    for (size_t n = row; n < row + N; n++) {
        w->share[n] = 1;
        for (size_t k = n * K; k < (n + 1) * K; k++)
            if (m->file->heads.of[w->experts[k]].whole) w->share[n] -= w->weights[k];
    }
}

bool moe_heads_only(const struct mf_moe *m) {
    return m->file->heads.all_whole && !m->router.over_all;
}

void moe_heads_share(const struct mf_moe *m, const struct mf_moe_work *w, size_t row, float *rows, size_t N,
                     size_t columns) {
    for (size_t n = 0; n < N && m->file->heads.any_whole; n++)
        vector_scale(rows + n * columns, w->share[row + n], columns);
}

/* Some rows of an expert, and a block of the vocabulary. */
struct meeting {
    struct mf_moe *m;
    struct mf_moe_work *w;
    const struct moe_head *head;
    const struct moe_head_block *block;
    struct moe_slots slots;
    const float *code; /* [n,C] what the expert's matrix [V,C] meets: A h, or h */
    const float *b;    /* its rows of the block */
};

/* logits += weight * part */
static int forward(struct meeting *g, struct mf_err *err) {
    (void)err;
    struct mf_moe_work *w = g->w;
    matmul_forward(w->products, w->head_part, g->code, g->b, g->slots.n, g->block->count, g->head->columns,
                   0);
    moe_scatter(w->products.pool, &g->slots, g->block->logits, w->head_part, g->block->count, w->weights,
                NULL);
    return 0;
}

/* With dcode = dlogits B: dweight += dcode . code, and dh += weight dcode A. */
static int backward(struct meeting *g, struct mf_err *err) {
    struct mf_moe_work *w = g->w;
    size_t D = g->m->shape.D, C = g->head->columns, n = g->slots.n;
    float *dcode = w->head_dcode, *dh = g->head->whole ? dcode : w->head_in;
    const float *a;
    moe_gather(w->products.pool, &g->slots, w->head_part, g->block->logits, g->block->count);
    matmul_backward_input(w->products, dcode, w->head_part, g->b, n, g->block->count, C, 0);
    for (size_t i = 0; i < n; i++)
        g->block->dweights[g->slots.of[i]] += (float)vector_dot(dcode + i * C, g->code + i * C, C);
    if (!g->head->whole) {
        if (mf_weights_get(g->m->file->weights, g->head->a, &a, err) < 0) return -1;
        matmul_backward_input(w->products, dh, dcode, a, n, C, D, 0);
    }
    moe_scatter(w->products.pool, &g->slots, g->block->dhidden, dh, D, w->weights, NULL);
    return 0;
}

/* The rows' codes; of factors A is read. */
static int encode(struct meeting *g, struct mf_err *err) {
    const float *a;
    struct mf_moe_work *w = g->w;
    size_t D = g->m->shape.D;
    moe_gather(w->products.pool, &g->slots, w->head_in, g->block->hidden, D);
    g->code = w->head_in;
    if (g->head->whole) return 0;
    if (mf_weights_get(g->m->file->weights, g->head->a, &a, err) < 0) return -1;
    matmul_forward(w->products, w->head_code, w->head_in, a, g->slots.n, g->head->columns, D, 0);
    g->code = w->head_code;
    return 0;
}

/* The expert's rows of the block, in w->rows. */
static int read_block(const struct meeting *g, struct mf_err *err) {
    size_t C = g->head->columns;
    return mf_weights_read(g->m->file->weights, g->head->b, g->block->first * C, g->block->count * C,
                           g->w->rows, err);
}

/* All experts' rows meet the block. */
static int meet(struct mf_moe *m, struct mf_moe_work *w, const struct moe_head_block *block,
                int (*how)(struct meeting *g, struct mf_err *err), struct mf_err *err) {
    const struct moe_slots none = {
        .top_k = m->router.top_k, .first = block->row, .most = moe_expert_rows(w->max_rows)};
    for (size_t e = 0; e < m->router.n_experts && m->file->heads.columns; e++) {
        struct meeting g = {m, w, &m->file->heads.of[e], block, none, .b = w->rows};
        if (g.head->columns == 0 || w->first[e] == w->first[e + 1]) continue;
        if (read_block(&g, err) < 0) return -1;
        while (moe_next_slots(w, e, &g.slots))
            if (encode(&g, err) < 0 || how(&g, err) < 0) return -1;
    }
    return 0;
}

int moe_heads_add(struct mf_moe *m, struct mf_moe_work *w, const struct moe_head_block *block,
                  struct mf_err *err) {
    return meet(m, w, block, forward, err);
}

/* --- the way back --- */

/* Adds a block's part to the gradients: base [N,D] of E h, block->dhidden of the experts' h. */
static int block_backward(struct mf_moe *m, struct mf_moe_work *w, struct moe_head_block *block, size_t N,
                          const uint32_t *targets, float scale, float *base, struct mf_err *err) {
    const float *rows;
    if (moe_head_logits(m, w, block, N, err) < 0) return -1;
    cross_entropy_chunk_backward(w->products.pool, &w->softmax, block->logits, targets, scale, block->first,
                                 N, block->count);
    if (!moe_heads_only(m)) {
        if (moe_head_rows(m, w, block->first, block->count, &rows, err) < 0) return -1;
        matmul_backward_input(w->products, base, block->logits, rows, N, block->count, m->shape.D, 1);
    }
    return meet(m, w, block, backward, err);
}

/* The share of the backbone's head falls with the weights of whole heads. */
static void share_backward(const struct mf_moe *m, const struct mf_moe_work *w, const float *hidden,
                           const float *base, float *dweights, size_t N) {
    size_t K = m->router.top_k, D = m->shape.D;
    for (size_t n = 0; n < N; n++) {
        float along = (float)vector_dot(base + n * D, hidden + n * D, D);
        for (size_t k = n * K; k < (n + 1) * K; k++)
            if (m->file->heads.of[w->experts[k]].whole) dweights[k] -= along;
    }
}

int moe_heads_backward(struct mf_moe *m, struct mf_moe_work *w, const float *hidden, const uint32_t *targets,
                       size_t N, float scale, float *dhidden, float *base, float *dweights,
                       struct mf_err *err) {
    size_t V = m->shape.V, D = m->shape.D;
    struct moe_head_block block = {
        .hidden = hidden, .logits = w->logits, .dhidden = dhidden, .dweights = dweights};
    memset(dhidden, 0, N * D * sizeof *dhidden);
    memset(base, 0, N * D * sizeof *base);
    memset(dweights, 0, N * m->router.top_k * sizeof *dweights);
    for (; block.first < V; block.first += block.count) {
        block.count = V - block.first < MOE_VOCAB_BLOCK ? V - block.first : MOE_VOCAB_BLOCK;
        if (block_backward(m, w, &block, N, targets, scale, base, err) < 0) return -1;
    }
    if (!moe_heads_only(m)) {
        share_backward(m, w, hidden, base, dweights, N);
        moe_heads_share(m, w, 0, base, N, D);
        vector_add(dhidden, base, 1, N * D);
    }
    return 0;
}
