/* Branches joined to the residual stream. */
#include "nn/residual.h"

#include <string.h>
#include "nn/dropout.h"
#include "nn/simd.h"

#define BLOCK 256

struct residual {
    float *x;
    const float *y, *bias;
    size_t D;
    float p;
    struct dropout dropout;
};

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct residual *k = context;
    float row[BLOCK];
    (void)thread;
    for (size_t n = begin; n < end; n++)
        for (size_t d = 0; d < k->D; d += BLOCK) {
            size_t count = k->D - d < BLOCK ? k->D - d : BLOCK, at = n * k->D + d;
            for (size_t i = 0; i < count; i++) row[i] = k->y[at + i] + (k->bias ? k->bias[d + i] : 0);
            if (k->p > 0) dropout_row(row, row, &k->dropout, at, count);
            for (size_t i = 0; i < count; i++) k->x[at + i] += row[i];
        }
}

void residual_forward(struct mf_pool *pool, float *x, const float *y, const float *bias, float p,
                      uint64_t key, size_t N, size_t D) {
    struct residual k = {x, y, bias, D, p, dropout_of(p, key)};
    mf_pool_run(pool, N, 1, forward_part, &k);
}

struct residual_backward {
    float *dy, *sums;
    const float *dx;
    size_t D;
    float p;
    struct dropout dropout;
};

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct residual_backward *k = context;
    size_t D = k->D;
    for (size_t n = begin; n < end; n++) {
        float *dy = k->dy + n * D;
        if (k->p > 0)
            dropout_row(dy, k->dx + n * D, &k->dropout, n * D, D);
        else
            memcpy(dy, k->dx + n * D, D * sizeof *dy);
        if (!k->sums) continue;
        float *sums = k->sums + (size_t)thread * D;
        for (size_t d = 0; d < D; d++) sums[d] += dy[d];
    }
}

void residual_backward(struct mf_pool *pool, float *dy, float *dbias, const float *dx, float p, uint64_t key,
                       float *scratch, size_t N, size_t D) {
    size_t threads = (size_t)mf_pool_threads(pool);
    struct residual_backward k = {dy, dbias ? scratch : NULL, dx, D, p, dropout_of(p, key)};
    if (dbias) memset(scratch, 0, threads * D * sizeof *scratch);
    mf_pool_run(pool, N, 1, backward_part, &k);
    if (!dbias) return;
    for (size_t t = 0; t < threads; t++)
        for (size_t d = 0; d < D; d++) dbias[d] += scratch[t * D + d];
}
