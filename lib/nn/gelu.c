/* The exact GELU and its derivative; both from one exponential. */
#include "nn/gelu.h"

#include <math.h>
#include <string.h>
#include "base/simd.h"
#include "nn/exp.h"
#include "nn/vector.h"

MF_FUSED

/* Phi(u), the normal distribution function, and its density. With z = |u|/sqrt 2, t = 1/(1 + 0.3275911 z):
 * erf(z) = 1 - (a1 t + ... + a5 t^5) exp(-z^2), |error| < 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26). */
static inline float normal(float u, float *density) {
    float z = fabsf(u) * 0.70710678f, t = 1 / (1 + 0.3275911f * z), e = fast_exp(-0.5f * u * u);
    float poly = t * (0.254829592f +
                      t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    float half_tail = 0.5f * poly * e; /* 1 - Phi(|u|) */
    *density = 0.39894228f * e;
    return u < 0 ? half_tail : 1 - half_tail;
}

struct gelu {
    float *y;
    const float *x, *bias;
    size_t F;
};

MF_CLONES static void gelu_row(float *y, const float *x, const float *bias, size_t F) {
    float density;
    if (bias) {
        MF_IVDEP
        for (size_t f = 0; f < F; f++) {
            float u = x[f] + bias[f];
            y[f] = u * normal(u, &density);
        }
    } else {
        MF_IVDEP
        for (size_t f = 0; f < F; f++) y[f] = x[f] * normal(x[f], &density);
    }
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct gelu *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) gelu_row(k->y + n * k->F, k->x + n * k->F, k->bias, k->F);
}

void bias_gelu_forward(struct mf_pool *pool, float *y, const float *x, const float *bias, size_t N,
                       size_t F) {
    struct gelu k = {y, x, bias, F};
    mf_pool_run(pool, N, 1, forward_part, &k);
}

struct gelu_backward {
    float *dx, *sums;
    const float *dy, *x, *bias;
    size_t F;
};

/* d/du u Phi(u) = Phi(u) + u phi(u) */
MF_CLONES static void gelu_row_backward(float *dx, const float *dy, const float *x, const float *bias,
                                        size_t F) {
    /* dx may be dy, element for element */
    MF_IVDEP
    for (size_t f = 0; f < F; f++) {
        float density, u = x[f] + (bias ? bias[f] : 0), phi = normal(u, &density);
        dx[f] = dy[f] * (phi + u * density);
    }
}

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct gelu_backward *k = context;
    for (size_t n = begin; n < end; n++) {
        gelu_row_backward(k->dx + n * k->F, k->dy + n * k->F, k->x + n * k->F, k->bias, k->F);
        if (k->sums) vector_add(k->sums + (size_t)thread * k->F, k->dx + n * k->F, 1, k->F);
    }
}

void bias_gelu_backward(struct mf_pool *pool, float *dx, float *dbias, const float *dy, const float *x,
                        const float *bias, float *scratch, size_t N, size_t F) {
    size_t threads = (size_t)mf_pool_threads(pool);
    struct gelu_backward k = {dx, dbias ? scratch : NULL, dy, x, bias, F};
    if (dbias) memset(scratch, 0, threads * F * sizeof *scratch);
    mf_pool_run(pool, N, 1, backward_part, &k);
    for (size_t t = 0; dbias && t < threads; t++) vector_add(dbias, scratch + t * F, 1, F);
}
