/* The whole trainable model against a naive twin in double: its loss, and the gradient of every parameter
 * against central differences of the twin. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "nn.h"
#include "base/rng.h"
#include "model/lm.h"
#include "nn/dropout.h"
#include "nn/matmul.h"

static const struct mf_shape reference =
                                 {.V = 19, .D = 8, .H = 2, .L = 3, .F = 40, .S = 7, .position_scale = 0.5},
                             /* four query heads on two of keys, all together wider than the rows */
    llama = {.V = 19,
             .D = 8,
             .H = 4,
             .L = 3,
             .F = 61,
             .S = 7,
             .arch = MF_LLAMA,
             .K = 2,
             .d = 6,
             .rope_theta = 50,
             .norm_eps = 1e-4},
                             /* one key head, heads narrower than the rows, biases, a head of its own */
    untied = {.V = 19,
              .D = 8,
              .H = 3,
              .L = 2,
              .F = 21,
              .S = 7,
              .arch = MF_LLAMA,
              .K = 1,
              .d = 2,
              .rope_theta = 10000,
              .norm_eps = 1e-5,
              .qkv_bias = true,
              .untied = true},
                             /* norms of queries and of keys, heads wider than the rows, and of the four pairs
                                of columns one turns as it did, one between, two slower */
    normed = {.V = 19,
              .D = 6,
              .H = 4,
              .L = 3,
              .F = 7,
              .S = 7,
              .arch = MF_LLAMA,
              .K = 2,
              .d = 8,
              .rope_theta = 50,
              .stretch = {.factor = 3, .low_factor = 0.3, .high_factor = 1, .context = 8},
              .norm_eps = 1e-5,
              .qkv_bias = true,
              .qk_norm = true};

static struct mf_shape shape; /* of the test that runs */

/* --- the twin --- */

/* x * mask of dropout at a site, for element i of [N,D]. */
static double drop(double x, struct dropout dropout, uint64_t site, size_t i) {
    float mask;
    if (dropout.p == 0) return x;
    dropout_mask(&mask, dropout.p, mf_rng_at(dropout.key, site), dropout.first + i, 1);
    return x * (double)mask;
}

static void norm(double *y, const double *x, const double *gain, const double *bias, size_t D) {
    double mean = 0, square = 0, eps = bias ? 1e-5 : shape.norm_eps;
    for (size_t d = 0; bias && d < D; d++) mean += x[d] / (double)D;
    for (size_t d = 0; d < D; d++) square += (x[d] - mean) * (x[d] - mean) / (double)D;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every norm has gains */
    for (size_t d = 0; d < D; d++) y[d] = (x[d] - mean) / sqrt(square + eps) * gain[d] + (bias ? bias[d] : 0);
}

static void product(double *y, const double *x, const double *w, size_t O, size_t in) {
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
};

#define RANK  3
#define ALPHA 4.5

/* The FFN with the changes added to its matrices; new memory. */
static double *changed_ffn(const struct twin *t) {
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
static double *twin_head(const struct twin *t, const double *shared) {
    size_t V = shape.V, D = shape.D, R = t->head_rank;
    double *head = malloc(V * D * sizeof *head);
    memcpy(head, t->head && R == D ? t->head : shared, V * D * sizeof *head);
    for (size_t v = 0; v < V && t->head && R < D; v++)
        for (size_t r = 0; r < R; r++)
            for (size_t k = 0; k < D; k++) head[v * D + k] += t->head[R * D + v * R + r] * t->head[r * D + k];
    return head;
}

/* The next `n` parameters. */
static const double *next(const double **w, size_t n) {
    *w += n;
    return *w - n;
}

/* Llama 3.1's rule, by wavelengths. */
static double stretched(double frequency) {
    const struct rope_stretch *r = &shape.stretch;
    double wavelength = 2 * acos(-1) / frequency, slower = frequency / r->factor;
    if (wavelength < r->context / r->high_factor) return frequency;
    if (wavelength > r->context / r->low_factor) return slower;
    double smooth = (r->context / wavelength - r->low_factor) / (r->high_factor - r->low_factor);
    return (1 - smooth) * slower + smooth * frequency;
}

/* Turns the pairs (i, i + d/2) of a head by the angles of position s. */
static void turn(double *x, size_t s, size_t d) {
    for (size_t i = 0; i < d / 2; i++) {
        double frequency = pow(shape.rope_theta, -2.0 * (double)i / (double)d);
        double angle = (double)s * (shape.stretch.factor > 0 ? stretched(frequency) : frequency);
        double a = x[i], b = x[i + d / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + d / 2] = b * cos(angle) + a * sin(angle);
    }
}

/* w: the layer's parameters; returns the gain of the FFN's norm, of a reference NULL. */
static const double *twin_attention(const struct twin *t, double *x, const double *w, size_t layer,
                                    size_t N) {
    bool is_llama = shape.arch == MF_LLAMA;
    size_t D = shape.D, H = shape.H, K = is_llama ? shape.K : H, d = is_llama ? shape.d : D / H;
    size_t A = H * d, C = A + 2 * K * d;
    const double *gain = next(&w, D), *bias = is_llama ? NULL : next(&w, D), *qkv_w = next(&w, C * D);
    const double *qkv_b = shape.qkv_bias ? next(&w, C) : NULL;
    const double *q_gain = shape.qk_norm ? next(&w, d) : NULL, *k_gain = shape.qk_norm ? next(&w, d) : NULL;
    const double *out_w = next(&w, D * A);
    double *qkv = calloc(N * C + 1, sizeof *qkv), *mixed = calloc(N * A + 1, sizeof *mixed);
    double h[64], y[64] = {0}, p[64];
    for (size_t q = 0; q < t->batch->seqs.count; q++)
        for (size_t n = t->batch->seqs.start[q]; n < t->batch->seqs.start[q + 1]; n++) {
            norm(h, x + n * D, gain, bias, D);
            product(qkv + n * C, h, qkv_w, C, D);
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
static void twin_branch(double *out, const double *x, const double *w, const double *gain, size_t N) {
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
static void twin_ffn(const struct twin *t, double *x, const double *w, const double *anchor,
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

static double position(size_t s, size_t k) {
    double angle = (double)s * exp(-(double)(k - k % 2) * log(10000.0) / (double)shape.D);
    return shape.arch == MF_LLAMA ? 0 : shape.position_scale * (k % 2 ? cos(angle) : sin(angle));
}

static double twin_loss(const struct twin *t) {
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

/* --- the test --- */

#define ROWS 15
static const uint32_t tokens[ROWS] = {2, 5, 7, 7, 18, 3, 2, 4, 2, 9, 10, 11, 12, 0, 6};
static const uint32_t targets[ROWS] = {5, 7, 7, 18, 3, LOSS_IGNORE, 4, 0, 9, 10, 11, 12, 13, 6, 1};
static const size_t start[] = {0, 6, 8, 15};
static const struct mf_lm_batch batch = {tokens, targets, {3, start}};

struct fixture {
    struct mf_pool *pool;
    float *backbone, *ffn, *backbone_grad, *ffn_grad;
    double *backbone_twin, *ffn_twin;
    size_t n_backbone, n_ffn;
};

static void begin(struct fixture *f, int threads) {
    struct mf_err err;
    struct mf_rng rng;
    matmul_setup();
    f->n_backbone = mf_backbone_size(&shape);
    f->n_ffn = mf_ffn_size(&shape);
    assert_int_equal(mf_pool_new(&f->pool, threads, &err), 0);
    f->backbone = calloc(f->n_backbone, sizeof *f->backbone);
    f->ffn = calloc(f->n_ffn, sizeof *f->ffn);
    f->backbone_grad = calloc(f->n_backbone, sizeof *f->backbone_grad);
    f->ffn_grad = calloc(f->n_ffn, sizeof *f->ffn_grad);
    f->backbone_twin = calloc(f->n_backbone, sizeof *f->backbone_twin);
    f->ffn_twin = calloc(f->n_ffn, sizeof *f->ffn_twin);
    mf_rng_seed(&rng, 7);
    for (size_t i = 0; i < f->n_backbone; i++) f->backbone[i] = (float)(0.5 * mf_rng_normal(&rng));
    for (size_t i = 0; i < f->n_ffn; i++) f->ffn[i] = (float)(0.5 * mf_rng_normal(&rng));
    for (size_t i = 0; i < f->n_backbone; i++) f->backbone_twin[i] = (double)f->backbone[i];
    for (size_t i = 0; i < f->n_ffn; i++) f->ffn_twin[i] = (double)f->ffn[i];
}

static void end(struct fixture *f) {
    mf_pool_free(f->pool);
    free(f->backbone);
    free(f->ffn);
    free(f->backbone_grad);
    free(f->ffn_grad);
    free(f->backbone_twin);
    free(f->ffn_twin);
}

/* Each tensor's gradient: the norm of the difference to central differences over their norm. */
static void compare(const struct fixture *f, const struct mf_tensor *tensors, size_t count, double *twin,
                    const struct twin *t, const float *grad, double scale, int64_t pad) {
    size_t at = 0, stride = difference_stride();
    for (size_t i = 0; i < count; i++) {
        size_t n = mf_tensor_count(&tensors[i]);
        double difference = 0, size = 0;
        for (size_t j = at; j < at + n; j += stride) {
            double old = twin[j], step = 1e-5;
            if (twin == f->backbone_twin && (int64_t)(j / shape.D) == pad) continue; /* never learns */
            twin[j] = old + step;
            double up = twin_loss(t);
            twin[j] = old - step;
            double down = twin_loss(t);
            twin[j] = old;
            double expected = scale * (up - down) / (2 * step);
            difference += ((double)grad[j] - expected) * ((double)grad[j] - expected);
            size += expected * expected;
        }
        if (sqrt(difference) > 1e-3 * sqrt(size) + 1e-7)
            fail_msg("%s: gradient differs by %g of %g", tensors[i].name, sqrt(difference), sqrt(size));
        at += n;
    }
}

static void check_gradients(float p, bool frozen, bool recompute, int64_t pad, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {.max_rows = ROWS, .frozen = frozen, .recompute = recompute, .pad = pad};
    begin(&f, threads);
    struct twin t = {f.backbone_twin, f.ffn_twin, &batch, dropout, NULL, NULL, NULL, 0};
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn},
                         g = {.backbone = frozen ? NULL : f.backbone_grad, .ffn = f.ffn_grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    struct mf_tensor *tensors = calloc(200, sizeof *tensors);
    size_t count = mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, f.ffn, tensors);
    compare(&f, tensors, count, f.ffn_twin, &t, f.ffn_grad, 0.25, -1);
    count = mf_backbone_tensors(&shape, f.backbone, tensors);
    if (!frozen) compare(&f, tensors, count, f.backbone_twin, &t, f.backbone_grad, 0.25, pad);
    for (size_t k = 0; pad >= 0 && k < shape.D; k++)
        assert_true(f.backbone_grad[(size_t)pad * shape.D + k] == 0);
    for (size_t i = 0; frozen && i < f.n_backbone; i++) assert_true(f.backbone_grad[i] == 0);
    free(tensors);
    mf_lm_free(lm);
    end(&f);
}

static void test_gradients(void **state) {
    (void)state;
    check_gradients(0, false, false, 0, 1);
    check_gradients(0, false, false, -1, 2);
    check_gradients(0, false, true, 7, 2);
}

static void test_gradients_dropout(void **state) {
    (void)state;
    check_gradients(0.25f, false, false, 0, 2);
    check_gradients(0.25f, false, true, -1, 1);
}

static void test_gradients_frozen(void **state) {
    (void)state;
    check_gradients(0.25f, true, false, 0, 2);
    check_gradients(0.25f, true, true, -1, 2);
}

/* Gradients of changes of low rank, with all else frozen and each tensor by itself in memory. */
static void check_changes(float p, bool recompute, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {
        .max_rows = ROWS, .frozen = true, .recompute = recompute, .pad = -1, .low_rank = {RANK, ALPHA}};
    size_t n = mf_changes_size(&shape, RANK);
    float *changes = make_random(n, 3), *grad = make_zeros(n);
    for (size_t i = 0; i < n; i++) changes[i] *= 0.5f;
    double *changes_twin = to_double(changes, n);
    begin(&f, threads);
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), *tensors = calloc(200, sizeof *tensors);
    size_t apart = mf_backbone_tensors(&shape, f.backbone, frozen);
    apart += mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, frozen + apart);
    for (size_t i = 0; i < apart; i++) {
        size_t bytes = mf_tensor_bytes(&frozen[i]);
        if (frozen[i].n_dims == 1) continue;
        void *own = malloc(bytes);
        frozen[i].data = memcpy(own, frozen[i].data, bytes);
    }
    struct twin t = {f.backbone_twin, f.ffn_twin, &batch, dropout, changes_twin, NULL, NULL, 0};
    struct mf_lm_weights w = {.changes = changes, .frozen = frozen}, g = {.changes = grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    size_t count = mf_changes_tensors(&shape, RANK, changes, tensors);
    compare(&f, tensors, count, changes_twin, &t, grad, 0.25, -1);
    mf_lm_free(lm);
    for (size_t i = 0; i < apart; i++)
        if (frozen[i].n_dims > 1) free(frozen[i].data);
    FREE_ALL(changes, grad, changes_twin, frozen, tensors);
    end(&f);
}

static void test_changes(void **state) {
    (void)state;
    check_changes(0, false, 1);
    check_changes(0.25f, true, 2);
}

/* Gradients of an FFN beside a frozen one with other numbers, or of changes to that one. */
static void check_anchor(float p, bool recompute, bool low, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {
        .max_rows = ROWS, .frozen = true, .recompute = recompute, .pad = -1, .anchor = true};
    begin(&f, threads);
    size_t n = low ? mf_changes_size(&shape, RANK) : f.n_ffn;
    float *learns = make_random(n, 3), *grad = make_zeros(n);
    for (size_t i = 0; i < n; i++) learns[i] *= 0.5f;
    double *twin = to_double(learns, n);
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), *tensors = calloc(200, sizeof *tensors);
    size_t apart = mf_backbone_tensors(&shape, f.backbone, frozen);
    mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, frozen + apart);
    struct twin t = {
        f.backbone_twin, low ? f.ffn_twin : twin, &batch, dropout, low ? twin : NULL, f.ffn_twin, NULL, 0};
    struct mf_lm_weights w = {.frozen = frozen}, g = {0};
    *(low ? &w.changes : &w.ffn) = learns;
    *(low ? &g.changes : &g.ffn) = grad;
    if (low) plan.low_rank = (struct mf_low_rank){RANK, ALPHA};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    size_t count = low ? mf_changes_tensors(&shape, RANK, learns, tensors)
                       : mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, learns, tensors);
    compare(&f, tensors, count, twin, &t, grad, 0.25, -1);
    mf_lm_free(lm);
    FREE_ALL(learns, grad, twin, frozen, tensors);
    end(&f);
}

static void test_anchor(void **state) {
    (void)state;
    check_anchor(0, false, false, 1);
    check_anchor(0.25f, true, false, 2);
    check_anchor(0.25f, false, true, 2);
    check_anchor(0, true, true, 1);
}

/* Gradients of an FFN and a head of rank R of its own, of a backbone in fp32 or in bf16. */
static void check_head(float p, bool recompute, bool narrow, size_t R, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {
        .max_rows = ROWS, .frozen = true, .recompute = recompute, .narrow = narrow, .pad = 7, .head = R};
    begin(&f, threads);
    size_t n = mf_head_size(&shape, R);
    float *head = make_random(n, 3), *grad = make_zeros(n);
    for (size_t i = 0; i < n; i++) head[i] *= 0.5f;
    double *head_twin = to_double(head, n);
    uint16_t *rounded = malloc(f.n_backbone * sizeof *rounded), *at = rounded;
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), tensors[MF_HEAD_TENSORS];
    size_t count = mf_backbone_tensors(&shape, f.backbone, frozen);
    mf_bf16_round(rounded, f.backbone, f.n_backbone);
    if (narrow) mf_bf16_widen(f.backbone, rounded, f.n_backbone);
    for (size_t i = 0; i < f.n_backbone; i++) f.backbone_twin[i] = (double)f.backbone[i];
    for (size_t i = 0; narrow && i < count; at += mf_tensor_count(&frozen[i]), i++) {
        frozen[i].dtype = MF_BF16;
        frozen[i].data = at;
    }
    struct twin t = {.backbone = f.backbone_twin,
                     .ffn = f.ffn_twin,
                     .batch = &batch,
                     .dropout = dropout,
                     .head = head_twin,
                     .head_rank = R};
    struct mf_lm_weights w = {.ffn = f.ffn, .head = head, .frozen = frozen},
                         g = {.ffn = f.ffn_grad, .head = grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    compare(&f, tensors, mf_head_tensors(&shape, R, -1, head, tensors), head_twin, &t, grad, 0.25, -1);
    struct mf_tensor *ffn = calloc(200, sizeof *ffn);
    size_t below = narrow ? 0 : mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, f.ffn, ffn); /* once for each form */
    compare(&f, ffn, below, f.ffn_twin, &t, f.ffn_grad, 0.25, -1);
    t.dropout.p = 0;
    expected = twin_loss(&t);
    assert_true(fabs(mf_lm_loss(lm, &w, &batch, NULL, NULL) - expected) < 1e-4 * expected);
    mf_lm_free(lm);
    FREE_ALL(head, grad, head_twin, rounded, frozen, ffn);
    end(&f);
}

static void test_head(void **state) {
    (void)state;
    check_head(0.25f, false, false, shape.D, 1);
    check_head(0, true, true, shape.D, 2);
    check_head(0.25f, true, false, RANK, 2);
    check_head(0, false, true, RANK, 1);
}

/* Factors as they begin change nothing: the loss is the dense model's. */
static void test_changes_begin(void **state) {
    (void)state;
    struct fixture f;
    struct mf_lm *lm[2];
    struct mf_err err;
    struct mf_lm_plan plain = {.max_rows = ROWS, .frozen = true},
                      low = {.max_rows = ROWS, .frozen = true, .low_rank = {RANK, ALPHA}};
    float *changes = make_poison(mf_changes_size(&shape, RANK));
    begin(&f, 1);
    mf_changes_init(&shape, RANK, changes, 5);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn};
    assert_int_equal(mf_lm_new(&lm[0], &shape, &plain, f.pool, &err), 0);
    assert_int_equal(mf_lm_new(&lm[1], &shape, &low, f.pool, &err), 0);
    double loss = mf_lm_loss(lm[0], &w, &batch, NULL, NULL);
    w.changes = changes;
    assert_true(loss == mf_lm_loss(lm[1], &w, &batch, NULL, NULL));
    mf_lm_free(lm[0]);
    mf_lm_free(lm[1]);
    free(changes);
    end(&f);
}

/* Without dropout the loss alone is the same number; gradients add up over calls. */
static void test_loss_and_accumulation(void **state) {
    (void)state;
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    begin(&f, 2);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn},
                         g = {.backbone = f.backbone_grad, .ffn = f.ffn_grad};
    struct dropout none = {0};
    assert_int_equal(mf_lm_new(&lm, &shape, &(struct mf_lm_plan){.max_rows = ROWS}, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, none, 1);
    assert_true(loss == mf_lm_loss(lm, &w, &batch, NULL, NULL));
    float *once = malloc(f.n_ffn * sizeof *once);
    memcpy(once, f.ffn_grad, f.n_ffn * sizeof *once);
    mf_lm_backward(lm, &w, &g, &batch, none, 1);
    for (size_t i = 0; i < f.n_ffn; i++)
        assert_true(fabsf(f.ffn_grad[i] - 2 * once[i]) <= 1e-5f + 1e-4f * fabsf(once[i]));
    free(once);
    mf_lm_free(lm);
    end(&f);
}

/* Recomputing what was not kept changes the gradients by rounding at most, and takes less memory. */
static void test_recompute(void **state) {
    (void)state;
    struct fixture f;
    struct mf_err err;
    struct dropout dropout = {0.25f, 5, 0};
    begin(&f, 2);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn},
                         g = {.backbone = f.backbone_grad, .ffn = f.ffn_grad};
    float *kept = malloc(f.n_backbone * sizeof *kept);
    for (int recompute = 0; recompute < 2; recompute++) {
        struct mf_lm *lm;
        struct mf_lm_plan plan = {.max_rows = ROWS, .recompute = recompute};
        memset(f.backbone_grad, 0, f.n_backbone * sizeof *f.backbone_grad);
        assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
        mf_lm_backward(lm, &w, &g, &batch, dropout, 1);
        mf_lm_free(lm);
        if (!recompute) memcpy(kept, f.backbone_grad, f.n_backbone * sizeof *kept);
    }
    for (size_t i = 0; i < f.n_backbone; i++)
        assert_true(fabsf(kept[i] - f.backbone_grad[i]) <= 1e-5f + 1e-4f * fabsf(kept[i]));
    struct mf_lm_plan whole = {.max_rows = ROWS}, again = {.max_rows = ROWS, .recompute = true};
    assert_true(mf_lm_memory(&shape, &again, 2) < mf_lm_memory(&shape, &whole, 2));
    free(kept);
    end(&f);
}

/* A backbone in bf16 gives what its rounded values give in fp32, and takes less memory; with changes the FFN
 * is as the backbone. */
static void check_narrow(bool recompute, bool low, bool anchor) {
    struct fixture f;
    struct mf_err err;
    struct dropout dropout = {0.25f, 5, 0};
    double loss[2];
    begin(&f, 2);
    size_t n = low ? mf_changes_size(&shape, RANK) : f.n_ffn;
    float *changes = make_random(n, 3), *grads[2] = {make_zeros(n), make_zeros(n)};
    uint16_t *narrow = malloc((f.n_backbone + f.n_ffn) * sizeof *narrow), *at = narrow;
    mf_bf16_round(narrow, f.backbone, f.n_backbone);
    mf_bf16_widen(f.backbone, narrow, f.n_backbone);
    mf_bf16_round(narrow + f.n_backbone, f.ffn, f.n_ffn);
    if (low || anchor) mf_bf16_widen(f.ffn, narrow + f.n_backbone, f.n_ffn);
    struct mf_tensor *frozen = calloc(200, sizeof *frozen);
    size_t count = mf_backbone_tensors(&shape, NULL, frozen);
    count += mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, NULL, frozen + count);
    struct mf_tensor *wide = calloc(200, sizeof *wide);
    mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, wide + mf_backbone_tensors(&shape, f.backbone, wide));
    for (size_t i = 0; i < count; at += mf_tensor_count(&frozen[i]), i++) {
        frozen[i].dtype = MF_BF16;
        frozen[i].data = at;
    }
    for (int k = 0; k < 2; k++) { /* fp32 and bf16 */
        struct mf_lm *lm;
        struct mf_lm_plan plan = {
            .max_rows = ROWS, .frozen = true, .recompute = recompute, .narrow = k, .anchor = anchor};
        struct mf_lm_weights w = {.backbone = k ? NULL : f.backbone,
                                  .ffn = k && low ? NULL : f.ffn,
                                  .changes = low ? changes : NULL,
                                  .frozen = k ? frozen : wide},
                             g = {.ffn = low ? NULL : grads[k], .changes = low ? grads[k] : NULL};
        if (low) plan.low_rank = (struct mf_low_rank){RANK, ALPHA};
        assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
        loss[k] = mf_lm_backward(lm, &w, &g, &batch, dropout, 1);
        mf_lm_free(lm);
    }
    assert_true(fabs(loss[0] - loss[1]) < 1e-5 * loss[0]);
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(grads[0][i] - grads[1][i]) <= 1e-5f + 1e-4f * fabsf(grads[0][i]));
    FREE_ALL(changes, grads[0], grads[1], narrow, frozen, wide);
    end(&f);
}

static void test_narrow(void **state) {
    (void)state;
    for (int k = 0; k < 8; k++) check_narrow(k / 4, k / 2 % 2, k % 2);
}

struct seen {
    size_t calls[16];
    double first[16]; /* sum of squares of the first row */
};

static void watch(void *context, size_t site, const float *rows, size_t N) {
    struct seen *s = context;
    assert_int_equal(N, ROWS);
    assert_true(site < 2 * shape.L + 1);
    s->calls[site]++;
    for (size_t k = 0; k < shape.D; k++) s->first[site] += (double)rows[k] * (double)rows[k];
}

/* The watcher sees every norm once, rows of mean square one. */
static void test_watch(void **state) {
    (void)state;
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct seen seen = {0};
    begin(&f, 1);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn};
    assert_int_equal(
        mf_lm_new(&lm, &shape, &(struct mf_lm_plan){.max_rows = ROWS, .frozen = true}, f.pool, &err), 0);
    mf_lm_loss(lm, &w, &batch, watch, &seen);
    for (size_t i = 0; i < 2 * shape.L + 1; i++) {
        assert_int_equal(seen.calls[i], 1);
        assert_true(fabs(seen.first[i] / (double)shape.D - 1) < 1e-3);
    }
    mf_lm_free(lm);
    end(&f);
}

static int use_reference(void **state) {
    (void)state;
    shape = reference;
    return 0;
}

static int use_llama(void **state) {
    (void)state;
    shape = llama;
    return 0;
}

static int use_untied(void **state) {
    (void)state;
    shape = untied;
    return 0;
}

static int use_normed(void **state) {
    (void)state;
    shape = normed;
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_gradients_dropout),
        cmocka_unit_test(test_gradients_frozen),
        cmocka_unit_test(test_loss_and_accumulation),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_changes_begin),
        cmocka_unit_test(test_anchor),
        cmocka_unit_test(test_head),
    };
    return cmocka_run_group_tests_name("reference", tests, use_reference, NULL) +
           cmocka_run_group_tests_name("llama", tests, use_llama, NULL) +
           cmocka_run_group_tests_name("untied", tests, use_untied, NULL) +
           cmocka_run_group_tests_name("normed", tests, use_normed, NULL);
}
