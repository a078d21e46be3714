/* Embedding rows plus positions. */
#include "nn/embedding.h"

#include <math.h>
#include "nn/dropout.h"
#include "nn/loss.h"

void positions_fill(float *pe, size_t S, size_t D) {
    for (size_t s = 0; s < S; s++)
        for (size_t d = 0; d < D; d++) {
            double w = exp((double)(d / 2 * 2) * -log(10000.0) / (double)D);
            pe[s * D + d] = (float)(d % 2 ? cos((double)s * w) : sin((double)s * w));
        }
}

struct embedding {
    float *x;
    const uint32_t *tokens;
    const struct seqs *seqs;
    const float *table, *pe;
    size_t D;
    float p;
    struct dropout dropout;
};

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct embedding *k = context;
    size_t D = k->D;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        for (size_t n = k->seqs->start[i]; n < k->seqs->start[i + 1]; n++) {
            const float *row = k->table + k->tokens[n] * D, *pe = k->pe + (n - k->seqs->start[i]) * D;
            float *x = k->x + n * D;
            for (size_t d = 0; d < D; d++) x[d] = row[d] + pe[d];
            if (k->p > 0) dropout_row(x, x, &k->dropout, n * D, D);
        }
}

void embedding_forward(struct mf_pool *pool, float *x, const uint32_t *tokens, const struct seqs *seqs,
                       const float *table, const float *pe, float p, uint64_t key, size_t D) {
    struct embedding k = {x, tokens, seqs, table, pe, D, p, dropout_of(p, key)};
    mf_pool_run(pool, seqs->count, 1, forward_part, &k);
}

struct embedding_backward {
    float *dtable;
    const float *dx;
    const uint32_t *tokens;
    size_t N, D;
    float p;
    struct dropout dropout;
};

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct embedding_backward *k = context;
    float row[64];
    (void)thread;
    for (size_t n = 0; n < k->N; n++) {
        if (k->tokens[n] == LOSS_IGNORE) continue;
        for (size_t d = begin; d < end; d += 64) {
            size_t count = end - d < 64 ? end - d : 64, at = n * k->D + d;
            const float *dx = k->dx + at;
            float *to = k->dtable + k->tokens[n] * k->D + d;
            if (k->p > 0) {
                dropout_row(row, dx, &k->dropout, at, count);
                dx = row;
            }
            for (size_t i = 0; i < count; i++) to[i] += dx[i];
        }
    }
}

void embedding_backward(struct mf_pool *pool, float *dtable, const float *dx, const uint32_t *tokens,
                        const struct seqs *seqs, float p, uint64_t key, size_t D) {
    struct embedding_backward k = {dtable, dx, tokens, seqs->start[seqs->count], D, p, dropout_of(p, key)};
    if (!dtable) return;
    mf_pool_run(pool, D, 16, backward_part, &k);
}
