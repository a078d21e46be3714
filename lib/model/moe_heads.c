/* The heads of a model's experts: what each adds to the logits of the rows that chose it in the last layer,
 * and the way back. With the weights w_e of the chosen experts a row's logits are
 *     share E h + sum over e of w_e B_e A_e h (factors) or w_e H_e h (whole)
 * where `share` is what is left of one without the weights of the experts with a whole head. One expert's
 * block of the vocabulary is in memory at a time. */
#include <string.h>
#include "model/moe_internal.h"
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
    const size_t *slots; /* [n] */
    size_t n;
    const float *code; /* [n,C] what the expert's matrix [V,C] meets: A h, or h */
    const float *b;    /* its rows of the block */
};

/* Copies the slots' rows. */
struct gathering {
    const struct meeting *meeting;
    const float *from; /* [N,columns] */
    float *to;         /* [n,columns] */
    size_t columns;
};

static void gather_part(void *context, size_t begin, size_t end, int thread) {
    const struct gathering *j = context;
    const struct meeting *g = j->meeting;
    size_t K = g->m->router.top_k;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        memcpy(j->to + i * j->columns, j->from + (g->slots[i] / K - g->block->row) * j->columns,
               j->columns * sizeof(float));
}

static void gather(const struct meeting *g, float *to, const float *from, size_t columns) {
    struct gathering job = {g, from, to, columns};
    mf_pool_run(g->w->pool, g->n, 1, gather_part, &job);
}

/* logits += weight * part */
static void scatter(void *context, size_t begin, size_t end, int thread) {
    const struct meeting *g = context;
    size_t P = g->block->count, K = g->m->router.top_k;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        vector_add(g->block->logits + (g->slots[i] / K - g->block->row) * P, g->w->head_part + i * P,
                   g->w->weights[g->slots[i]], P);
}

static int forward(struct meeting *g, struct mf_err *err) {
    (void)err;
    matmul_forward(g->w->pool, g->w->head_part, g->code, g->b, g->n, g->block->count, g->head->columns, 0);
    mf_pool_run(g->w->pool, g->n, 1, scatter, g);
    return 0;
}

/* With dcode = dlogits B: dweight += dcode . code, and dh += weight dcode A. */
static int backward(struct meeting *g, struct mf_err *err) {
    struct mf_moe_work *w = g->w;
    size_t D = g->m->shape.D, C = g->head->columns, K = g->m->router.top_k;
    float *dcode = w->head_dcode, *dh = g->head->whole ? dcode : w->head_in;
    const float *a;
    gather(g, w->head_part, g->block->logits, g->block->count);
    matmul_backward_input(w->pool, dcode, w->head_part, g->b, g->n, g->block->count, C, 0);
    for (size_t i = 0; i < g->n; i++)
        g->block->dweights[g->slots[i]] += (float)vector_dot(dcode + i * C, g->code + i * C, C);
    if (!g->head->whole) {
        if (mf_weights_get(g->m->file->weights, g->head->a, &a, err) < 0) return -1;
        matmul_backward_input(w->pool, dh, dcode, a, g->n, C, D, 0);
    }
    for (size_t i = 0; i < g->n; i++)
        vector_add(g->block->dhidden + g->slots[i] / K * D, dh + i * D, w->weights[g->slots[i]], D);
    return 0;
}

/* The rows' codes; of factors A is read. */
static int encode(struct meeting *g, struct mf_err *err) {
    const float *a;
    gather(g, g->w->head_in, g->block->hidden, g->m->shape.D);
    g->code = g->w->head_in;
    if (g->head->whole) return 0;
    if (mf_weights_get(g->m->file->weights, g->head->a, &a, err) < 0) return -1;
    matmul_forward(g->w->pool, g->w->head_code, g->w->head_in, a, g->n, g->head->columns, g->m->shape.D, 0);
    g->code = g->w->head_code;
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
    size_t most = moe_expert_rows(w->max_rows);
    for (size_t e = 0; e < m->router.n_experts && m->file->heads.columns; e++) {
        size_t end = w->first[e + 1];
        struct meeting g = {.m = m, .w = w, .head = &m->file->heads.of[e], .block = block, .b = w->rows};
        if (g.head->columns == 0 || w->first[e] == end) continue;
        if (read_block(&g, err) < 0) return -1;
        for (size_t i = w->first[e]; i < end; i += g.n) {
            g.slots = w->slots + i;
            g.n = end - i < most ? end - i : most;
            if (encode(&g, err) < 0 || how(&g, err) < 0) return -1;
        }
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
    cross_entropy_chunk_backward(w->pool, &w->softmax, block->logits, targets, scale, block->first, N,
                                 block->count);
    if (!moe_heads_only(m)) {
        if (moe_head_rows(m, w, block->first, block->count, &rows, err) < 0) return -1;
        matmul_backward_input(w->pool, base, block->logits, rows, N, block->count, m->shape.D, 1);
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
