/* Branches into the residual stream with bias and dropout. */
#include "nn/residual.h"

#include <string.h>
#include "base/simd.h"
#include "nn/vector.h"

struct residual {
    float *out, *scratch; /* scratch: dbias of each thread, or NULL */
    const float *in, *bias, *x;
    struct dropout dropout;
    size_t D;
};

/* x += mask (y + bias); a NULL mask is all ones, a NULL bias all zeros. */
MF_CLONES static void add_branch(float *restrict x, const float *restrict y, const float *restrict bias,
                                 const float *restrict mask, size_t n) {
    if (mask && bias)
        for (size_t i = 0; i < n; i++) x[i] += mask[i] * (y[i] + bias[i]);
    else if (mask)
        for (size_t i = 0; i < n; i++) x[i] += mask[i] * y[i];
    else if (bias)
        for (size_t i = 0; i < n; i++) x[i] += y[i] + bias[i];
    else
        for (size_t i = 0; i < n; i++) x[i] += y[i];
}

static void forward_rows(void *context, size_t first, size_t last, int thread) {
    (void)thread;
    const struct residual *c = context;
    float kept[DROPOUT_CHUNK], *mask = c->dropout.p > 0 ? kept : NULL;
    for (size_t n = first; n < last; n++) {
        for (size_t d = 0; d < c->D; d += DROPOUT_CHUNK) {
            size_t count = c->D - d < DROPOUT_CHUNK ? c->D - d : DROPOUT_CHUNK, at = n * c->D + d;
            if (mask) dropout_mask(mask, c->dropout.p, c->dropout.key, c->dropout.first + at, count);
            if (c->out != c->x) memcpy(c->out + at, c->x + at, count * sizeof *c->out);
            add_branch(c->out + at, c->in + at, c->bias ? c->bias + d : NULL, mask, count);
        }
    }
}

void residual_forward(struct mf_pool *pool, float *out, const float *x, const float *y, const float *bias,
                      struct dropout dropout, size_t N, size_t D) {
    struct residual c = {.out = out, .in = y, .bias = bias, .x = x, .dropout = dropout, .D = D};
    mf_pool_run(pool, N, 1, forward_rows, &c);
}

MF_CLONES static void multiply(float *y, const float *x, const float *mask, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] * mask[i];
}

static void backward_rows(void *context, size_t first, size_t last, int thread) {
    const struct residual *c = context;
    float kept[DROPOUT_CHUNK], *mask = c->dropout.p > 0 ? kept : NULL;
    for (size_t n = first; n < last; n++) {
        for (size_t d = 0; d < c->D; d += DROPOUT_CHUNK) {
            size_t count = c->D - d < DROPOUT_CHUNK ? c->D - d : DROPOUT_CHUNK, at = n * c->D + d;
            if (mask) {
                dropout_mask(mask, c->dropout.p, c->dropout.key, c->dropout.first + at, count);
                multiply(c->out + at, c->in + at, mask, count);
            } else if (c->out != c->in) {
                memcpy(c->out + at, c->in + at, count * sizeof *c->out);
            }
        }
        if (c->scratch) vector_add(c->scratch + (size_t)thread * c->D, c->out + n * c->D, 1, c->D);
    }
}

void residual_backward(struct mf_pool *pool, float *dy, float *dbias, const float *dx, struct dropout dropout,
                       float *scratch, size_t N, size_t D) {
    size_t n_threads = (size_t)mf_pool_threads(pool);
    struct residual c = {.out = dy, .scratch = dbias ? scratch : NULL, .in = dx, .dropout = dropout, .D = D};
    if (dbias) memset(scratch, 0, n_threads * D * sizeof *scratch);
    mf_pool_run(pool, N, 1, backward_rows, &c);
    for (size_t t = 0; dbias && t < n_threads; t++) vector_add(dbias, scratch + t * D, 1, D);
}
