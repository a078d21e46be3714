/* Every kernel against a naive loop in double, and every backward pass against central differences of that
 * loop. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/exp.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/loss.h"
#include "nn/matmul.h"
#include "nn/residual.h"
#include "nn/vector.h"

static const int thread_counts[] = {1, 2, 3};

/* --- products --- */

static void check_matmul(size_t N, size_t O, size_t in, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * in, 1), *w = make_random(O * in, 2), *y = make_random(N * O, 3);
    float *dx = make_random(N * in, 4), *dw = make_random(O * in, 5);
    double *expected_y = calloc(N * O, sizeof *expected_y),
           *expected_dx = calloc(N * in, sizeof *expected_dx);
    double *expected_dw = calloc(O * in, sizeof *expected_dw);
    for (size_t n = 0; n < N; n++)
        for (size_t o = 0; o < O; o++) {
            expected_y[n * O + o] = 0.5 * (double)y[n * O + o];
            for (size_t i = 0; i < in; i++)
                expected_y[n * O + o] += (double)x[n * in + i] * (double)w[o * in + i];
        }
    matmul_forward(pool, y, x, w, N, O, in, 0.5f);
    assert_close("y", y, expected_y, N * O, 1e-5);
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < in; i++) {
            expected_dx[n * in + i] = 0.5 * (double)dx[n * in + i];
            for (size_t o = 0; o < O; o++)
                expected_dx[n * in + i] += (double)y[n * O + o] * (double)w[o * in + i];
        }
    matmul_backward_input(pool, dx, y, w, N, O, in, 0.5f);
    assert_close("dx", dx, expected_dx, N * in, 1e-5);
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < in; i++) {
            expected_dw[o * in + i] = (double)dw[o * in + i];
            for (size_t n = 0; n < N; n++)
                expected_dw[o * in + i] += (double)y[n * O + o] * (double)x[n * in + i];
        }
    matmul_backward_weight(pool, dw, y, x, N, O, in);
    assert_close("dw", dw, expected_dw, O * in, 1e-5);
    free(x), free(w), free(y), free(dx), free(dw), free(expected_y), free(expected_dx), free(expected_dw);
    mf_pool_free(pool);
}

/* Blocks inside larger matrices: what is beside them is neither read nor written. */
static void check_matmul_blocks(size_t N, size_t O, size_t in, int threads) {
    enum { APART = 3 };
    struct mf_pool *pool = make_pool(threads);
    size_t ld_x = in + APART, ld_y = O + APART, ld_w = in + 2 * APART, beside = 0;
    float *x = make_random(N * ld_x, 1), *w = make_random(O * ld_w, 2), *y = make_random(N * ld_y, 3);
    float *x0 = make_zeros(N * in), *w0 = make_zeros(O * in), *y0 = make_zeros(N * O);
    double *before = to_double(y, N * ld_y);
    for (size_t n = 0; n < N; n++) memcpy(x0 + n * in, x + n * ld_x, in * sizeof *x);
    for (size_t o = 0; o < O; o++) memcpy(w0 + o * in, w + o * ld_w, in * sizeof *w);
    for (size_t n = 0; n < N; n++) memcpy(y0 + n * O, y + n * ld_y, O * sizeof *y);
    matmul_forward(pool, y0, x0, w0, N, O, in, 0.5f);
    matmul_forward_block(pool, y, ld_y, x, ld_x, w, ld_w, N, O, in, 0.5f);
    for (size_t n = 0; n < N; n++) {
        for (size_t o = 0; o < O; o++) assert_true(fabsf(y[n * ld_y + o] - y0[n * O + o]) < 1e-4f);
        for (size_t o = O; o < ld_y; o++) beside += (double)y[n * ld_y + o] != before[n * ld_y + o];
    }
    matmul_backward_weight(pool, w0, y0, x0, N, O, in);
    matmul_backward_weight_block(pool, w, ld_w, y, ld_y, x, ld_x, N, O, in);
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < in; i++) assert_true(fabsf(w[o * ld_w + i] - w0[o * in + i]) < 1e-3f);
    matmul_backward_input(pool, x0, y0, w0, N, O, in, 0.5f);
    matmul_backward_input_block(pool, x, ld_x, y, ld_y, w, ld_w, N, O, in, 0.5f);
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < in; i++) assert_true(fabsf(x[n * ld_x + i] - x0[n * in + i]) < 1e-2f);
    assert_true(beside == 0);
    free(x), free(w), free(y), free(x0), free(w0), free(y0), free(before);
    mf_pool_free(pool);
}

static void test_matmul(void **state) {
    (void)state;
    const size_t sizes[][3] = {{1, 1, 1},    {1, 37, 24},  {3, 5, 7},   {17, 33, 65},
                               {64, 48, 16}, {130, 7, 19}, {5, 200, 31}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t t = 0; t < 3; t++) {
            check_matmul(sizes[i][0], sizes[i][1], sizes[i][2], thread_counts[t]);
            check_matmul_blocks(sizes[i][0], sizes[i][1], sizes[i][2], thread_counts[t]);
        }
}

/* --- layer normalisation --- */

struct norm_twin {
    const double *x, *gain, *bias, *weights; /* gain NULL: plain */
    size_t N, D;
    double *y;
};

static double norm_twin(const void *context) {
    const struct norm_twin *t = context;
    for (size_t n = 0; n < t->N; n++) {
        const double *x = t->x + n * t->D;
        double mean = 0, variance = 0;
        for (size_t d = 0; d < t->D; d++) mean += x[d] / (double)t->D;
        for (size_t d = 0; d < t->D; d++) variance += (x[d] - mean) * (x[d] - mean) / (double)t->D;
        for (size_t d = 0; d < t->D; d++) {
            double plain = (x[d] - mean) / sqrt(variance + 1e-5);
            t->y[n * t->D + d] = t->gain ? plain * t->gain[d] + t->bias[d] : plain;
        }
    }
    return weighted_sum(t->y, t->weights, t->N * t->D);
}

static void check_layernorm(size_t N, size_t D, bool plain, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *gain = make_random(D, 2), *bias = make_random(D, 3),
          *dy = make_random(N * D, 4);
    float *y = make_zeros(N * D), *mean = make_zeros(N), *rstd = make_zeros(N);
    float *dx = make_random(N * D, 5), *dgain = make_random(D, 6), *dbias = make_random(D, 7);
    float *scratch = make_zeros((size_t)threads * 2 * D);
    double *dx0 = to_double(dx, N * D), *dgain0 = to_double(dgain, D), *dbias0 = to_double(dbias, D);
    double *x2 = to_double(x, N * D), *gain2 = to_double(gain, D), *bias2 = to_double(bias, D);
    double *w2 = to_double(dy, N * D), *y2 = calloc(N * D, sizeof *y2);
    struct norm_twin t = {x2, plain ? NULL : gain2, bias2, w2, N, D, y2};
    layernorm_forward(pool, y, mean, rstd, x, plain ? NULL : gain, plain ? NULL : bias, N, D);
    norm_twin(&t);
    assert_close("y", y, y2, N * D, 1e-5);
    layernorm_backward(pool, dx, plain ? NULL : dgain, plain ? NULL : dbias, dy, x, plain ? NULL : gain, mean,
                       rstd, scratch, N, D);
    for (size_t i = 0; i < N * D; i++) dx[i] = (float)((double)dx[i] - dx0[i]); /* it adds */
    assert_gradient("dx", dx, x2, N * D, norm_twin, &t);
    for (size_t d = 0; d < D; d++) {
        dgain[d] = (float)((double)dgain[d] - dgain0[d]);
        dbias[d] = (float)((double)dbias[d] - dbias0[d]);
    }
    if (!plain) {
        assert_gradient("dgain", dgain, gain2, D, norm_twin, &t);
        assert_gradient("dbias", dbias, bias2, D, norm_twin, &t);
    }
    layernorm_forward(pool, x, NULL, NULL, x, plain ? NULL : gain, plain ? NULL : bias, N, D);
    norm_twin(&t);
    assert_close("in place", x, y2, N * D, 1e-5);
    free(x), free(gain), free(bias), free(dy), free(y), free(mean), free(rstd), free(dx), free(dgain),
        free(dbias);
    free(scratch), free(dx0), free(dgain0), free(dbias0), free(x2), free(gain2), free(bias2), free(w2),
        free(y2);
    mf_pool_free(pool);
}

static void test_layernorm(void **state) {
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        check_layernorm(1, 2, false, thread_counts[t]);
        check_layernorm(5, 33, false, thread_counts[t]);
        check_layernorm(7, 64, true, thread_counts[t]);
    }
}

/* --- GELU --- */

struct gelu_twin {
    const double *x, *bias, *weights;
    size_t N, F;
    double *y;
};

static double gelu_twin(const void *context) {
    const struct gelu_twin *t = context;
    for (size_t i = 0; i < t->N * t->F; i++) {
        double u = t->x[i] + (t->bias ? t->bias[i % t->F] : 0);
        t->y[i] = u / 2 * (1 + erf(u / sqrt(2)));
    }
    return weighted_sum(t->y, t->weights, t->N * t->F);
}

static void check_gelu(size_t N, size_t F, bool biased, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * F, 1), *bias = make_random(F, 2), *dy = make_random(N * F, 3),
          *y = make_zeros(N * F);
    float *dx = make_zeros(N * F), *dbias = make_zeros(F), *scratch = make_zeros((size_t)threads * F);
    for (size_t i = 0; i < N * F; i++) x[i] *= 3; /* also where erf is flat */
    double *x2 = to_double(x, N * F), *bias2 = to_double(bias, F), *w2 = to_double(dy, N * F);
    double *y2 = calloc(N * F, sizeof *y2);
    struct gelu_twin t = {x2, biased ? bias2 : NULL, w2, N, F, y2};
    bias_gelu_forward(pool, y, x, biased ? bias : NULL, N, F);
    gelu_twin(&t);
    assert_close("y", y, y2, N * F, 1e-6);
    bias_gelu_backward(pool, dx, biased ? dbias : NULL, dy, x, biased ? bias : NULL, scratch, N, F);
    assert_gradient("dx", dx, x2, N * F, gelu_twin, &t);
    if (biased) assert_gradient("dbias", dbias, bias2, F, gelu_twin, &t);
    bias_gelu_backward(pool, dy, NULL, dy, x, biased ? bias : NULL, scratch, N, F);
    assert_memory_equal(dy, dx, N * F * sizeof *dx); /* in place */
    free(x), free(bias), free(dy), free(y), free(dx), free(dbias), free(scratch), free(x2), free(bias2),
        free(w2), free(y2);
    mf_pool_free(pool);
}

static void test_gelu(void **state) {
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        check_gelu(1, 1, true, thread_counts[t]);
        check_gelu(9, 37, true, thread_counts[t]);
        check_gelu(4, 50, false, thread_counts[t]);
    }
}

/* --- attention --- */

struct attention_twin {
    const double *qkv, *weights;
    const struct seqs *seqs;
    size_t D, H;
    double *out;
};

static double attention_twin(const void *context) {
    const struct attention_twin *t = context;
    size_t N = t->seqs->start[t->seqs->count], D = t->D, d = D / t->H;
    double p[256];
    memset(t->out, 0, N * D * sizeof *t->out);
    for (size_t q = 0; q < t->seqs->count; q++)
        for (size_t i = t->seqs->start[q]; i < t->seqs->start[q + 1]; i++)
            for (size_t h = 0; h < t->H; h++) {
                double sum = 0, max = -INFINITY;
                size_t first = t->seqs->start[q];
                for (size_t j = first; j <= i; j++) {
                    double dot = 0;
                    for (size_t k = 0; k < d; k++)
                        dot += t->qkv[i * 3 * D + h * d + k] * t->qkv[j * 3 * D + D + h * d + k];
                    p[j - first] = dot / sqrt((double)d);
                    if (p[j - first] > max) max = p[j - first];
                }
                for (size_t j = first; j <= i; j++) sum += p[j - first] = exp(p[j - first] - max);
                for (size_t j = first; j <= i; j++)
                    for (size_t k = 0; k < d; k++)
                        t->out[i * D + h * d + k] +=
                            p[j - first] / sum * t->qkv[j * 3 * D + 2 * D + h * d + k];
            }
    return weighted_sum(t->out, t->weights, N * D);
}

static void check_attention(const size_t *start, size_t count, size_t D, size_t H, int threads,
                            bool gradient) {
    struct mf_pool *pool = make_pool(threads);
    struct seqs seqs = {count, start};
    size_t N = start[count];
    float *qkv = make_random(N * 3 * D, 1), *dout = make_random(N * D, 2), *out = make_zeros(N * D),
          *lse = make_zeros(N * H);
    float *dqkv = make_random(N * 3 * D, 3), *scratch = make_zeros(attention_scratch(threads, N, D / H));
    double *qkv2 = to_double(qkv, N * 3 * D), *w2 = to_double(dout, N * D),
           *out2 = calloc(N * D, sizeof *out2);
    struct attention_twin t = {qkv2, w2, &seqs, D, H, out2};
    attention_forward(pool, out, lse, qkv, &seqs, D, H, scratch);
    attention_twin(&t);
    assert_close("out", out, out2, N * D, 2e-5);
    attention_backward(pool, dqkv, dout, qkv, out, lse, &seqs, D, H, scratch);
    if (gradient) assert_gradient("dqkv", dqkv, qkv2, N * 3 * D, attention_twin, &t);
    free(qkv), free(dout), free(out), free(lse), free(dqkv), free(scratch), free(qkv2), free(w2), free(out2);
    mf_pool_free(pool);
}

static void test_attention(void **state) {
    (void)state;
    const size_t packed[] = {0, 1, 6, 6 + 9}, one[] = {0, 1}, long_ones[] = {0, 130, 200};
    for (size_t t = 0; t < 3; t++) {
        check_attention(packed, 3, 12, 3, thread_counts[t], true);
        check_attention(one, 1, 4, 1, thread_counts[t], true);
        check_attention(long_ones, 2, 16, 2, thread_counts[t], false); /* more than one block of rows */
    }
    check_attention((const size_t[]){0, 70}, 1, 4, 2, 2, true);
}

/* One row with cached keys and values equals the last row of the whole. */
static void test_attention_step(void **state) {
    (void)state;
    const size_t N = 21, D = 12, H = 3, start[] = {0, N};
    struct seqs seqs = {1, start};
    struct mf_pool *pool = make_pool(2);
    float *qkv = make_random(N * 3 * D, 1), *out = make_zeros(N * D), *row = make_zeros(D);
    float *keys = make_zeros(N * D), *values = make_zeros(N * D),
          *scratch = make_zeros(attention_scratch(2, N, D / H) + H * N);
    attention_forward(pool, out, NULL, qkv, &seqs, D, H, scratch);
    for (size_t n = 0; n < N; n++) {
        memcpy(keys + n * D, qkv + n * 3 * D + D, D * sizeof *keys);
        memcpy(values + n * D, qkv + n * 3 * D + 2 * D, D * sizeof *values);
    }
    attention_step(pool, row, qkv + (N - 1) * 3 * D, keys, values, N, D, H, scratch);
    double *expected = to_double(out + (N - 1) * D, D);
    assert_close("row", row, expected, D, 1e-5);
    free(qkv), free(out), free(row), free(keys), free(values), free(scratch), free(expected);
    mf_pool_free(pool);
}

/* --- embedding, residual, dropout --- */

static void test_positions(void **state) {
    (void)state;
    const size_t S = 50, D = 10;
    float *pe = make_zeros(S * D);
    double *expected = calloc(S * D, sizeof *expected);
    positions_fill(pe, S, D);
    for (size_t s = 0; s < S; s++)
        for (size_t d = 0; d < D; d++) {
            double angle = (double)s / pow(10000, (double)(d - d % 2) / (double)D);
            expected[s * D + d] = d % 2 ? cos(angle) : sin(angle);
        }
    assert_close("pe", pe, expected, S * D, 1e-6);
    free(pe), free(expected);
}

/* What dropout does to element i of an array. */
static double mask_of(float p, uint64_t key, size_t i) {
    float mask;
    if (p == 0) return 1;
    dropout_mask(&mask, p, key, i, 1);
    return (double)mask;
}

static void check_embedding(float p, int threads) {
    const size_t V = 9, D = 6, start[] = {0, 4, 11}, N = 11;
    const uint32_t tokens[] = {2, 8, 8, 0, 2, 5, 5, 5, 0, 1, 8};
    struct seqs seqs = {2, start};
    struct mf_pool *pool = make_pool(threads);
    float *table = make_random(V * D, 1), *pe = make_random(N * D, 2), *x = make_zeros(N * D),
          *dx = make_random(N * D, 3);
    float *dtable = make_random(V * D, 4);
    double *expected = calloc(N * D, sizeof *expected), *gradient = to_double(dtable, V * D);
    for (size_t n = 0; n < N; n++)
        for (size_t d = 0; d < D; d++) {
            size_t position = n < 4 ? n : n - 4;
            double mask = mask_of(p, 77, n * D + d);
            expected[n * D + d] = mask * ((double)table[tokens[n] * D + d] + (double)pe[position * D + d]);
            if (tokens[n] != 0) gradient[tokens[n] * D + d] += mask * (double)dx[n * D + d];
        }
    embedding_forward(pool, x, tokens, &seqs, table, pe, p, 77, D);
    assert_close("x", x, expected, N * D, 1e-6);
    embedding_backward(pool, dtable, dx, tokens, &seqs, p, 77, D);
    assert_close("dtable", dtable, gradient, V * D, 1e-6);
    free(table), free(pe), free(x), free(dx), free(dtable), free(expected), free(gradient);
    mf_pool_free(pool);
}

static void test_embedding(void **state) {
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        check_embedding(0, thread_counts[t]);
        check_embedding(0.4f, thread_counts[t]);
    }
}

static void check_residual(float p, bool biased, int threads) {
    const size_t N = 7, D = 300;
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *y = make_random(N * D, 2), *bias = make_random(D, 3),
          *dx = make_random(N * D, 4);
    float *dy = make_zeros(N * D), *dbias = make_zeros(D), *scratch = make_zeros((size_t)threads * D);
    double *expected = to_double(x, N * D), *expected_dy = calloc(N * D, sizeof *expected_dy);
    double *expected_dbias = calloc(D, sizeof *expected_dbias);
    for (size_t i = 0; i < N * D; i++) {
        double mask = mask_of(p, 99, i);
        expected[i] += mask * ((double)y[i] + (biased ? (double)bias[i % D] : 0));
        expected_dy[i] = mask * (double)dx[i];
        expected_dbias[i % D] += expected_dy[i];
    }
    residual_forward(pool, x, y, biased ? bias : NULL, p, 99, N, D);
    assert_close("x", x, expected, N * D, 1e-6);
    residual_backward(pool, dy, biased ? dbias : NULL, dx, p, 99, scratch, N, D);
    assert_close("dy", dy, expected_dy, N * D, 1e-6);
    if (biased) assert_close("dbias", dbias, expected_dbias, D, 1e-5);
    free(x), free(y), free(bias), free(dx), free(dy), free(dbias), free(scratch);
    free(expected), free(expected_dy), free(expected_dbias);
    mf_pool_free(pool);
}

static void test_residual(void **state) {
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        check_residual(0, true, thread_counts[t]);
        check_residual(0.3f, true, thread_counts[t]);
        check_residual(0.3f, false, thread_counts[t]);
    }
}

/* A share p is dropped, the rest is scaled up; pieces of an array get the masks of the whole; keys differ. */
static void test_dropout(void **state) {
    (void)state;
    enum { N = 200 };
    float mask[N], part[N], other[N];
    size_t dropped = 0, same = 0, total = 0;
    for (uint64_t key = 0; key < 200; key++) {
        dropout_mask(mask, 0.25f, key, 0, N);
        dropout_mask(part, 0.25f, key, 51, 100);
        dropout_mask(other, 0.25f, key + 1, 0, N);
        assert_memory_equal(mask + 51, part, 100 * sizeof *mask);
        for (size_t i = 0; i < N; i++) {
            assert_true(mask[i] == 0 || fabsf(mask[i] - 1 / 0.75f) < 1e-6f);
            dropped += mask[i] == 0;
            same += mask[i] == other[i];
            total++;
        }
    }
    assert_true(fabs((double)dropped / (double)total - 0.25) < 0.01);
    assert_true(fabs((double)same / (double)total - 0.625) < 0.02); /* 1/4^2 + 3/4^2 when independent */
}

/* --- loss --- */

struct loss_twin {
    const double *logits;
    const uint32_t *targets;
    size_t N, V;
};

static double loss_twin(const void *context) {
    const struct loss_twin *t = context;
    double total = 0;
    for (size_t n = 0; n < t->N; n++) {
        double sum = 0;
        for (size_t v = 0; v < t->V; v++) sum += exp(t->logits[n * t->V + v]);
        if (t->targets[n] != LOSS_IGNORE) total += log(sum) - t->logits[n * t->V + t->targets[n]];
    }
    return 0.5 * total;
}

static void check_loss(size_t V, int threads) {
    const size_t N = 5;
    const uint32_t targets[] = {1, 0, (uint32_t)V - 1, 1, 0};
    struct mf_pool *pool = make_pool(threads);
    float *logits = make_random(N * V, 1);
    double *logits2 = to_double(logits, N * V), losses[5], again[5], sum = 0;
    struct loss_twin t = {logits2, targets, N, V};
    cross_entropy_backward(pool, losses, logits, targets, 0.5f, N, V);
    for (size_t n = 0; n < N; n++) sum += losses[n];
    assert_true(fabs(sum - 2 * loss_twin(&t)) < 1e-5);
    assert_true(losses[1] == 0 && losses[4] == 0);
    for (size_t P = 1; P <= V; P += 1 + V / 5) {
        float *whole = make_random(N * V, 1);
        losses_in_pieces(pool, again, whole, targets, N, V, P);
        for (size_t n = 0; n < N; n++) assert_true(fabs(losses[n] - again[n]) < 1e-6);
        free(whole);
    }
    assert_gradient("dlogits", logits, logits2, N * V, loss_twin, &t);
    for (size_t v = 0; v < V; v++) assert_true(logits[V + v] == 0);
    free(logits), free(logits2);
    mf_pool_free(pool);
}

static void test_loss(void **state) {
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        check_loss(2, thread_counts[t]);
        check_loss(77, thread_counts[t]);
    }
}

/* The head without its logits: loss of h [N,D] against an embedding [V,D]. */
struct head_twin {
    const double *h, *embedding;
    const uint32_t *targets;
    size_t N, V, D;
};

static double head_twin(const void *context) {
    const struct head_twin *t = context;
    double loss = 0;
    for (size_t n = 0; n < t->N; n++) {
        double sum = 0, at_target = 0;
        for (size_t v = 0; v < t->V; v++) {
            double logit = 0;
            for (size_t d = 0; d < t->D; d++) logit += t->h[n * t->D + d] * t->embedding[v * t->D + d];
            sum += exp(logit);
            if (v == t->targets[n]) at_target = logit;
        }
        if (t->targets[n] != LOSS_IGNORE) loss += 0.5 * (log(sum) - at_target);
    }
    return loss;
}

static void check_loss_input(size_t P, int threads) {
    enum { N = 5, V = 23, D = 7 };
    const uint32_t targets[N] = {1, 0, V - 1, 11, 0};
    struct mf_pool *pool = make_pool(threads);
    float *h = make_random(N * D, 1), *embedding = make_random(V * D, 2), *logits = make_zeros(N * P);
    float *mixed = make_random(N * D, 3), maximum[N], at_target[N];
    for (size_t i = 0; i < N * D; i++) h[i] *= 4; /* so that later pieces raise the maximum */
    double *h2 = to_double(h, N * D), *embedding2 = to_double(embedding, V * D), sum[N], losses[N], total = 0;
    struct loss_so_far l = {maximum, at_target, sum};
    struct head_twin t = {h2, embedding2, targets, N, V, D};
    for (size_t v = 0; v < V; v += P) {
        size_t columns = V - v < P ? V - v : P;
        matmul_forward(pool, logits, h, embedding + v * D, N, columns, D, 0);
        cross_entropy_piece(pool, &l, logits, targets, v, N, columns, mixed, D);
        matmul_backward_input(pool, mixed, logits, embedding + v * D, N, columns, D, v > 0);
    }
    cross_entropy_losses(&l, losses, targets, N);
    for (size_t n = 0; n < N; n++) total += 0.5 * losses[n];
    assert_true(fabs(total - head_twin(&t)) < 1e-5);
    cross_entropy_input(pool, &l, mixed, targets, embedding, targets, 0.5f, N, D);
    assert_gradient("dh", mixed, h2, N * D, head_twin, &t);
    free(h), free(embedding), free(logits), free(mixed), free(h2), free(embedding2);
    mf_pool_free(pool);
}

static void test_loss_input(void **state) {
    (void)state;
    const size_t pieces[] = {1, 5, 22, 23};
    for (size_t i = 0; i < 4; i++)
        for (size_t t = 0; t < 3; t++) check_loss_input(pieces[i], thread_counts[t]);
}

/* Logits far apart, and all equal, give finite losses. */
static void test_loss_extremes(void **state) {
    (void)state;
    struct mf_pool *pool = make_pool(1);
    float logits[] = {1e30f, -1e30f, 0, 5, 5, 5};
    const uint32_t targets[] = {1, 2};
    double losses[2];
    for (size_t P = 1; P <= 3; P++) {
        losses_in_pieces(pool, losses, logits, targets, 2, 3, P);
        assert_true(losses[0] > 1e30 && isfinite(losses[0]));
        assert_true(fabs(losses[1] - log(3)) < 1e-6);
    }
    mf_pool_free(pool);
}

/* --- vectors --- */

static void test_vector(void **state) {
    (void)state;
    for (size_t n = 1; n < 100; n += 7) {
        float *x = make_random(n, n), *y = make_random(n, n + 1), *z = make_zeros(n);
        double dot = 0, max = -INFINITY, sum = 0;
        for (size_t i = 0; i < n; i++) {
            dot += (double)x[i] * (double)y[i];
            if ((double)x[i] > max) max = (double)x[i];
        }
        assert_true(fabs(vector_dot(x, y, n) - dot) < 1e-5);
        assert_true((double)vector_max(x, n) == max);
        double total = vector_exp(z, x, -0.5f, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(fabs((double)z[i] / exp((double)x[i] - 0.5) - 1) < 1e-6);
            sum += (double)z[i];
        }
        assert_true(fabs(total - sum) < 1e-6 * sum);
        memcpy(z, y, n * sizeof *z);
        vector_add(z, x, 2, n);
        for (size_t i = 0; i < n; i++) assert_true(fabsf(z[i] - (y[i] + 2 * x[i])) < 1e-6f);
        memcpy(z, x, n * sizeof *z);
        softmax(z, n);
        sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)z[i];
        assert_true(fabs(sum - 1) < 1e-6);
        free(x), free(y), free(z);
    }
}

static void test_exp(void **state) {
    (void)state;
    for (double x = -87; x < 88; x += 0.0137)
        assert_true(fabs((double)fast_exp((float)x) / exp((double)(float)x) - 1) < 3e-7);
    assert_true(fast_exp(-100) == 0);
    assert_true(isfinite(fast_exp(1000)));
    assert_true(isnan(fast_exp(NAN)));
}

/* The same number of threads gives the same bytes. */
static void test_reproducible(void **state) {
    (void)state;
    const size_t N = 50, D = 40;
    for (size_t t = 0; t < 3; t++) {
        struct mf_pool *pool = make_pool(thread_counts[t]);
        float *x = make_random(N * D, 1), *w = make_random(D * D, 2), *first = make_zeros(D * D),
              *second = make_zeros(D * D);
        matmul_backward_weight(pool, first, x, x, N, D, D);
        matmul_backward_weight(pool, second, x, x, N, D, D);
        assert_memory_equal(first, second, D * D * sizeof *first);
        free(x), free(w), free(first), free(second);
        mf_pool_free(pool);
    }
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),         cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_gelu),           cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_step), cmocka_unit_test(test_positions),
        cmocka_unit_test(test_embedding),      cmocka_unit_test(test_residual),
        cmocka_unit_test(test_dropout),        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_loss_extremes),  cmocka_unit_test(test_loss_input),
        cmocka_unit_test(test_vector),         cmocka_unit_test(test_exp),
        cmocka_unit_test(test_reproducible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
