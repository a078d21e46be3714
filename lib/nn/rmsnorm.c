/* Root-mean-square normalisation; a row without heads is one head. */
#include "nn/rmsnorm.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/simd.h"
#include "nn/lanes.h"
#include "nn/vector.h"

MF_FUSED

/* fp32 lanes: rows are short, and the lanes keep the error near that of pairwise summation. */
static inline float sum_squares(const float *x, size_t n) {
    float lanes[LANES] = {0};
    size_t i;
    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += x[i + j] * x[i + j];
    for (size_t j = 0; i + j < n; j++) lanes[j] += x[i + j] * x[i + j];
    return lanes_sum(lanes);
}

struct norm {
    float *y, *rstd;
    const float *x, *gain;
    size_t ld_y, ld_x, H, d;
    float eps;
};

/* One row: H heads of d columns. */
MF_CLONES static void rmsnorm_row(float *y, float *rstd, const float *x, const float *gain, float eps,
                                  size_t H, size_t d) {
    for (size_t h = 0; h < H; h++, x += d, y += d) {
        float r = 1 / sqrtf(sum_squares(x, d) / (float)d + eps);
        if (gain)
            for (size_t i = 0; i < d; i++) y[i] = x[i] * r * gain[i];
        else
            for (size_t i = 0; i < d; i++) y[i] = x[i] * r;
        if (rstd) rstd[h] = r;
    }
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct norm *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++)
        rmsnorm_row(k->y + n * k->ld_y, k->rstd ? k->rstd + n * k->H : NULL, k->x + n * k->ld_x, k->gain,
                    k->eps, k->H, k->d);
}

void rmsnorm_heads_forward(struct mf_pool *pool, float *y, size_t ld_y, float *rstd, const float *x,
                           size_t ld_x, const float *gain, float eps, size_t N, size_t H, size_t d) {
    struct norm k = {y, rstd, x, gain, ld_y, ld_x, H, d, eps};
    mf_pool_run(pool, N, 1, forward_part, &k);
}

void rmsnorm_forward(struct mf_pool *pool, float *y, float *rstd, const float *x, const float *gain,
                     float eps, size_t N, size_t D) {
    rmsnorm_heads_forward(pool, y, D, rstd, x, D, gain, eps, N, 1, D);
}

struct norm_backward {
    float *dx, *scratch; /* scratch: dgain of each thread, or NULL */
    const float *dy, *x, *gain, *rstd;
    size_t ld_dx, ld_dy, ld_x, H, d;
    bool adds;
};

/* The mean of (dy * gain) * (x r). */
static inline float mean_along(const float *dy, const float *x, const float *gain, float r, size_t d) {
    float lanes[LANES] = {0};
    size_t i;
    if (gain)
        for (i = 0; i + LANES <= d; i += LANES)
            for (size_t j = 0; j < LANES; j++) lanes[j] += dy[i + j] * gain[i + j] * x[i + j];
    else
        for (i = 0; i + LANES <= d; i += LANES)
            for (size_t j = 0; j < LANES; j++) lanes[j] += dy[i + j] * x[i + j];
    for (size_t j = 0; i + j < d; j++) lanes[j] += dy[i + j] * (gain ? gain[i + j] : 1) * x[i + j];
    return lanes_sum(lanes) * r / (float)d;
}

/* With n = x r and g = dy * gain:  dx = r (g - n mean(g n)), and dgain += dy * n, before dx, which may be dy.
 */
MF_CLONES static void rmsnorm_row_backward(float *dx, float *dgain, const float *dy, const float *x,
                                           const float *gain, const float *rstd, size_t H, size_t d,
                                           bool adds) {
    for (size_t h = 0; h < H; h++, dx += d, dy += d, x += d) {
        float r = rstd[h], along = mean_along(dy, x, gain, r, d) * r;
        if (dgain)
            for (size_t i = 0; i < d; i++) dgain[i] += dy[i] * x[i] * r;
        if (adds && gain)
            for (size_t i = 0; i < d; i++) dx[i] += r * (dy[i] * gain[i] - x[i] * along);
        else if (adds)
            for (size_t i = 0; i < d; i++) dx[i] += r * (dy[i] - x[i] * along);
        else if (gain)
            for (size_t i = 0; i < d; i++) dx[i] = r * (dy[i] * gain[i] - x[i] * along);
        else
            for (size_t i = 0; i < d; i++) dx[i] = r * (dy[i] - x[i] * along);
    }
}

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct norm_backward *k = context;
    float *dgain = k->scratch ? k->scratch + (size_t)thread * k->d : NULL;
    for (size_t n = begin; n < end; n++)
        rmsnorm_row_backward(k->dx + n * k->ld_dx, dgain, k->dy + n * k->ld_dy, k->x + n * k->ld_x, k->gain,
                             k->rstd + n * k->H, k->H, k->d, k->adds);
}

static void backward(struct mf_pool *pool, struct norm_backward *k, float *dgain, float *scratch, size_t N) {
    size_t threads = (size_t)mf_pool_threads(pool);
    if (dgain) {
        k->scratch = scratch;
        memset(scratch, 0, threads * k->d * sizeof *scratch);
    }
    mf_pool_run(pool, N, 1, backward_part, k);
    for (size_t t = 0; dgain && t < threads; t++) vector_add(dgain, scratch + t * k->d, 1, k->d);
}

void rmsnorm_heads_backward(struct mf_pool *pool, float *dx, size_t ld_dx, float *dgain, const float *dy,
                            size_t ld_dy, const float *x, size_t ld_x, const float *gain, const float *rstd,
                            float *scratch, size_t N, size_t H, size_t d) {
    struct norm_backward k = {.dx = dx, .dy = dy, .x = x, .gain = gain, .rstd = rstd, .H = H, .d = d};
    k.ld_dx = ld_dx, k.ld_dy = ld_dy, k.ld_x = ld_x;
    backward(pool, &k, dgain, scratch, N);
}

void rmsnorm_backward(struct mf_pool *pool, float *dx, float *dgain, const float *dy, const float *x,
                      const float *gain, const float *rstd, float *scratch, size_t N, size_t D) {
    struct norm_backward k = {.dx = dx, .dy = dy, .x = x, .gain = gain, .rstd = rstd, .H = 1, .d = D};
    k.ld_dx = k.ld_dy = k.ld_x = D;
    k.adds = true;
    backward(pool, &k, dgain, scratch, N);
}
