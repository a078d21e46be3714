/* Rows by threads; sums over rows are nn/bias.h's. */
#include "nn/mean.h"

#include "nn/bias.h"
#include "nn/vector.h"

struct mean {
    float *y;
    const float *a, *b;
    size_t D;
};

static void mean_rows(void *context, size_t first, size_t last, int thread) {
    const struct mean *m = context;
    (void)thread;
    for (size_t n = first; n < last; n++) {
        float *row = m->y + n * m->D;
        if (m->a) vector_add(row, m->a, 1, m->D);
        if (m->b) vector_add(row, m->b, 1, m->D);
        vector_scale(row, 0.5f, m->D);
    }
}

void mean_forward(struct mf_pool *pool, float *y, const float *a, const float *b, size_t N, size_t D) {
    struct mean m = {y, a, b, D};
    mf_pool_run(pool, N, 1, mean_rows, &m);
}

void mean_backward(struct mf_pool *pool, float *dy, float *da, size_t N, size_t D) {
    mean_forward(pool, dy, NULL, NULL, N, D);
    bias_backward(pool, da, dy, N, D);
}
