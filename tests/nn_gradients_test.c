/* What the kernels promise beside their values: every backward against central differences of a twin in
 * double with dropout on, what is overwritten and what is added to, what may be NULL, and which bytes do not
 * depend on threads. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/loss.h"
#include "nn/matmul.h"
#include "nn/residual.h"
#include "nn/vector.h"

#define MOST_THREADS 4

/* An output as it may be found: not a number, so that what reads it shows. */
static float *make_poison(size_t n) {
    float *x = make_zeros(n);
    for (size_t i = 0; i < n; i++) x[i] = NAN;
    return x;
}

static void free_all(void *const *items, size_t n) {
    for (size_t i = 0; i < n; i++) free(items[i]);
}
#define FREE_ALL(...) free_all((void *const[]){__VA_ARGS__}, sizeof((void *[]){__VA_ARGS__}) / sizeof(void *))

/* --- products --- */

struct product {
    const double *x, *w, *weights;
    size_t N, O, in;
};

static double product_twin(const void *context) {
    const struct product *t = context;
    double sum = 0;
    for (size_t n = 0; n < t->N; n++)
        for (size_t o = 0; o < t->O; o++) {
            double y = 0;
            for (size_t i = 0; i < t->in; i++) y += t->x[n * t->in + i] * t->w[o * t->in + i];
            sum += y * t->weights[n * t->O + o];
        }
    return sum;
}

static void check_product(size_t N, size_t O, size_t in, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * in, 1), *w = make_random(O * in, 2), *dy = make_random(N * O, 3);
    float *y = make_poison(N * O), *dx = make_poison(N * in), *dw = make_zeros(O * in);
    double *x2 = to_double(x, N * in), *w2 = to_double(w, O * in), *dy2 = to_double(dy, N * O);
    struct product t = {x2, w2, dy2, N, O, in};
    matmul_forward(pool, y, x, w, N, O, in, 0); /* beta 0 overwrites, whatever was there */
    double *y2 = to_double(y, N * O);
    double expected = product_twin(&t), size = 1 + fabs(expected);
    assert_true(fabs(weighted_sum(y2, dy2, N * O) - expected) < 1e-4 * size);
    matmul_backward_input(pool, dx, dy, w, N, O, in, 0);
    assert_gradient("product dx", dx, x2, N * in, product_twin, &t);
    matmul_backward_weight(pool, dw, dy, x, N, O, in);
    assert_gradient("product dw", dw, w2, O * in, product_twin, &t);
    FREE_ALL(x, w, dy, y, dx, dw, x2, w2, dy2, y2);
    mf_pool_free(pool);
}

static void test_product(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_product(1, 1, 1, threads);
        check_product(1, 40, 7, threads); /* a row times a matrix */
        check_product(3, 19, 5, threads); /* split over columns */
        check_product(67, 3, 5, threads); /* split over rows */
    }
}

/* --- layer normalisation --- */

/* A frozen gain gives the same dx and needs no scratch; constant rows and far means are no trouble. */
static void test_layernorm_frozen(void **state) {
    (void)state;
    const size_t N = 5, D = 35;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct mf_pool *pool = make_pool(threads);
        float *x = make_random(N * D, 1), *gain = make_random(D, 2), *bias = make_random(D, 3);
        float *dy = make_random(N * D, 4), *y = make_poison(N * D), *mean = make_poison(N);
        float *rstd = make_poison(N), *dx = make_random(N * D, 5), *frozen = make_random(N * D, 5);
        float *dgain = make_zeros(D), *dbias = make_zeros(D), *scratch = make_poison((size_t)threads * 2 * D);
        layernorm_forward(pool, y, mean, rstd, x, gain, bias, N, D);
        layernorm_backward(pool, dx, dgain, dbias, dy, x, gain, mean, rstd, scratch, N, D);
        layernorm_backward(pool, frozen, NULL, NULL, dy, x, gain, mean, rstd, NULL, N, D);
        assert_memory_equal(dx, frozen, N * D * sizeof *dx);
        for (size_t d = 0; d < D; d++) assert_true(isfinite(dgain[d]) && isfinite(dbias[d]));
        FREE_ALL(x, gain, bias, dy, y, mean, rstd, dx, frozen, dgain, dbias, scratch);
        mf_pool_free(pool);
    }
}

static void test_layernorm_extremes(void **state) {
    (void)state;
    enum { D = 48 };
    struct mf_pool *pool = make_pool(1);
    float *x = make_random(2 * D, 1), *gain = make_random(D, 2), *bias = make_random(D, 3);
    float *y = make_poison(2 * D);
    double *expected = calloc(2 * D, sizeof *expected), mean = 0, variance = 0;
    assert_non_null(expected);
    for (size_t d = 0; d < D; d++) {
        x[d] = 3; /* variance 0: nothing but the bias */
        x[D + d] += 1000;
        expected[d] = (double)bias[d];
        mean += (double)x[D + d] / D;
    }
    for (size_t d = 0; d < D; d++) variance += pow((double)x[D + d] - mean, 2) / D;
    for (size_t d = 0; d < D; d++)
        expected[D + d] =
            ((double)x[D + d] - mean) / sqrt(variance + 1e-5) * (double)gain[d] + (double)bias[d];
    layernorm_forward(pool, y, NULL, NULL, x, gain, bias, 2, D);
    assert_close("y", y, expected, 2 * D, 2e-4); /* fp32's mean of 1000 is off by up to 1e-4 */
    FREE_ALL(x, gain, bias, y, expected);
    mf_pool_free(pool);
}

/* --- GELU --- */

struct gelu {
    const double *x, *bias, *weights;
    size_t N, F;
};

static double gelu_twin(const void *context) {
    const struct gelu *t = context;
    double sum = 0;
    for (size_t i = 0; i < t->N * t->F; i++) {
        double u = t->x[i] + t->bias[i % t->F];
        sum += u * 0.5 * erfc(-u / sqrt(2)) * t->weights[i];
    }
    return sum;
}

/* dbias is added to, dx may be x, scratch may hold anything. */
static void test_gelu_sums(void **state) {
    (void)state;
    const size_t N = 13, F = 21;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct mf_pool *pool = make_pool(threads);
        float *x = make_random(N * F, 1), *bias = make_random(F, 2), *dy = make_random(N * F, 3);
        float *dbias = make_random(F, 4), *scratch = make_poison((size_t)threads * F);
        double *x2 = to_double(x, N * F), *bias2 = to_double(bias, F), *dy2 = to_double(dy, N * F);
        double *before = to_double(dbias, F);
        struct gelu t = {x2, bias2, dy2, N, F};
        bias_gelu_backward(pool, x, dbias, dy, x, bias, scratch, N, F);
        assert_gradient("dx", x, x2, N * F, gelu_twin, &t);
        for (size_t f = 0; f < F; f++) dbias[f] = (float)((double)dbias[f] - before[f]);
        assert_gradient("dbias", dbias, bias2, F, gelu_twin, &t);
        FREE_ALL(x, bias, dy, dbias, scratch, x2, bias2, dy2, before);
        mf_pool_free(pool);
    }
}

static void test_gelu_extremes(void **state) {
    (void)state;
    struct mf_pool *pool = make_pool(1);
    const float x[] = {-1e30f, -40, -10, 0, 10, 40, 1e30f, NAN}, ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    float y[8], dx[8];
    bias_gelu_forward(pool, y, x, NULL, 1, 8);
    bias_gelu_backward(pool, dx, NULL, ones, x, NULL, NULL, 1, 8);
    for (size_t i = 0; i < 7; i++) {
        assert_true(fabsf(y[i] - (x[i] > 0 ? x[i] : 0)) <= 1e-6f * fabsf(x[i]));
        assert_true(fabsf(dx[i] - (x[i] > 0 ? 1 : x[i] < 0 ? 0 : 0.5f)) < 1e-6f);
    }
    assert_true(isnan(y[7]) && isnan(dx[7]));
    mf_pool_free(pool);
}

/* --- attention --- */

struct attention {
    const double *qkv, *weights;
    const size_t *start;
    size_t count, D, H;
    double *lse; /* [N,H], or NULL */
};

static double attention_twin(const void *context) {
    const struct attention *t = context;
    size_t D = t->D, d = D / t->H;
    double total = 0, p[160];
    for (size_t s = 0; s < t->count; s++)
        for (size_t i = t->start[s]; i < t->start[s + 1]; i++)
            for (size_t h = 0; h < t->H; h++) {
                const double *q = t->qkv + i * 3 * D + h * d, *w = t->weights + i * D + h * d;
                double sum = 0, value = 0;
                for (size_t j = t->start[s]; j <= i; j++) {
                    const double *key = t->qkv + j * 3 * D + D + h * d;
                    double e = exp(weighted_sum(q, key, d) / sqrt((double)d));
                    p[j - t->start[s]] = e;
                    sum += e;
                }
                for (size_t j = t->start[s]; j <= i; j++)
                    value += p[j - t->start[s]] * weighted_sum(w, t->qkv + j * 3 * D + 2 * D + h * d, d);
                total += value / sum;
                if (t->lse) t->lse[i * t->H + h] = log(sum);
            }
    return total;
}

/* Whole rows of gradients, with queries and keys `sharp` times as long. */
static void check_attention(const size_t *start, size_t count, size_t D, size_t H, float sharp, int threads) {
    struct mf_pool *pool = make_pool(threads);
    struct seqs seqs = {count, start};
    size_t N = start[count], longest = 0;
    for (size_t s = 0; s < count; s++)
        if (start[s + 1] - start[s] > longest) longest = start[s + 1] - start[s];
    float *qkv = make_random(N * 3 * D, 1), *dout = make_random(N * D, 2), *out = make_poison(N * D);
    float *lse = make_poison(N * H), *dqkv = make_poison(N * 3 * D);
    float *scratch = make_poison(attention_scratch(threads, longest, D / H));
    for (size_t i = 0; i < N * 3 * D; i++)
        if (i % (3 * D) < 2 * D) qkv[i] *= sharp;
    double *qkv2 = to_double(qkv, N * 3 * D), *dout2 = to_double(dout, N * D);
    double *lse2 = calloc(N * H + 1, sizeof *lse2);
    struct attention t = {qkv2, dout2, start, count, D, H, lse2};
    attention_forward(pool, out, lse, qkv, &seqs, D, H, scratch);
    double *out2 = to_double(out, N * D);
    double expected = attention_twin(&t);
    assert_true(fabs(weighted_sum(out2, dout2, N * D) - expected) < 1e-4 * (1 + fabs(expected)));
    assert_close("lse", lse, lse2, N * H, 1e-5);
    t.lse = NULL;
    attention_backward(pool, dqkv, dout, qkv, out, lse, &seqs, D, H, scratch);
    assert_gradient("dqkv", dqkv, qkv2, N * 3 * D, attention_twin, &t);
    FREE_ALL(qkv, dout, out, lse, dqkv, scratch, qkv2, dout2, lse2, out2);
    mf_pool_free(pool);
}

static void test_attention(void **state) {
    (void)state;
    const size_t packed[] = {0, 3, 4, 9, 16}, block[] = {0, 64, 65}, over[] = {0, 1, 66};
    for (int threads = 1; threads <= 3; threads++) {
        check_attention(packed, 4, 6, 2, 1, threads);
        check_attention(packed, 4, 3, 3, 1, threads); /* heads of one column */
        check_attention(packed, 4, 10, 1, 3, threads);
    }
    check_attention(block, 2, 2, 1, 1, 2); /* one block of rows exactly */
    check_attention(over, 2, 2, 1, 1, 2);  /* and one row more */
}

/* A row sees the rows before it in its own sequence and no others: bytes, not values. */
static void test_attention_sees(void **state) {
    (void)state;
    const size_t start[] = {0, 70, 90}, N = 90, D = 8, H = 2, changed = 66;
    struct seqs seqs = {2, start};
    struct mf_pool *pool = make_pool(2);
    float *qkv = make_random(N * 3 * D, 1), *scratch = make_zeros(attention_scratch(2, 70, D / H));
    float *first = make_poison(N * D), *second = make_poison(N * D);
    attention_forward(pool, first, NULL, qkv, &seqs, D, H, scratch);
    for (size_t i = 0; i < 3 * D; i++) qkv[changed * 3 * D + i] += 1;
    attention_forward(pool, second, NULL, qkv, &seqs, D, H, scratch);
    assert_memory_equal(first, second, changed * D * sizeof *first);
    for (size_t n = changed; n < 70; n++)
        assert_memory_not_equal(first + n * D, second + n * D, D * sizeof *first);
    assert_memory_equal(first + 70 * D, second + 70 * D, 20 * D * sizeof *first);
    FREE_ALL(qkv, scratch, first, second);
    mf_pool_free(pool);
}

/* Scores far beyond exp's range. */
static void test_attention_extremes(void **state) {
    (void)state;
    const size_t start[] = {0, 20}, N = 20, D = 4;
    struct seqs seqs = {1, start};
    struct mf_pool *pool = make_pool(1);
    float *qkv = make_random(N * 3 * D, 1), *scratch = make_poison(attention_scratch(1, N, D));
    float *out = make_poison(N * D), *lse = make_poison(N), *dqkv = make_poison(N * 3 * D);
    for (size_t i = 0; i < N * 3 * D; i++) qkv[i] *= 1000;
    attention_forward(pool, out, lse, qkv, &seqs, D, 1, scratch);
    attention_backward(pool, dqkv, out, qkv, out, lse, &seqs, D, 1, scratch);
    for (size_t i = 0; i < N * D; i++) assert_true(isfinite(out[i]));
    for (size_t i = 0; i < N * 3 * D; i++) assert_true(isfinite(dqkv[i]));
    FREE_ALL(qkv, scratch, out, lse, dqkv);
    mf_pool_free(pool);
}

/* Each row of a growing sequence by itself is the row of the whole. */
static void test_attention_step(void **state) {
    (void)state;
    const size_t N = 67, D = 15, H = 5, start[] = {0, N};
    struct seqs seqs = {1, start};
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct mf_pool *pool = make_pool(threads);
        float *qkv = make_random(N * 3 * D, 1), *whole = make_poison(N * D), *row = make_poison(D);
        float *keys = make_poison(N * D), *values = make_poison(N * D), *step = make_poison(H * N);
        float *scratch = make_poison(attention_scratch(threads, N, D / H));
        attention_forward(pool, whole, NULL, qkv, &seqs, D, H, scratch);
        double *expected = to_double(whole, N * D);
        for (size_t n = 0; n < N; n++) {
            memcpy(keys + n * D, qkv + n * 3 * D + D, D * sizeof *keys);
            memcpy(values + n * D, qkv + n * 3 * D + 2 * D, D * sizeof *values);
            attention_step(pool, row, qkv + n * 3 * D, keys, values, n + 1, D, H, step);
            assert_close("row", row, expected + n * D, D, 1e-5);
            for (size_t d = 0; d < D; d++) row[d] = NAN;
        }
        FREE_ALL(qkv, whole, row, keys, values, step, scratch, expected);
        mf_pool_free(pool);
    }
}

/* --- dropout, embedding, residual --- */

/* The mask is the documented function of mf_rng_at, wherever a call begins. */
static void test_dropout_definition(void **state) {
    (void)state;
    const float p = 0.37f;
    float mask[DROPOUT_CHUNK];
    for (uint64_t first = 0; first < 3; first++)
        for (size_t n = 1; n <= DROPOUT_CHUNK; n += 85) {
            uint64_t key = 0x123456789abcdefu * (n + 1), begin = first + ((uint64_t)1 << 40);
            dropout_mask(mask, p, key, begin, n);
            for (size_t j = 0; j < n; j++) {
                uint64_t i = begin + j, half = mf_rng_at(key, i / 2) >> (i % 2 ? 32 : 0) & 0xffffffff;
                bool dropped = (double)half < (double)p * 0x1p32;
                assert_true(mask[j] == (dropped ? 0 : 1 / (1 - p)));
            }
        }
    dropout_mask(mask, 0, 1, 0, DROPOUT_CHUNK);
    for (size_t j = 0; j < DROPOUT_CHUNK; j++) assert_true(mask[j] == 1);
}

/* The mask of a whole array in double, from its definition. */
static double *make_mask(size_t n, float p, uint64_t key) {
    double *mask = calloc(n + 1, sizeof *mask);
    assert_non_null(mask);
    for (size_t i = 0; i < n; i++) {
        uint64_t half = mf_rng_at(key, i / 2) >> (i % 2 ? 32 : 0) & 0xffffffff;
        mask[i] = (double)half < (double)p * 0x1p32 ? 0 : 1 / (1 - (double)p);
    }
    return mask;
}

struct embedding {
    const double *table, *pe, *mask, *weights;
    const uint32_t *tokens;
    const size_t *start;
    size_t count, D;
};

static double embedding_twin(const void *context) {
    const struct embedding *t = context;
    double sum = 0;
    for (size_t s = 0; s < t->count; s++)
        for (size_t n = t->start[s]; n < t->start[s + 1]; n++)
            for (size_t d = 0; d < t->D; d++) {
                double x = t->table[t->tokens[n] * t->D + d] + t->pe[(n - t->start[s]) * t->D + d];
                sum += t->mask[n * t->D + d] * x * t->weights[n * t->D + d];
            }
    return sum;
}

static void check_embedding(size_t D, float p, int threads) {
    enum { V = 5, N = 11 };
    const size_t start[] = {0, 1, 7, N};
    const uint32_t tokens[N] = {4, 1, 1, 0, 3, 4, 0, 2, 1, 0, 4};
    const uint64_t key = 1234;
    struct seqs seqs = {3, start};
    struct mf_pool *pool = make_pool(threads);
    float *table = make_random(V * D, 1), *pe = make_random(N * D, 2), *dx = make_random(N * D, 3);
    float *x = make_poison(N * D), *dtable = make_zeros(V * D);
    double *table2 = to_double(table, V * D), *pe2 = to_double(pe, N * D), *dx2 = to_double(dx, N * D);
    double *mask = make_mask(N * D, p, key);
    struct embedding t = {table2, pe2, mask, dx2, tokens, start, 3, D};
    embedding_forward(pool, x, tokens, &seqs, table, pe, p, key, D);
    double *x2 = to_double(x, N * D), expected = embedding_twin(&t);
    assert_true(fabs(weighted_sum(x2, dx2, N * D) - expected) < 1e-5 * (1 + fabs(expected)) * (double)D);
    embedding_backward(pool, dtable, dx, tokens, &seqs, p, key, D);
    assert_gradient("dtable", dtable + D, table2 + D, (V - 1) * D, embedding_twin, &t);
    for (size_t d = 0; d < D; d++) assert_true(dtable[d] == 0);   /* PAD's row does not learn */
    embedding_backward(pool, NULL, dx, tokens, &seqs, p, key, D); /* frozen */
    FREE_ALL(table, pe, dx, x, dtable, table2, pe2, dx2, mask, x2);
    mf_pool_free(pool);
}

static void test_embedding(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        for (int dropping = 0; dropping < 2; dropping++) {
            check_embedding(1, dropping ? 0.5f : 0, threads);
            check_embedding(7, dropping ? 0.5f : 0, threads); /* pairs of the mask lie across rows */
            check_embedding(277, dropping ? 0.1f : 0, threads);
        }
}

struct residual {
    const double *x, *y, *bias, *mask, *weights;
    size_t N, D;
};

static double residual_twin(const void *context) {
    const struct residual *t = context;
    double sum = 0;
    for (size_t i = 0; i < t->N * t->D; i++)
        sum += (t->x[i] + t->mask[i] * (t->y[i] + t->bias[i % t->D])) * t->weights[i];
    return sum;
}

static void check_residual(size_t N, size_t D, float p, int threads) {
    const uint64_t key = 4321;
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *y = make_random(N * D, 2), *bias = make_random(D, 3);
    float *dx = make_random(N * D, 4), *dy = make_poison(N * D), *dbias = make_random(D, 5);
    float *scratch = make_poison((size_t)threads * D);
    double *x2 = to_double(x, N * D), *y2 = to_double(y, N * D), *bias2 = to_double(bias, D);
    double *dx2 = to_double(dx, N * D), *before = to_double(dbias, D), *mask = make_mask(N * D, p, key);
    struct residual t = {x2, y2, bias2, mask, dx2, N, D};
    residual_forward(pool, x, y, bias, p, key, N, D);
    double *sum = to_double(x, N * D), expected = residual_twin(&t);
    assert_true(fabs(weighted_sum(sum, dx2, N * D) - expected) < 1e-4 * (1 + fabs(expected)));
    residual_backward(pool, dy, dbias, dx, p, key, scratch, N, D);
    assert_gradient("dy", dy, y2, N * D, residual_twin, &t);
    for (size_t d = 0; d < D; d++) dbias[d] = (float)((double)dbias[d] - before[d]);
    assert_gradient("dbias", dbias, bias2, D, residual_twin, &t);
    residual_backward(pool, dx, NULL, dx, p, key, NULL, N, D); /* in place, frozen bias */
    assert_memory_equal(dx, dy, N * D * sizeof *dx);
    FREE_ALL(x, y, bias, dx, dy, dbias, scratch, x2, y2, bias2, dx2, before, mask, sum);
    mf_pool_free(pool);
}

static void test_residual(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_residual(1, 1, 0, threads);
        check_residual(6, 5, 0.4f, threads); /* pairs of the mask lie across rows */
        check_residual(3, 259, 0.4f, threads);
        check_residual(3, 259, 0, threads);
    }
}

/* --- loss --- */

struct loss {
    const double *logits;
    const uint32_t *targets;
    size_t N, V;
};

static double loss_twin(const void *context) {
    const struct loss *t = context;
    double total = 0;
    for (size_t n = 0; n < t->N; n++) {
        const double *row = t->logits + n * t->V;
        double sum = 0;
        if (t->targets[n] == LOSS_IGNORE) continue;
        for (size_t v = 0; v < t->V; v++) sum += exp(row[v]);
        total += log(sum) - row[t->targets[n]];
    }
    return total;
}

/* Vocabularies of more than one block: rows are summed in pieces. */
static void test_loss_blocks(void **state) {
    (void)state;
    enum { N = 4, V = 2051 };
    const uint32_t targets[N] = {V - 1, 0, 1024, 1};
    struct mf_pool *pool = make_pool(3);
    float *logits = make_random(N * V, 1);
    double *logits2 = to_double(logits, N * V), losses[N], again[N], sum = 0, gradient = 0;
    struct loss t = {logits2, targets, N, V};
    losses_in_pieces(pool, losses, logits, targets, N, V, 1024);
    for (size_t n = 0; n < N; n++) sum += losses[n];
    assert_true(fabs(sum - loss_twin(&t)) < 1e-5);
    cross_entropy_backward(pool, again, logits, targets, 1, N, V);
    for (size_t n = 0; n < N; n++) assert_true(fabs(losses[n] - again[n]) < 1e-6);
    for (size_t n = 0; n < N; n++) {
        double rows = 0;
        for (size_t v = 0; v < V; v++) {
            double p = exp(logits2[n * V + v]) / exp(losses[n] + logits2[n * V + targets[n]]);
            double expected = targets[n] == 0 ? 0 : p - (v == targets[n]);
            assert_true(fabs((double)logits[n * V + v] - expected) < 1e-6);
            rows += (double)logits[n * V + v];
        }
        gradient += fabs(rows); /* a row's gradient sums to nothing */
    }
    assert_true(gradient < 1e-5);
    FREE_ALL(logits, logits2);
    mf_pool_free(pool);
}

/* A training that has diverged shows: what is not a number stays so. */
static void test_loss_not_a_number(void **state) {
    (void)state;
    struct mf_pool *pool = make_pool(1);
    const uint32_t targets[] = {1, 2, 1};
    for (size_t at = 0; at < 20; at++)
        for (int kind = 0; kind < 2; kind++) {
            float logits[60] = {0};
            double losses[3];
            logits[20 + at] = kind ? NAN : INFINITY;
            losses_in_pieces(pool, losses, logits, targets, 3, 20, 7);
            assert_true(isfinite(losses[0]) && !isfinite(losses[1]) && isfinite(losses[2]));
            cross_entropy_backward(pool, losses, logits, targets, 1, 3, 20);
            assert_true(isfinite(losses[0]) && !isfinite(losses[1]) && isfinite(losses[2]));
        }
    mf_pool_free(pool);
}

/* --- vectors --- */

static void test_vector_blocks(void **state) {
    (void)state;
    for (size_t n = 1020; n < 3100; n += 517) {
        float *x = make_random(n, n), *y = make_poison(n);
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += exp((double)x[i] + 0.25);
        assert_true(fabs(vector_exp(y, x, 0.25f, n) / sum - 1) < 1e-6);
        for (size_t i = 0; i < n; i++) assert_true(fabs((double)y[i] / exp((double)x[i] + 0.25) - 1) < 1e-6);
        memcpy(y, x, n * sizeof *y);
        vector_scale(y, -0.5f, n);
        for (size_t i = 0; i < n; i++) assert_true(y[i] == -0.5f * x[i]);
        FREE_ALL(x, y);
    }
    softmax(NULL, 0);
}

/* --- the same bytes --- */

/* One pass of every kernel; what it writes, one array behind the other. */
static float *run_kernels(int threads, size_t *size, size_t *fixed) {
    enum { N = 83, D = 40, H = 4, V = 50, ROOM = 400000 };
    const size_t start[] = {0, 70, 71, N};
    struct seqs seqs = {3, start};
    struct mf_pool *pool = make_pool(threads);
    float *all = make_zeros(ROOM), *at = all;
    float *x = make_random(N * D, 1), *w = make_random(V * D, 2), *qkv = make_random(N * 3 * D, 3);
    float *scratch = make_zeros(attention_scratch(threads, N, D / H) + (size_t)threads * 2 * V * D);
    uint32_t tokens[N];
    double losses[N];
    for (size_t n = 0; n < N; n++) tokens[n] = (uint32_t)(n * 7 % V);
#define TAKE(n) (at += (n), at - (n))
    /* whole rows, columns or pairs are one thread's: the same bytes for any number of threads */
    float *lse = TAKE(N * H), *out = TAKE(N * D), *mean = TAKE(N), *rstd = TAKE(N), *dx = TAKE(N * D);
    attention_forward(pool, out, lse, qkv, &seqs, D, H, scratch);
    attention_backward(pool, TAKE(N * 3 * D), x, qkv, out, lse, &seqs, D, H, scratch);
    attention_step(pool, TAKE(D), x, x, x, N, D, H, scratch);
    layernorm_forward(pool, TAKE(N * D), mean, rstd, x, w, w + D, N, D);
    layernorm_backward(pool, dx, NULL, NULL, out, x, w, mean, rstd, NULL, N, D);
    bias_gelu_forward(pool, TAKE(N * D), x, w, N, D);
    bias_gelu_backward(pool, TAKE(N * D), NULL, out, x, w, NULL, N, D);
    embedding_forward(pool, TAKE(N * D), tokens, &seqs, w, x, 0.2f, 5, D);
    embedding_backward(pool, TAKE(V * D), x, tokens, &seqs, 0.2f, 5, D);
    residual_forward(pool, dx, x, w, 0.2f, 6, N, D);
    residual_backward(pool, TAKE(N * D), NULL, x, 0.2f, 7, NULL, N, D);
    float *logits = TAKE(N * D);
    memcpy(logits, x, N * D * sizeof *x);
    cross_entropy_backward(pool, losses, logits, (const uint32_t[N]){1, 2}, 0.5f, N, D);
    for (size_t n = 0; n < N; n++) *TAKE(1) = (float)losses[n];
    *fixed = (size_t)(at - all);
    /* sums over rows and the shapes of products follow the split: the same bytes for the same number of
     * threads */
    float *more = TAKE(4 * D);
    layernorm_backward(pool, TAKE(N * D), more, more + D, out, x, w, mean, rstd, scratch, N, D);
    bias_gelu_backward(pool, TAKE(N * D), more + 2 * D, out, x, w, scratch, N, D);
    residual_backward(pool, TAKE(N * D), more + 3 * D, x, 0.2f, 7, scratch, N, D);
    matmul_forward(pool, TAKE(N * V), x, w, N, V, D, 0);
    matmul_backward_input(pool, TAKE(N * D), qkv, w, N, V, D, 0);
    matmul_backward_weight(pool, TAKE(V * D), qkv, x, N, V, D);
#undef TAKE
    *size = (size_t)(at - all);
    assert_true(*size <= ROOM);
    FREE_ALL(x, w, qkv, scratch);
    mf_pool_free(pool);
    return all;
}

static void test_same_bytes(void **state) {
    (void)state;
    size_t size, fixed;
    float *one = run_kernels(1, &size, &fixed);
    for (size_t i = 0; i < size; i++) assert_true(isfinite(one[i]));
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        float *first = run_kernels(threads, &size, &fixed);
        for (int again = 0; again < 3; again++) {
            float *second = run_kernels(threads, &size, &fixed);
            assert_memory_equal(first, second, size * sizeof *first);
            free(second);
        }
        assert_memory_equal(one, first, fixed * sizeof *one);
        free(first);
    }
    free(one);
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_layernorm_frozen),
        cmocka_unit_test(test_layernorm_extremes),
        cmocka_unit_test(test_gelu_sums),
        cmocka_unit_test(test_gelu_extremes),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_sees),
        cmocka_unit_test(test_attention_extremes),
        cmocka_unit_test(test_attention_step),
        cmocka_unit_test(test_dropout_definition),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_loss_blocks),
        cmocka_unit_test(test_loss_not_a_number),
        cmocka_unit_test(test_vector_blocks),
        cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
