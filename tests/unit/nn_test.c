/* Every kernel against a naive loop in double, and every backward pass against central differences of that
 * loop, with dropout on; what is overwritten and what is added to. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/exp.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/loss.h"
#include "nn/matmul.h"
#include "nn/mean.h"
#include "nn/residual.h"
#include "nn/vector.h"

#define MOST_THREADS 4

/* --- products --- */

/* beta 0 overwrites whatever was there. */
static void check_overwrites(struct mf_pool *pool, const float *x, const float *w, size_t N, size_t O,
                             size_t in) {
    float *over = make_poison(N * O), *added = make_zeros(N * O), *dover = make_poison(N * in),
          *dadded = make_zeros(N * in);
    matmul_forward(pool, over, x, w, N, O, in, 0);
    matmul_forward(pool, added, x, w, N, O, in, 1);
    assert_memory_equal(over, added, N * O * sizeof *over);
    matmul_backward_input(pool, dover, added, w, N, O, in, 0);
    matmul_backward_input(pool, dadded, added, w, N, O, in, 1);
    assert_memory_equal(dover, dadded, N * in * sizeof *dover);
    FREE_ALL(over, added, dover, dadded);
}

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
    check_overwrites(pool, x, w, N, O, in);
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
    FREE_ALL(x, w, y, dx, dw, expected_y, expected_dx, expected_dw);
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
    FREE_ALL(x, w, y, x0, w0, y0, before);
    mf_pool_free(pool);
}

static void test_matmul(void **state) {
    (void)state;
    const size_t sizes[][3] = {{1, 1, 1},    {1, 37, 24},  {3, 5, 7},   {17, 33, 65},
                               {64, 48, 16}, {130, 7, 19}, {5, 200, 31}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            check_matmul(sizes[i][0], sizes[i][1], sizes[i][2], threads);
            check_matmul_blocks(sizes[i][0], sizes[i][1], sizes[i][2], threads);
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
    FREE_ALL(x, gain, bias, dy, y, mean, rstd, dx, dgain, dbias, scratch, dx0, dgain0, dbias0, x2, gain2,
             bias2, w2, y2);
    mf_pool_free(pool);
}

static void test_layernorm(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_layernorm(1, 2, false, threads);
        check_layernorm(5, 33, false, threads);
        check_layernorm(7, 64, true, threads);
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
    float *dx = make_poison(N * F), *dbias = make_random(F, 4), *scratch = make_poison((size_t)threads * F);
    double *before = to_double(dbias, F);
    for (size_t i = 0; i < N * F; i++) x[i] *= 3; /* also where erf is flat */
    double *x2 = to_double(x, N * F), *bias2 = to_double(bias, F), *w2 = to_double(dy, N * F);
    double *y2 = calloc(N * F, sizeof *y2);
    struct gelu_twin t = {x2, biased ? bias2 : NULL, w2, N, F, y2};
    bias_gelu_forward(pool, y, x, biased ? bias : NULL, N, F);
    gelu_twin(&t);
    assert_close("y", y, y2, N * F, 1e-6);
    bias_gelu_backward(pool, dx, biased ? dbias : NULL, dy, x, biased ? bias : NULL, scratch, N, F);
    assert_gradient("dx", dx, x2, N * F, gelu_twin, &t);
    for (size_t f = 0; f < F; f++) dbias[f] = (float)((double)dbias[f] - before[f]); /* it adds */
    if (biased) assert_gradient("dbias", dbias, bias2, F, gelu_twin, &t);
    bias_gelu_backward(pool, dy, NULL, dy, x, biased ? bias : NULL, scratch, N, F);
    assert_memory_equal(dy, dx, N * F * sizeof *dx); /* in place */
    FREE_ALL(x, bias, dy, y, dx, dbias, scratch, before, x2, bias2, w2, y2);
    mf_pool_free(pool);
}

static void test_gelu(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_gelu(1, 1, true, threads);
        check_gelu(9, 37, true, threads);
        check_gelu(4, 50, false, threads);
    }
}

/* --- attention --- */

struct attention_twin {
    const double *qkv, *weights;
    const size_t *start;
    size_t count;
    struct heads heads;
    double *out, *lse; /* [N,H d], [N,H] */
};

static double attention_twin(const void *context) {
    const struct attention_twin *t = context;
    size_t H = t->heads.H, K = t->heads.K, d = t->heads.d, ld = (H + 2 * K) * d;
    double p[160];
    for (size_t s = 0; s < t->count; s++)
        for (size_t i = t->start[s]; i < t->start[s + 1]; i++)
            for (size_t h = 0; h < H; h++) {
                const double *q = t->qkv + i * ld + h * d, *keys = t->qkv + (H + h * K / H) * d;
                double *out = t->out + (i * H + h) * d, sum = 0;
                for (size_t j = t->start[s]; j <= i; j++) {
                    double e = exp(weighted_sum(q, keys + j * ld, d) / sqrt((double)d));
                    p[j - t->start[s]] = e;
                    sum += e;
                }
                for (size_t k = 0; k < d; k++) {
                    out[k] = 0;
                    for (size_t j = t->start[s]; j <= i; j++)
                        out[k] += p[j - t->start[s]] / sum * keys[j * ld + K * d + k];
                }
                t->lse[i * H + h] = log(sum);
            }
    return weighted_sum(t->out, t->weights, t->start[t->count] * H * d);
}

/* Whole rows of gradients, with queries and keys `sharp` times as long. */
static void check_attention(const size_t *start, size_t count, struct heads heads, float sharp, int threads) {
    struct mf_pool *pool = make_pool(threads);
    struct seqs seqs = {count, start};
    size_t N = start[count], D = heads.H * heads.d, ld = heads_columns(heads), longest = 0;
    for (size_t s = 0; s < count; s++)
        if (start[s + 1] - start[s] > longest) longest = start[s + 1] - start[s];
    float *qkv = make_random(N * ld, 1), *dout = make_random(N * D, 2), *out = make_poison(N * D);
    float *lse = make_poison(N * heads.H), *dqkv = make_poison(N * ld);
    float *scratch = make_poison(attention_scratch(threads, longest, heads.d));
    for (size_t i = 0; i < N * ld; i++)
        if (i % ld < (heads.H + heads.K) * heads.d) qkv[i] *= sharp;
    double *qkv2 = to_double(qkv, N * ld), *dout2 = to_double(dout, N * D);
    double *out2 = calloc(N * D, sizeof *out2), *lse2 = calloc(N * heads.H, sizeof *lse2);
    struct attention_twin t = {qkv2, dout2, start, count, heads, out2, lse2};
    attention_forward(pool, out, lse, qkv, &seqs, heads, scratch);
    attention_twin(&t);
    assert_close("out", out, out2, N * D, 2e-5);
    assert_close("lse", lse, lse2, N * heads.H, 1e-5);
    attention_backward(pool, dqkv, dout, qkv, out, lse, &seqs, heads, scratch);
    assert_gradient("dqkv", dqkv, qkv2, N * ld, attention_twin, &t);
    FREE_ALL(qkv, dout, out, lse, dqkv, scratch, qkv2, dout2, lse2, out2);
    mf_pool_free(pool);
}

static void test_attention(void **state) {
    (void)state;
    const size_t packed[] = {0, 3, 4, 9, 16}, block[] = {0, 64, 65}, over[] = {0, 1, 66}, blocks[] = {0, 130};
    const struct heads one = {1, 1, 2};
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_attention(packed, 4, (struct heads){2, 2, 3}, 1, threads);
        check_attention(packed, 4, (struct heads){3, 3, 1}, 1, threads); /* heads of one column */
        check_attention(packed, 4, (struct heads){1, 1, 10}, 3, threads);
    }
    check_attention(block, 2, one, 1, 2); /* one block of rows exactly */
    check_attention(over, 2, one, 1, 2);  /* and one row more */
    check_attention(blocks, 1, one, 1, 2);
}

/* Query heads that share key heads: all one, pairs, and a prime number of each. */
static void test_attention_grouped(void **state) {
    (void)state;
    const size_t packed[] = {0, 3, 4, 9, 16}, single[] = {0, 1}, over[] = {0, 1, 66};
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_attention(packed, 4, (struct heads){4, 1, 2}, 1, threads);
        check_attention(packed, 4, (struct heads){6, 3, 6}, 2, threads);
        check_attention(packed, 4, (struct heads){7, 1, 10}, 1, threads);
        check_attention(single, 1, (struct heads){15, 3, 2}, 1, threads);
    }
    check_attention(over, 2, (struct heads){4, 2, 2}, 1, 2);
}

/* Each row of a growing sequence by itself is the row of the whole. */
static void check_attention_step(struct heads heads, int threads) {
    const size_t N = 67, S = 70, H = heads.H, K = heads.K, d = heads.d, D = H * d, start[] = {0, N};
    const size_t ld = heads_columns(heads);
    struct seqs seqs = {1, start};
    struct mf_pool *pool = make_pool(threads);
    float *qkv = make_random(N * ld, 1), *whole = make_poison(N * D), *row = make_poison(D);
    float *keys = make_poison(S * K * d), *values = make_poison(S * K * d), *step = make_poison(H * N);
    float *scratch = make_poison(attention_scratch(threads, N, d));
    attention_forward(pool, whole, NULL, qkv, &seqs, heads, scratch);
    double *expected = to_double(whole, N * D);
    for (size_t n = 0; n < N; n++) {
        for (size_t h = 0; h < K; h++) {
            memcpy(keys + (h * S + n) * d, qkv + n * ld + (H + h) * d, d * sizeof *keys);
            memcpy(values + (h * S + n) * d, qkv + n * ld + (H + K + h) * d, d * sizeof *values);
        }
        attention_step(pool, row, qkv + n * ld, keys, values, n + 1, S, heads, step);
        assert_close("row", row, expected + n * D, D, 1e-5);
        for (size_t i = 0; i < D; i++) row[i] = NAN;
    }
    FREE_ALL(qkv, whole, row, keys, values, step, scratch, expected);
    mf_pool_free(pool);
}

static void test_attention_step(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_attention_step((struct heads){5, 5, 3}, threads);
        check_attention_step((struct heads){4, 1, 2}, threads);
        check_attention_step((struct heads){6, 3, 10}, threads);
    }
}

/* --- embedding, residual, dropout --- */

static void test_positions(void **state) {
    (void)state;
    const size_t S = 50, D = 10;
    float *pe = make_zeros(S * D);
    double *expected = calloc(S * D, sizeof *expected);
    positions_fill(pe, 0, S, D, 0.7);
    for (size_t s = 0; s < S; s++)
        for (size_t d = 0; d < D; d++) {
            double angle = (double)s / pow(10000, (double)(d - d % 2) / (double)D);
            expected[s * D + d] = 0.7 * (d % 2 ? cos(angle) : sin(angle));
        }
    assert_close("pe", pe, expected, S * D, 1e-6);
    FREE_ALL(pe, expected);
}

/* The mask of a whole array in double, from its definition. */
static double *make_mask(size_t n, struct dropout dropout) {
    double *mask = calloc(n + 1, sizeof *mask);
    assert_non_null(mask);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = dropout.first + i;
        uint64_t half = mf_rng_at(dropout.key, at / 2) >> (at % 2 ? 32 : 0) & 0xffffffff;
        mask[i] = (double)half < (double)dropout.p * 0x1p32 ? 0 : 1 / (1 - (double)dropout.p);
    }
    return mask;
}

struct embedding_twin {
    const double *table, *pe, *mask, *weights;
    const uint32_t *tokens;
    const size_t *start;
    size_t count, D;
    double *x;
};

static double embedding_twin(const void *context) {
    const struct embedding_twin *t = context;
    size_t D = t->D;
    for (size_t s = 0; s < t->count; s++)
        for (size_t n = t->start[s]; n < t->start[s + 1]; n++)
            for (size_t d = 0; d < D; d++)
                t->x[n * D + d] =
                    t->mask[n * D + d] * (t->table[t->tokens[n] * D + d] + t->pe[(n - t->start[s]) * D + d]);
    return weighted_sum(t->x, t->weights, t->start[t->count] * D);
}

static void check_embedding(size_t D, float p, int64_t pad, int threads) {
    enum { V = 5, N = 11 };
    const size_t start[] = {0, 1, 7, N};
    const uint32_t tokens[N] = {4, 1, 1, 0, 3, 4, 0, 2, 1, 0, 4};
    const struct dropout dropout = {p, 1234, 2 * D + (size_t)threads};
    struct seqs seqs = {3, start};
    struct mf_pool *pool = make_pool(threads);
    float *table = make_random(V * D, 1), *pe = make_random(N * D, 2), *dx = make_random(N * D, 3);
    float *x = make_poison(N * D), *dtable = make_random(V * D, 4);
    double *table2 = to_double(table, V * D), *pe2 = to_double(pe, N * D), *dx2 = to_double(dx, N * D);
    double *mask = make_mask(N * D, dropout), *x2 = calloc(N * D, sizeof *x2),
           *before = to_double(dtable, V * D);
    struct embedding_twin t = {table2, pe2, mask, dx2, tokens, start, 3, D, x2};
    embedding_forward(pool, x, tokens, &seqs, table, pe, dropout, D);
    embedding_twin(&t);
    assert_close("x", x, x2, N * D, 1e-6);
    embedding_backward(pool, dtable, dx, tokens, &seqs, dropout, pad, D);
    for (size_t i = 0; i < V * D; i++) dtable[i] = (float)((double)dtable[i] - before[i]); /* it adds */
    for (int64_t v = 0; v < V; v++) {
        float *row = dtable + (size_t)v * D;
        if (v != pad) assert_gradient("dtable", row, table2 + (size_t)v * D, D, embedding_twin, &t);
        for (size_t d = 0; v == pad && d < D; d++) assert_true(row[d] == 0); /* PAD's does not learn */
    }
    embedding_backward(pool, NULL, dx, tokens, &seqs, dropout, pad, D); /* frozen */
    FREE_ALL(table, pe, dx, x, dtable, table2, pe2, dx2, mask, x2, before);
    mf_pool_free(pool);
}

static void test_embedding(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        for (int dropping = 0; dropping < 2; dropping++) {
            check_embedding(1, dropping ? 0.5f : 0, 0, threads);
            check_embedding(7, dropping ? 0.5f : 0, -1, threads); /* pairs of the mask lie across rows */
            check_embedding(277, dropping ? 0.1f : 0, 4, threads);
        }
}

struct residual_twin {
    const double *x, *y, *bias, *mask, *weights; /* bias NULL: none */
    size_t N, D;
    double *sum;
};

static double residual_twin(const void *context) {
    const struct residual_twin *t = context;
    for (size_t i = 0; i < t->N * t->D; i++)
        t->sum[i] = t->x[i] + t->mask[i] * (t->y[i] + (t->bias ? t->bias[i % t->D] : 0));
    return weighted_sum(t->sum, t->weights, t->N * t->D);
}

static void check_residual(size_t N, size_t D, float p, bool biased, int threads) {
    const struct dropout dropout = {p, 4321, biased ? 0 : 5 * D + 1};
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *y = make_random(N * D, 2), *bias = make_random(D, 3);
    float *dx = make_random(N * D, 4), *dy = make_poison(N * D), *dbias = make_random(D, 5);
    float *scratch = make_poison((size_t)threads * D);
    double *x2 = to_double(x, N * D), *y2 = to_double(y, N * D), *bias2 = to_double(bias, D);
    double *dx2 = to_double(dx, N * D), *before = to_double(dbias, D), *mask = make_mask(N * D, dropout);
    double *sum = calloc(N * D, sizeof *sum);
    struct residual_twin t = {x2, y2, biased ? bias2 : NULL, mask, dx2, N, D, sum};
    residual_forward(pool, x, y, biased ? bias : NULL, dropout, N, D);
    residual_twin(&t);
    assert_close("x", x, sum, N * D, 1e-6);
    residual_backward(pool, dy, biased ? dbias : NULL, dx, dropout, scratch, N, D);
    assert_gradient("dy", dy, y2, N * D, residual_twin, &t);
    for (size_t d = 0; d < D; d++) dbias[d] = (float)((double)dbias[d] - before[d]); /* it adds */
    if (biased) assert_gradient("dbias", dbias, bias2, D, residual_twin, &t);
    residual_backward(pool, dx, NULL, dx, dropout, NULL, N, D); /* in place, frozen bias */
    assert_memory_equal(dx, dy, N * D * sizeof *dx);
    FREE_ALL(x, y, bias, dx, dy, dbias, scratch, x2, y2, bias2, dx2, before, mask, sum);
    mf_pool_free(pool);
}

struct mean_twin {
    const double *y, *a, *b, *weights; /* a, b NULL: none */
    size_t N, D;
    double *mean;
};

static double mean_twin(const void *context) {
    const struct mean_twin *t = context;
    for (size_t i = 0; i < t->N * t->D; i++)
        t->mean[i] = (t->y[i] + (t->a ? t->a[i % t->D] : 0) + (t->b ? t->b[i % t->D] : 0)) / 2;
    return weighted_sum(t->mean, t->weights, t->N * t->D);
}

static void check_mean(size_t N, size_t D, bool biased, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *y = make_random(N * D, 1), *a = make_random(D, 2), *b = make_random(D, 3);
    float *dy = make_random(N * D, 4), *da = make_random(D, 5);
    double *y2 = to_double(y, N * D), *a2 = to_double(a, D), *b2 = to_double(b, D),
           *dy2 = to_double(dy, N * D);
    double *before = to_double(da, D), *mean = calloc(N * D, sizeof *mean);
    struct mean_twin t = {y2, biased ? a2 : NULL, biased ? b2 : NULL, dy2, N, D, mean};
    mean_twin(&t);
    mean_forward(pool, y, biased ? a : NULL, biased ? b : NULL, N, D);
    assert_close("mean", y, mean, N * D, 1e-6);
    mean_backward(pool, dy, biased ? da : NULL, N, D);
    assert_gradient("dy", dy, y2, N * D, mean_twin, &t);
    for (size_t d = 0; d < D; d++) da[d] = (float)((double)da[d] - before[d]); /* it adds */
    if (biased) assert_gradient("da", da, a2, D, mean_twin, &t);
    FREE_ALL(y, a, b, dy, da, y2, a2, b2, dy2, before, mean);
    mf_pool_free(pool);
}

static void test_mean(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_mean(1, 1, true, threads);
        check_mean(7, 5, false, threads);
        check_mean(3, 259, true, threads);
    }
}

static void test_residual(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_residual(1, 1, 0, true, threads);
        check_residual(6, 5, 0.4f, true, threads); /* pairs of the mask lie across rows */
        check_residual(3, 259, 0.4f, false, threads);
        check_residual(3, 259, 0, true, threads);
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
    const uint32_t targets[] = {1, LOSS_IGNORE, (uint32_t)V - 1, 0, LOSS_IGNORE};
    struct mf_pool *pool = make_pool(threads);
    float *logits = make_random(N * V, 1);
    double *logits2 = to_double(logits, N * V), losses[5], again[5], sum = 0;
    struct loss_twin t = {logits2, targets, N, V};
    cross_entropy_backward(pool, losses, logits, targets, 0.5f, N, V);
    for (size_t n = 0; n < N; n++) sum += losses[n];
    assert_true(fabs(sum - 2 * loss_twin(&t)) < 1e-5);
    assert_true(losses[1] == 0 && losses[3] > 0 && losses[4] == 0);
    for (size_t P = 1; P <= V; P += 1 + V / 5) {
        float *whole = make_random(N * V, 1);
        losses_in_pieces(pool, again, whole, targets, N, V, P);
        for (size_t n = 0; n < N; n++) assert_true(fabs(losses[n] - again[n]) < 1e-6);
        free(whole);
    }
    assert_gradient("dlogits", logits, logits2, N * V, loss_twin, &t);
    for (size_t v = 0; v < V; v++) assert_true(logits[V + v] == 0);
    FREE_ALL(logits, logits2);
    mf_pool_free(pool);
}

static void test_loss(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_loss(2, threads);
        check_loss(77, threads);
    }
}

/* Vocabularies of more than one block: rows are summed in pieces. */
static void test_loss_blocks(void **state) {
    (void)state;
    enum { N = 4, V = 2051 };
    const uint32_t targets[N] = {V - 1, LOSS_IGNORE, 1024, 0};
    struct mf_pool *pool = make_pool(3);
    float *logits = make_random(N * V, 1);
    double *logits2 = to_double(logits, N * V), losses[N], again[N], sum = 0, gradient = 0;
    struct loss_twin t = {logits2, targets, N, V};
    losses_in_pieces(pool, losses, logits, targets, N, V, 1024);
    for (size_t n = 0; n < N; n++) sum += losses[n];
    assert_true(fabs(sum - 2 * loss_twin(&t)) < 1e-5);
    cross_entropy_backward(pool, again, logits, targets, 1, N, V);
    for (size_t n = 0; n < N; n++) assert_true(fabs(losses[n] - again[n]) < 1e-6);
    for (size_t n = 0; n < N; n++) {
        double rows = 0;
        for (size_t v = 0; v < V; v++) {
            double expected = 0;
            if (targets[n] != LOSS_IGNORE) {
                double p = exp(logits2[n * V + v]) / exp(losses[n] + logits2[n * V + targets[n]]);
                expected = p - (v == targets[n]);
            }
            assert_true(fabs((double)logits[n * V + v] - expected) < 1e-6);
            rows += (double)logits[n * V + v];
        }
        gradient += fabs(rows); /* a row's gradient sums to nothing */
    }
    assert_true(gradient < 1e-5);
    FREE_ALL(logits, logits2);
    mf_pool_free(pool);
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
    const uint32_t targets[N] = {1, LOSS_IGNORE, V - 1, 0, LOSS_IGNORE};
    struct mf_pool *pool = make_pool(threads);
    float *h = make_random(N * D, 1), *embedding = make_random(V * D, 2), *logits = make_zeros(N * P);
    float *mixed = make_random(N * D, 3), maximum[N], at_target[N];
    for (size_t i = 0; i < N * D; i++) h[i] *= 4; /* so that later pieces raise the maximum */
    double *h2 = to_double(h, N * D), *embedding2 = to_double(embedding, V * D), sum[N], losses[N], total = 0;
    struct online_softmax l = {maximum, at_target, sum};
    struct head_twin t = {h2, embedding2, targets, N, V, D};
    for (size_t v = 0; v < V; v += P) {
        size_t columns = V - v < P ? V - v : P;
        matmul_forward(pool, logits, h, embedding + v * D, N, columns, D, 0);
        cross_entropy_chunk(pool, &l, logits, targets, v, N, columns, mixed, D);
        matmul_backward_input(pool, mixed, logits, embedding + v * D, N, columns, D, v > 0);
    }
    cross_entropy_losses(&l, losses, targets, N);
    for (size_t n = 0; n < N; n++) total += 0.5 * losses[n];
    assert_true(fabs(total - head_twin(&t)) < 1e-5);
    cross_entropy_input(pool, &l, mixed, targets, embedding, targets, 0.5f, N, D);
    assert_gradient("dh", mixed, h2, N * D, head_twin, &t);
    FREE_ALL(h, embedding, logits, mixed, h2, embedding2);
    mf_pool_free(pool);
}

static void test_loss_input(void **state) {
    (void)state;
    const size_t pieces[] = {1, 5, 22, 23};
    for (size_t i = 0; i < 4; i++)
        for (int threads = 1; threads <= MOST_THREADS; threads++) check_loss_input(pieces[i], threads);
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
        FREE_ALL(x, y, z);
    }
}

static void test_exp(void **state) {
    (void)state;
    for (int i = 0; i < 12774; i++) {
        float x = (float)(0.0137 * i - 87);
        assert_true(fabs((double)fast_exp(x) / exp((double)x) - 1) < 3e-7);
    }
    assert_true(fast_exp(-100) == 0);
    assert_true(isfinite(fast_exp(1000)));
    assert_true(isnan(fast_exp(NAN)));
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_grouped),
        cmocka_unit_test(test_attention_step),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_mean),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_loss_blocks),
        cmocka_unit_test(test_loss_input),
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_exp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
