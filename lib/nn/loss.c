/* Cross entropy by rows. */
#include "nn/loss.h"

#include <math.h>
#include <string.h>
#include "nn/vector.h"

struct loss {
    double *losses;
    const float *logits;
    float *gradient; /* the same array, or NULL */
    const uint32_t *targets;
    float scale;
    size_t V;
};

static double row_sum(const float *row, float maximum, size_t V) {
    float block[1024];
    double sum = 0;
    for (size_t v = 0; v < V; v += 1024)
        sum += vector_exp(block, row + v, -maximum, V - v < 1024 ? V - v : 1024);
    return sum;
}

static void part(void *context, size_t begin, size_t end, int thread) {
    const struct loss *k = context;
    size_t V = k->V;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        const float *row = k->logits + n * V;
        uint32_t target = k->targets[n];
        k->losses[n] = 0;
        if (target == LOSS_IGNORE) {
            if (k->gradient) memset(k->gradient + n * V, 0, V * sizeof *row);
            continue;
        }
        float maximum = vector_max(row, V), at_target = row[target];
        double sum =
            k->gradient ? vector_exp(k->gradient + n * V, row, -maximum, V) : row_sum(row, maximum, V);
        k->losses[n] = log(sum) + (double)maximum - (double)at_target;
        if (!k->gradient) continue;
        vector_scale(k->gradient + n * V, (float)((double)k->scale / sum), V);
        k->gradient[n * V + target] -= k->scale;
    }
}

void cross_entropy_forward(struct mf_pool *pool, double *losses, const float *logits, const uint32_t *targets,
                           size_t N, size_t V) {
    struct loss k = {losses, logits, NULL, targets, 0, V};
    mf_pool_run(pool, N, 1, part, &k);
}

void cross_entropy_backward(struct mf_pool *pool, double *losses, float *logits, const uint32_t *targets,
                            float scale, size_t N, size_t V) {
    struct loss k = {losses, logits, logits, targets, scale, V};
    mf_pool_run(pool, N, 1, part, &k);
}
