/* Logits and losses of a model on disk, a block of the vocabulary at a time. */
#include "model/moe_head_internal.h"

#include <string.h>
#include "nn/loss.h"
#include "nn/matmul.h"

int moe_head_rows(struct mf_moe *m, struct mf_moe_work *w, size_t first, size_t count, const float **rows,
                  struct mf_err *err) {
    size_t D = m->shape.D;
    if (moe_keeps_embedding(m)) {
        if (mf_weights_get(m->file->weights, m->file->head, rows, err) < 0) return -1;
        *rows += first * D;
        return 0;
    }
    *rows = w->rows;
    return mf_weights_read(m->file->weights, m->file->head, first * D, count * D, w->rows, err);
}

int moe_head_logits(struct mf_moe *m, struct mf_moe_work *w, const struct moe_head_block *b, size_t N,
                    struct mf_err *err) {
    const float *rows;
    if (moe_heads_only(m))
        memset(b->logits, 0, N * b->count * sizeof *b->logits);
    else {
        if (moe_head_rows(m, w, b->first, b->count, &rows, err) < 0) return -1;
        matmul_forward(w->products, b->logits, b->hidden, rows, N, b->count, m->shape.D, 0);
        moe_heads_share(m, w, b->row, b->logits, N, b->count);
    }
    return moe_heads_add(m, w, b, err);
}

int moe_head(struct mf_moe *m, struct mf_moe_work *w, const float *hidden, const uint32_t *targets, size_t N,
             double *losses, float *mixed, struct mf_err *err) {
    size_t V = m->shape.V, D = m->shape.D;
    struct moe_head_block b = {.hidden = hidden, .logits = w->logits};
    for (size_t n = 0; n < N; n++)
        if (targets[n] != LOSS_IGNORE && moe_check_tokens(m, targets + n, 1, err) < 0) return -1;
    moe_heads_begin(m, w, 0, N);
    for (; b.first < V; b.first += b.count) {
        b.count = V - b.first < MOE_VOCAB_BLOCK ? V - b.first : MOE_VOCAB_BLOCK;
        const float *rows;
        if (moe_head_logits(m, w, &b, N, err) < 0) return -1;
        cross_entropy_chunk(w->products.pool, &w->softmax, w->logits, targets, b.first, N, b.count, mixed, D);
        if (mixed && moe_head_rows(m, w, b.first, b.count, &rows, err) < 0) return -1;
        if (mixed) matmul_backward_input(w->products, mixed, w->logits, rows, N, b.count, D, b.first > 0);
    }
    cross_entropy_losses(&w->softmax, losses, targets, N);
    return 0;
}

int mf_moe_losses(struct mf_moe *m, struct mf_moe_work *w, const float *hidden, const uint32_t *targets,
                  size_t N, double *losses, struct mf_err *err) {
    return moe_head(m, w, hidden, targets, N, losses, NULL, err);
}

int mf_moe_logits(struct mf_moe *m, struct mf_moe_work *w, const float *hidden, float *logits,
                  struct mf_err *err) {
    size_t V = m->shape.V;
    bool together = moe_keeps_embedding(m) && m->file->heads.columns == 0;
    struct moe_head_block b = {.hidden = hidden, .row = (size_t)(hidden - w->h) / m->shape.D};
    moe_heads_begin(m, w, b.row, 1);
    for (; b.first < V; b.first += b.count) {
        b.count = together || V - b.first < MOE_VOCAB_BLOCK ? V - b.first : MOE_VOCAB_BLOCK;
        b.logits = logits + b.first;
        if (moe_head_logits(m, w, &b, 1, err) < 0) return -1;
    }
    return 0;
}
