/* Newton-Schulz steps by the products that the layers use. */
#include "train/muon.h"

#include <math.h>
#include <string.h>
#include "model/expert_attention.h"
#include "model/expert_head.h"
#include "model/low_rank.h"
#include "nn/matmul.h"
#include "nn/vector.h"

#define MOMENTUM 0.95f
#define STEPS    5

bool mf_muon_takes(const struct mf_shape *shape, const struct mf_tensor *t) {
    return t->n_dims == 2 && !mf_is_vocabulary(shape, t->name) && !mf_head_is(t->name);
}

/* u twice, and two squares of its shorter side. */
static size_t scratch_of(const struct mf_tensor *t) {
    size_t R = t->shape[0], C = t->shape[1], shorter = R < C ? R : C;
    return 2 * R * C + 2 * shorter * shorter;
}

/* Adds a layer's tensors, of L alike. */
static void add_layer(struct mf_muon_memory *memory, const struct mf_shape *shape,
                      const struct mf_tensor *tensors, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!mf_muon_takes(shape, &tensors[i])) continue;
        memory->matrices += shape->L * mf_tensor_count(&tensors[i]);
        if (scratch_of(&tensors[i]) > memory->scratch) memory->scratch = scratch_of(&tensors[i]);
    }
}

struct mf_muon_memory mf_muon_memory(const struct mf_shape *shape, bool frozen, size_t R, bool attention) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    struct mf_muon_memory memory = {0, 0};
    struct mf_shape layer = *shape;
    layer.L = 1;
    if (attention) {
        mf_attention_tensors(shape, 0, -1, NULL, tensors);
        add_layer(&memory, shape, tensors, MF_ATTENTION_TENSORS);
    }
    if (R) {
        add_layer(&memory, shape, tensors, mf_changes_tensors(&layer, R, NULL, tensors));
        return memory;
    }
    for (int k = 0; k < (frozen ? 1 : 2); k++)
        add_layer(
            &memory, shape, tensors,
            mf_table_tensors(shape, k ? MF_TABLE_LAYER : MF_TABLE_FFN, MF_FFN_DENSE, 0, 0, 0, tensors, NULL));
    return memory;
}

/* x [s,l], s <= l, becomes orthogonal. With A = x x^T a step is x = a x + (b A + c A^2) x, a polynomial that
 * takes singular values in (0,1] towards 1; its coefficients are Jordan's. y [s,l], A and B [s,s] are
 * scratch. Returns where the result is: x or y. */
static float *orthogonal(struct mf_pool *pool, float *x, float *y, float *A, float *B, size_t s, size_t l) {
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    float norm = (float)sqrt(vector_dot(x, x, s * l));
    vector_scale(x, 1 / (norm + 1e-7f), s * l);
    for (int step = 0; step < STEPS; step++) {
        matmul_forward(products_fp32(pool), A, x, x, s, s, l, 0);
        memcpy(B, A, s * s * sizeof *B);
        vector_scale(B, b / c, s * s);
        matmul_forward(products_fp32(pool), B, A, A, s, s, s, 1); /* A is its own transpose */
        vector_scale(B, c, s * s);
        memcpy(y, x, s * l * sizeof *y);
        matmul_backward_input(products_fp32(pool), y, B, x, s, s, l, a);
        float *swap = x;
        x = y;
        y = swap;
    }
    return x;
}

void mf_muon(struct mf_pool *pool, const struct mf_tensor *matrix, const float *g, float *m, double scale,
             double lr, double decay, float *scratch) {
    size_t R = matrix->shape[0], C = matrix->shape[1], n = R * C, s = R < C ? R : C, l = R < C ? C : R;
    float *u = scratch, *y = u + n, *A = y + n, *x = matrix->data;
    bool tall = R > C; /* then by its transpose */
    for (size_t i = 0; i < R; i++)
        for (size_t j = 0; j < C; j++) {
            size_t k = i * C + j;
            float gradient = g[k] * (float)scale;
            m[k] = MOMENTUM * m[k] + gradient;
            u[tall ? j * R + i : k] = MOMENTUM * m[k] + gradient;
        }
    u = orthogonal(pool, u, y, A, A + s * s, s, l);
    float rate = (float)(lr * 0.2 * sqrt((double)l)), keep = (float)(1 - lr * decay);
    for (size_t i = 0; i < R; i++)
        for (size_t j = 0; j < C; j++) {
            size_t k = i * C + j;
            x[k] = keep * x[k] - rate * u[tall ? j * R + i : k];
        }
}
