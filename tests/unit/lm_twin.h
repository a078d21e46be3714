/* For unit tests of the trainable model: its naive twin in double. */
#ifndef TESTS_LM_TWIN_H
#define TESTS_LM_TWIN_H

#include "nn.h"
#include "model/lm.h"
#include "nn/dropout.h"

static struct mf_shape shape; /* of the test that runs */

/* x * mask of dropout at a site, for element i of [N,D]. */
static inline double drop(double x, struct dropout dropout, uint64_t site, size_t i) {
    float mask;
    if (dropout.p == 0) return x;
    dropout_mask(&mask, dropout.p, mf_rng_at(dropout.key, site), dropout.first + i, 1);
    return x * (double)mask;
}

static inline void norm(double *y, const double *x, const double *gain, const double *bias, size_t D) {
    double mean = 0, square = 0, eps = bias ? 1e-5 : shape.norm_eps;
    for (size_t d = 0; bias && d < D; d++) mean += x[d] / (double)D;
    for (size_t d = 0; d < D; d++) square += (x[d] - mean) * (x[d] - mean) / (double)D;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every norm has gains */
    for (size_t d = 0; d < D; d++) y[d] = (x[d] - mean) / sqrt(square + eps) * gain[d] + (bias ? bias[d] : 0);
}

static inline void product(double *y, const double *x, const double *w, size_t O, size_t in) {
    for (size_t o = 0; o < O; o++) {
        y[o] = 0;
        for (size_t i = 0; i < in; i++) y[o] += x[i] * w[o * in + i];
    }
}

/* Parameters in double, in the order of the flat arrays of model/shape.h. */
struct twin {
    const double *backbone, *ffn;
    const struct mf_lm_batch *batch;
    struct dropout dropout;
    const double *changes; /* of rank RANK, or NULL */
    const double *anchor;  /* the frozen FFN beside it, or NULL */
    const double *head;    /* the expert's own of rank head_rank, or NULL */
    size_t head_rank;
    const double *attention; /* the expert's own queries and outputs, or NULL */
};

#define RANK  3
#define ALPHA 4.5

/* The FFN with the changes added to its matrices; new memory. */
static inline double *changed_ffn(const struct twin *t) {
    struct mf_tensor tensors[64];
    size_t count = mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, NULL, tensors), size = mf_ffn_size(&shape);
    double *ffn = malloc(size * sizeof *ffn), *w = ffn;
    const double *a = t->changes;
    memcpy(ffn, t->ffn, size * sizeof *ffn);
    for (size_t i = 0; i < count; w += mf_tensor_count(&tensors[i]), i++) {
        size_t O = tensors[i].shape[0], in = tensors[i].shape[1];
        if (tensors[i].n_dims == 1) continue;
        const double *b = a + RANK * in;
        for (size_t o = 0; o < O; o++)
            for (size_t r = 0; r < RANK; r++)
                for (size_t k = 0; k < in; k++)
                    w[o * in + k] += ALPHA / RANK * b[o * RANK + r] * a[r * in + k];
        a = b + O * RANK;
    }
    return ffn;
}

/* The matrix that makes the logits; new memory. */
static inline double *twin_head(const struct twin *t, const double *shared) {
    size_t V = shape.V, D = shape.D, R = t->head_rank;
    double *head = malloc(V * D * sizeof *head);
    memcpy(head, t->head && R == D ? t->head : shared, V * D * sizeof *head);
    for (size_t v = 0; v < V && t->head && R < D; v++)
        for (size_t r = 0; r < R; r++)
            for (size_t k = 0; k < D; k++) head[v * D + k] += t->head[R * D + v * R + r] * t->head[r * D + k];
    return head;
}

/* The next `n` parameters. */
static inline const double *next(const double **w, size_t n) {
    *w += n;
    return *w - n;
}

/* Llama 3.1's rule, by wavelengths. */
static inline double stretched(double frequency) {
    const struct rope_stretch *r = &shape.stretch;
    double wavelength = 2 * acos(-1) / frequency, slower = frequency / r->factor;
    if (wavelength < r->context / r->high_factor) return frequency;
    if (wavelength > r->context / r->low_factor) return slower;
    double smooth = (r->context / wavelength - r->low_factor) / (r->high_factor - r->low_factor);
    return (1 - smooth) * slower + smooth * frequency;
}

/* Turns the pairs (i, i + d/2) of a head by the angles of position s. */
static inline void turn(double *x, size_t s, size_t d) {
    for (size_t i = 0; i < d / 2; i++) {
        double frequency = pow(shape.rope_theta, -2.0 * (double)i / (double)d);
        double angle = (double)s * (shape.stretch.factor > 0 ? stretched(frequency) : frequency);
        double a = x[i], b = x[i + d / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + d / 2] = b * cos(angle) + a * sin(angle);
    }
}

/* w: the layer's parameters; returns the gain of the FFN's norm, of a reference NULL. */
static inline const double *twin_attention(const struct twin *t, double *x, const double *w, size_t layer,
                                           size_t N) {
    bool is_llama = shape.arch == MF_LLAMA;
    size_t D = shape.D, H = shape.H, K = is_llama ? shape.K : H, d = is_llama ? shape.d : D / H;
    size_t A = H * d, C = A + 2 * K * d;
    const double *gain = next(&w, D), *bias = is_llama ? NULL : next(&w, D), *qkv_w = next(&w, C * D);
    const double *qkv_b = shape.qkv_bias ? next(&w, C) : NULL;
    const double *q_gain = shape.qk_norm ? next(&w, d) : NULL, *k_gain = shape.qk_norm ? next(&w, d) : NULL;
    const double *out_w = next(&w, D * A);
    const double *own = t->attention ? t->attention + 2 * layer * A * D : NULL; /* [A,D], [D,A] */
    if (own) out_w = own + A * D;
    double *qkv = calloc(N * C + 1, sizeof *qkv), *mixed = calloc(N * A + 1, sizeof *mixed);
    double h[64], y[64] = {0}, p[64];
    for (size_t q = 0; q < t->batch->seqs.count; q++)
        for (size_t n = t->batch->seqs.start[q]; n < t->batch->seqs.start[q + 1]; n++) {
            norm(h, x + n * D, gain, bias, D);
            product(qkv + n * C, h, qkv_w, C, D);
            if (own) product(qkv + n * C, h, own, A, D);
            for (size_t k = 0; qkv_b && k < C; k++) qkv[n * C + k] += qkv_b[k];
            for (size_t k = 0; q_gain && k < H + K; k++)
                norm(qkv + n * C + k * d, qkv + n * C + k * d, k < H ? q_gain : k_gain, NULL, d);
            for (size_t k = 0; is_llama && k < H + K; k++)
                turn(qkv + n * C + k * d, n - t->batch->seqs.start[q], d);
        }
    for (size_t q = 0; q < t->batch->seqs.count; q++)
        for (size_t i = t->batch->seqs.start[q]; i < t->batch->seqs.start[q + 1]; i++)
            for (size_t head = 0; head < H; head++) {
                size_t first = t->batch->seqs.start[q], key = A + head * K / H * d, value = key + K * d;
                double sum = 0;
                for (size_t j = first; j <= i; j++) {
                    double dot = 0;
                    for (size_t k = 0; k < d; k++) dot += qkv[i * C + head * d + k] * qkv[j * C + key + k];
                    sum += p[j - first] = exp(dot / sqrt((double)d));
                }
                for (size_t j = first; j <= i; j++)
                    for (size_t k = 0; k < d; k++)
                        mixed[i * A + head * d + k] += p[j - first] / sum * qkv[j * C + value + k];
            }
    for (size_t n = 0; n < N; n++) {
        product(y, mixed + n * A, out_w, D, A);
        for (size_t k = 0; k < D; k++) x[n * D + k] += drop(y[k], t->dropout, 1 + 2 * layer, n * D + k);
    }
    free(qkv);
    free(mixed);
    return is_llama ? w : NULL;
}

/* y [N,D] = the FFN's branch. */
static inline void twin_branch(double *out, const double *x, const double *w, const double *gain, size_t N) {
    bool is_llama = shape.arch == MF_LLAMA;
    size_t D = shape.D, F = shape.F;
    const double *bias = NULL, *b1 = NULL, *b2 = NULL, *up = NULL;
    if (!is_llama) gain = next(&w, D);
    if (!is_llama) bias = next(&w, D);
    const double *fc1 = next(&w, F * D);
    if (!is_llama) b1 = next(&w, F);
    const double *fc2 = next(&w, D * F);
    if (!is_llama) b2 = next(&w, D);
    if (is_llama) up = next(&w, F * D);
    double h[64], u[64], v[64], y[64] = {0};
    for (size_t n = 0; n < N; n++) {
        norm(h, x + n * D, gain, bias, D);
        product(u, h, fc1, F, D);
        if (is_llama) product(v, h, up, F, D);
        for (size_t f = 0; f < F; f++)
            u[f] = is_llama ? u[f] / (1 + exp(-u[f])) * v[f]
                            : (u[f] + b1[f]) / 2 * (1 + erf((u[f] + b1[f]) / sqrt(2)));
        product(y, u, fc2, D, F);
        for (size_t k = 0; k < D; k++) out[n * D + k] = y[k] + (b2 ? b2[k] : 0);
    }
}

/* w: the FFN's parameters; anchor: those of the one beside it, or NULL. */
static inline void twin_ffn(const struct twin *t, double *x, const double *w, const double *anchor,
                            const double *gain, size_t layer, size_t N) {
    size_t count = N * shape.D;
    double *own = calloc(count + 1, sizeof *own), *other = calloc(count + 1, sizeof *other);
    twin_branch(own, x, w, gain, N);
    if (anchor) twin_branch(other, x, anchor, gain, N);
    for (size_t i = 0; i < count; i++)
        x[i] += drop(anchor ? (own[i] + other[i]) / 2 : own[i], t->dropout, 2 + 2 * layer, i);
    free(own);
    free(other);
}

static inline double position(size_t s, size_t k) {
    double angle = (double)s * exp(-(double)(k - k % 2) * log(10000.0) / (double)shape.D);
    return shape.arch == MF_LLAMA ? 0 : shape.position_scale * (k % 2 ? cos(angle) : sin(angle));
}

static inline double twin_loss(const struct twin *t) {
    size_t D = shape.D, V = shape.V, N = t->batch->seqs.start[t->batch->seqs.count];
    size_t layer_size = mf_backbone_layer_size(&shape), ffn_size = mf_ffn_size(&shape) / shape.L;
    const double *tail = t->backbone + V * D + shape.L * layer_size, *gain = next(&tail, D);
    const double *bias = shape.arch == MF_LLAMA ? NULL : next(&tail, D);
    double *head = twin_head(t, shape.untied ? tail : t->backbone);
    double *x = calloc(N * D, sizeof *x), h[64], loss = 0, *changed = t->changes ? changed_ffn(t) : NULL;
    const double *ffn = changed ? changed : t->ffn;
    for (size_t q = 0; q < t->batch->seqs.count; q++)
        for (size_t n = t->batch->seqs.start[q]; n < t->batch->seqs.start[q + 1]; n++)
            for (size_t k = 0; k < D; k++)
                x[n * D + k] =
                    drop(t->backbone[t->batch->tokens[n] * D + k] + position(n - t->batch->seqs.start[q], k),
                         t->dropout, 0, n * D + k);
    for (size_t i = 0; i < shape.L; i++) {
        const double *ffn_gain = twin_attention(t, x, t->backbone + V * D + i * layer_size, i, N);
        const double *anchor = t->anchor ? t->anchor + i * ffn_size : NULL;
        twin_ffn(t, x, ffn + i * ffn_size, anchor, ffn_gain, i, N);
    }
    free(changed);
    for (size_t n = 0; n < N; n++) {
        if (t->batch->targets[n] == LOSS_IGNORE) continue;
        double sum = 0, wanted = 0;
        norm(h, x + n * D, gain, bias, D);
        for (size_t v = 0; v < V; v++) {
            double logit = 0;
            for (size_t k = 0; k < D; k++) logit += h[k] * head[v * D + k];
            sum += exp(logit);
            if (v == t->batch->targets[n]) wanted = logit;
        }
        loss += log(sum) - wanted;
    }
    free(x);
    free(head);
    return loss;
}

#endif
