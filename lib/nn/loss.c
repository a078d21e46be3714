/* Cross entropy by rows, of the vocabulary in chunks or whole. */
#include "nn/loss.h"

#include <math.h>
#include <string.h>
#include "nn/vector.h"

/* --- in chunks --- */

struct chunk {
    const struct online_softmax *l;
    float *logits, *mixed;
    const uint32_t *targets;
    size_t v, P, D;
    float scale;
};

static void loss_part(void *context, size_t begin, size_t end, int thread) {
    const struct chunk *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        float *row = k->logits + n * k->P, *maximum = &k->l->maximum[n];
        size_t target = k->targets[n];
        if (target == LOSS_IGNORE) {
            memset(row, 0, k->P * sizeof *row);
            continue;
        }
        if (target >= k->v && target - k->v < k->P) k->l->at_target[n] = row[target - k->v];
        float highest = vector_max(row, k->P);
        double shrink = 0;
        if (k->v) {
            highest = highest > *maximum ? highest : *maximum;
            shrink = exp((double)*maximum - (double)highest);
            if (k->mixed && shrink != 1) vector_scale(k->mixed + n * k->D, (float)shrink, k->D);
        }
        k->l->sum[n] = (k->v ? k->l->sum[n] * shrink : 0) + vector_exp(row, row, -highest, k->P);
        *maximum = highest;
    }
}

void cross_entropy_chunk(struct mf_pool *pool, const struct online_softmax *l, float *logits,
                         const uint32_t *targets, size_t v, size_t N, size_t P, float *mixed, size_t D) {
    struct chunk k = {l, logits, mixed, targets, v, P, D, 0};
    mf_pool_run(pool, N, 1, loss_part, &k);
}

static void chunk_gradient(void *context, size_t begin, size_t end, int thread) {
    const struct chunk *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        float *row = k->logits + n * k->P;
        size_t target = k->targets[n];
        if (target == LOSS_IGNORE) {
            memset(row, 0, k->P * sizeof *row);
            continue;
        }
        vector_exp(row, row, -k->l->maximum[n], k->P);
        vector_scale(row, (float)((double)k->scale / k->l->sum[n]), k->P);
        if (target >= k->v && target - k->v < k->P) row[target - k->v] -= k->scale;
    }
}

void cross_entropy_chunk_backward(struct mf_pool *pool, const struct online_softmax *l, float *logits,
                                  const uint32_t *targets, float scale, size_t v, size_t N, size_t P) {
    struct chunk k = {l, logits, NULL, targets, v, P, 0, scale};
    mf_pool_run(pool, N, 1, chunk_gradient, &k);
}

void cross_entropy_losses(const struct online_softmax *l, double *losses, const uint32_t *targets, size_t N) {
    for (size_t n = 0; n < N; n++)
        losses[n] =
            targets[n] == LOSS_IGNORE ? 0 : log(l->sum[n]) + (double)l->maximum[n] - (double)l->at_target[n];
}

struct input {
    const struct online_softmax *l;
    float *mixed;
    const uint32_t *targets, *rows;
    const float *table;
    float scale;
    size_t D;
};

static void input_part(void *context, size_t begin, size_t end, int thread) {
    const struct input *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        float *row = k->mixed + n * k->D;
        if (k->targets[n] == LOSS_IGNORE) {
            memset(row, 0, k->D * sizeof *row);
            continue;
        }
        vector_scale(row, (float)((double)k->scale / k->l->sum[n]), k->D);
        vector_add(row, k->table + k->rows[n] * k->D, -k->scale, k->D);
    }
}

void cross_entropy_input(struct mf_pool *pool, const struct online_softmax *l, float *mixed,
                         const uint32_t *targets, const float *table, const uint32_t *rows, float scale,
                         size_t N, size_t D) {
    struct input k = {l, mixed, targets, rows, table, scale, D};
    mf_pool_run(pool, N, 1, input_part, &k);
}

/* --- whole --- */

struct whole {
    double *losses;
    float *logits;
    const uint32_t *targets;
    float scale;
    size_t V;
};

static void whole_part(void *context, size_t begin, size_t end, int thread) {
    const struct whole *k = context;
    size_t V = k->V;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        float *row = k->logits + n * V;
        uint32_t target = k->targets[n];
        k->losses[n] = 0;
        if (target == LOSS_IGNORE) {
            memset(row, 0, V * sizeof *row);
            continue;
        }
        float maximum = vector_max(row, V), at_target = row[target];
        double sum = vector_exp(row, row, -maximum, V);
        k->losses[n] = log(sum) + (double)maximum - (double)at_target;
        vector_scale(row, (float)((double)k->scale / sum), V);
        row[target] -= k->scale;
    }
}

void cross_entropy_backward(struct mf_pool *pool, double *losses, float *logits, const uint32_t *targets,
                            float scale, size_t N, size_t V) {
    struct whole k = {losses, logits, targets, scale, V};
    mf_pool_run(pool, N, 1, whole_part, &k);
}
