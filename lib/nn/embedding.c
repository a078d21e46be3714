/* Token embedding plus positions, and the scatter-add of its gradient. */
#include "nn/embedding.h"

#include <math.h>
#include <string.h>
#include "base/simd.h"

#define COLUMN_UNIT ((size_t)16) /* columns of one cache line: two threads never write the same */

void positions_fill(float *pe, size_t first, size_t count, size_t D, double scale) {
    for (size_t d = 0; d < D; d++) {
        double frequency = exp((double)(d - d % 2) * -log(10000.0) / (double)D);
        for (size_t s = 0; s < count; s++) {
            double angle = (double)(first + s) * frequency;
            pe[s * D + d] = (float)(scale * (d % 2 == 0 ? sin(angle) : cos(angle)));
        }
    }
}

struct embedding {
    float *x, *dtable;
    const float *table, *pe, *dx;
    const uint32_t *tokens;
    const struct seqs *seqs;
    struct dropout dropout;
    int64_t pad;
    size_t D;
};

/* x = mask (a + b); a NULL mask is all ones, a NULL b all zeros. */
MF_CLONES static void add_rows(float *restrict x, const float *restrict a, const float *restrict b,
                               const float *restrict mask, size_t n) {
    if (mask && b)
        for (size_t i = 0; i < n; i++) x[i] = mask[i] * (a[i] + b[i]);
    else if (mask)
        for (size_t i = 0; i < n; i++) x[i] = mask[i] * a[i];
    else if (b)
        for (size_t i = 0; i < n; i++) x[i] = a[i] + b[i];
    else
        memcpy(x, a, n * sizeof *x);
}

static void forward_rows(void *context, size_t first, size_t last, int thread) {
    (void)thread;
    const struct embedding *c = context;
    float kept[DROPOUT_CHUNK], *mask = c->dropout.p > 0 ? kept : NULL;
    size_t sequence = seqs_find(c->seqs, first);
    for (size_t n = first; n < last; n++) {
        while (n >= c->seqs->start[sequence + 1]) sequence++;
        const float *token = c->table + (size_t)c->tokens[n] * c->D;
        const float *position = c->pe ? c->pe + (n - c->seqs->start[sequence]) * c->D : NULL;
        for (size_t d = 0; d < c->D; d += DROPOUT_CHUNK) {
            size_t count = c->D - d < DROPOUT_CHUNK ? c->D - d : DROPOUT_CHUNK, at = n * c->D + d;
            if (mask) dropout_mask(mask, c->dropout.p, c->dropout.key, c->dropout.first + at, count);
            add_rows(c->x + at, token + d, position ? position + d : NULL, mask, count);
        }
    }
}

void embedding_forward(struct mf_pool *pool, float *x, const uint32_t *tokens, const struct seqs *seqs,
                       const float *table, const float *pe, struct dropout dropout, size_t D) {
    struct embedding c = {.x = x, .table = table, .pe = pe, .tokens = tokens, .seqs = seqs, .D = D};
    c.dropout = dropout;
    mf_pool_run(pool, seqs_rows(seqs), 1, forward_rows, &c);
}

MF_CLONES static void add_masked(float *restrict y, const float *restrict x, const float *restrict mask,
                                 size_t n) {
    if (mask)
        for (size_t i = 0; i < n; i++) y[i] += mask[i] * x[i];
    else
        for (size_t i = 0; i < n; i++) y[i] += x[i];
}

/* Columns [first, last) of all rows, in row order. */
static void backward_columns(void *context, size_t first, size_t last, int thread) {
    (void)thread;
    const struct embedding *c = context;
    float kept[DROPOUT_CHUNK], *mask = c->dropout.p > 0 ? kept : NULL;
    size_t N = seqs_rows(c->seqs);
    for (size_t n = 0; n < N; n++) {
        if ((int64_t)c->tokens[n] == c->pad) continue;
        float *row = c->dtable + (size_t)c->tokens[n] * c->D;
        for (size_t d = first; d < last; d += DROPOUT_CHUNK) {
            size_t count = last - d < DROPOUT_CHUNK ? last - d : DROPOUT_CHUNK, at = n * c->D + d;
            if (mask) dropout_mask(mask, c->dropout.p, c->dropout.key, c->dropout.first + at, count);
            add_masked(row + d, c->dx + at, mask, count);
        }
    }
}

void embedding_backward(struct mf_pool *pool, float *dtable, const float *dx, const uint32_t *tokens,
                        const struct seqs *seqs, struct dropout dropout, int64_t pad, size_t D) {
    if (!dtable) return;
    struct embedding c = {.dtable = dtable, .dx = dx, .tokens = tokens, .seqs = seqs, .dropout = dropout};
    c.pad = pad;
    c.D = D;
    mf_pool_run(pool, D, COLUMN_UNIT, backward_columns, &c);
}
