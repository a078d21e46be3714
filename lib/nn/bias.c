/* Biases of products: rows to begin with, and sums over rows. */
#include "nn/bias.h"

#include <string.h>
#include "nn/vector.h"

#define COLUMN_UNIT ((size_t)64) /* columns of some cache lines: two threads never write the same */

struct bias {
    float *y, *dbias;
    const float *bias, *dy;
    size_t N, O;
};

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct bias *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) memcpy(k->y + n * k->O, k->bias, k->O * sizeof *k->y);
}

void bias_forward(struct mf_pool *pool, float *y, const float *bias, size_t N, size_t O) {
    struct bias k = {.y = y, .bias = bias, .O = O};
    mf_pool_run(pool, N, 1, forward_part, &k);
}

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct bias *k = context;
    (void)thread;
    for (size_t n = 0; n < k->N; n++) vector_add(k->dbias + begin, k->dy + n * k->O + begin, 1, end - begin);
}

void bias_backward(struct mf_pool *pool, float *dbias, const float *dy, size_t N, size_t O) {
    if (!dbias) return;
    struct bias k = {.dbias = dbias, .dy = dy, .N = N, .O = O};
    mf_pool_run(pool, O, COLUMN_UNIT, backward_part, &k);
}
