/* Layer normalisation, row by row. */
#include "nn/layernorm.h"

#include <math.h>
#include <string.h>
#include "base/simd.h"
#include "nn/lanes.h"

MF_FUSED

struct norm {
    float *y, *mean, *rstd;
    const float *x, *gain, *bias;
    size_t D;
};

/* fp32 lanes: rows are short, and the lanes keep the error near that of pairwise summation. */
MF_CLONES static void layernorm_moments(const float *x, size_t n, float *mean, float *variance) {
    float lanes[LANES] = {0};
    size_t i;
    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += x[i + j];
    for (size_t j = 0; i + j < n; j++) lanes[j] += x[i + j];
    float m = lanes_sum(lanes) / (float)n;
    memset(lanes, 0, sizeof lanes);
    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += (x[i + j] - m) * (x[i + j] - m);
    for (size_t j = 0; i + j < n; j++) lanes[j] += (x[i + j] - m) * (x[i + j] - m);
    *mean = m;
    *variance = lanes_sum(lanes) / (float)n;
}

MF_CLONES static void layernorm_row(float *y, const float *x, const float *gain, const float *bias, float m,
                                    float r, size_t D) {
    if (gain)
        for (size_t d = 0; d < D; d++) y[d] = (x[d] - m) * r * gain[d] + bias[d];
    else
        for (size_t d = 0; d < D; d++) y[d] = (x[d] - m) * r;
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct norm *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        float m = 0, variance = 0;
        layernorm_moments(k->x + n * k->D, k->D, &m, &variance);
        float r = 1 / sqrtf(variance + LAYERNORM_EPS);
        layernorm_row(k->y + n * k->D, k->x + n * k->D, k->gain, k->bias, m, r, k->D);
        if (k->mean) k->mean[n] = m;
        if (k->rstd) k->rstd[n] = r;
    }
}

void layernorm_forward(struct mf_pool *pool, float *y, float *mean, float *rstd, const float *x,
                       const float *gain, const float *bias, size_t N, size_t D) {
    struct norm k = {y, mean, rstd, x, gain, bias, D};
    mf_pool_run(pool, N, 1, forward_part, &k);
}

struct norm_backward {
    float *dx, *scratch;
    const float *dy, *x, *gain, *mean, *rstd;
    size_t D;
};

/* With n = (x - mean) rstd and g = dy * gain:  dx = rstd (g - mean(g) - n mean(g n)). */
MF_CLONES static void layernorm_row_backward(float *dx, const float *dy, const float *x, const float *gain,
                                             float m, float r, size_t D) {
    float g_lanes[LANES] = {0}, gn_lanes[LANES] = {0};
    size_t i;
    for (i = 0; i + LANES <= D; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            float g = dy[i + j] * (gain ? gain[i + j] : 1);
            g_lanes[j] += g;
            gn_lanes[j] += g * (x[i + j] - m) * r;
        }
    for (size_t j = 0; i + j < D; j++) {
        float g = dy[i + j] * (gain ? gain[i + j] : 1);
        g_lanes[j] += g;
        gn_lanes[j] += g * (x[i + j] - m) * r;
    }
    float g_mean = lanes_sum(g_lanes) / (float)D, gn_mean = lanes_sum(gn_lanes) / (float)D;
    for (size_t d = 0; d < D; d++) {
        float g = dy[d] * (gain ? gain[d] : 1);
        dx[d] += r * (g - g_mean - (x[d] - m) * r * gn_mean);
    }
}

MF_CLONES static void layernorm_row_parameters(float *dgain, float *dbias, const float *dy, const float *x,
                                               float m, float r, size_t D) {
    for (size_t d = 0; d < D; d++) {
        dgain[d] += dy[d] * (x[d] - m) * r;
        dbias[d] += dy[d];
    }
}

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct norm_backward *k = context;
    size_t D = k->D;
    float *sums = k->scratch ? k->scratch + (size_t)thread * 2 * D : NULL;
    for (size_t n = begin; n < end; n++) {
        const float *x = k->x + n * D, *dy = k->dy + n * D;
        if (sums) layernorm_row_parameters(sums, sums + D, dy, x, k->mean[n], k->rstd[n], D);
        layernorm_row_backward(k->dx + n * D, dy, x, k->gain, k->mean[n], k->rstd[n], D);
    }
}

void layernorm_backward(struct mf_pool *pool, float *dx, float *dgain, float *dbias, const float *dy,
                        const float *x, const float *gain, const float *mean, const float *rstd,
                        float *scratch, size_t N, size_t D) {
    size_t threads = (size_t)mf_pool_threads(pool);
    struct norm_backward k = {dx, dgain ? scratch : NULL, dy, x, gain, mean, rstd, D};
    if (dgain) memset(scratch, 0, threads * 2 * D * sizeof *scratch);
    mf_pool_run(pool, N, 1, backward_part, &k);
    if (!dgain) return;
    for (size_t t = 0; t < threads; t++)
        for (size_t d = 0; d < D; d++) {
            dgain[d] += scratch[t * 2 * D + d];
            dbias[d] += scratch[t * 2 * D + D + d];
        }
}
