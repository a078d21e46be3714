/* silu(gate) * up; forward and backward take one exponential an element. */
#include "nn/swiglu.h"

#include <math.h>
#include "base/simd.h"
#include "nn/exp.h"

MF_FUSED

/* 1 / (1 + exp(-u)) and 1 less that, neither by a difference: both keep their relative accuracy far out. */
static inline float sigmoid(float u, float *rest) {
    float e = fast_exp(-fabsf(u)), large = 1 / (1 + e), small = e * large;
    *rest = u < 0 ? large : small;
    return u < 0 ? small : large;
}

struct swiglu {
    float *y;
    const float *gate, *up;
    size_t ld, F;
};

MF_CLONES static void swiglu_row(float *y, const float *gate, const float *up, size_t F) {
    float rest;
    /* y may be gate or up, element for element */
    MF_IVDEP
    for (size_t f = 0; f < F; f++) {
        y[f] = gate[f] * sigmoid(gate[f], &rest) * up[f];
    }
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct swiglu *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++)
        swiglu_row(k->y + n * k->F, k->gate + n * k->ld, k->up + n * k->ld, k->F);
}

void swiglu_forward(struct mf_pool *pool, float *y, const float *gate, const float *up, size_t ld, size_t N,
                    size_t F) {
    struct swiglu k = {y, gate, up, ld, F};
    mf_pool_run(pool, N, 1, forward_part, &k);
}

struct swiglu_backward {
    float *dgate, *dup, *y;
    const float *dy, *gate, *up;
    size_t ld, F;
};

/* With s the sigmoid: d/du u s(u) = s + u s (1 - s) = s (1 + u (1 - s)) */
MF_CLONES static void swiglu_row_backward(float *dgate, float *dup, const float *dy, const float *gate,
                                          const float *up, size_t F) {
    MF_IVDEP
    for (size_t f = 0; f < F; f++) {
        float rest, s = sigmoid(gate[f], &rest), slope = s * (1 + gate[f] * rest), unit = gate[f] * s;
        dgate[f] = dy[f] * up[f] * slope;
        dup[f] = dy[f] * unit;
    }
}

MF_CLONES static void swiglu_row_backward_again(float *dgate, float *dup, float *y, const float *dy,
                                                const float *gate, const float *up, size_t F) {
    MF_IVDEP
    for (size_t f = 0; f < F; f++) {
        float rest, s = sigmoid(gate[f], &rest), slope = s * (1 + gate[f] * rest), unit = gate[f] * s;
        float d = dy[f], u = up[f];
        dgate[f] = d * u * slope;
        dup[f] = d * unit;
        y[f] = unit * u;
    }
}

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct swiglu_backward *k = context;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        size_t at = n * k->ld, tight = n * k->F;
        if (k->y)
            swiglu_row_backward_again(k->dgate + at, k->dup + at, k->y + tight, k->dy + tight, k->gate + at,
                                      k->up + at, k->F);
        else
            swiglu_row_backward(k->dgate + at, k->dup + at, k->dy + tight, k->gate + at, k->up + at, k->F);
    }
}

void swiglu_backward(struct mf_pool *pool, float *dgate, float *dup, float *y, const float *dy,
                     const float *gate, const float *up, size_t ld, size_t N, size_t F) {
    struct swiglu_backward k = {dgate, dup, y, dy, gate, up, ld, F};
    mf_pool_run(pool, N, 1, backward_part, &k);
}
