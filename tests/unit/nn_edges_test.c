/* What the kernels promise beside their values (nn_test.c): extremes, what may be NULL, what a row sees, and
 * which bytes do not depend on threads. */
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

/* A row sees the rows before it in its own sequence and no others: bytes, not values. */
static void test_attention_sees(void **state) {
    (void)state;
    const size_t start[] = {0, 70, 90}, N = 90, D = 8, H = 2, changed = 66;
    struct seqs seqs = {2, start};
    const struct heads heads = {H, H, D / H};
    struct mf_pool *pool = make_pool(2);
    float *qkv = make_random(N * 3 * D, 1), *scratch = make_zeros(attention_scratch(2, 70, D / H));
    float *first = make_poison(N * D), *second = make_poison(N * D);
    attention_forward(pool, first, NULL, qkv, &seqs, heads, scratch);
    for (size_t i = 0; i < 3 * D; i++) qkv[changed * 3 * D + i] += 1;
    attention_forward(pool, second, NULL, qkv, &seqs, heads, scratch);
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
    attention_forward(pool, out, lse, qkv, &seqs, (struct heads){1, 1, D}, scratch);
    attention_backward(pool, dqkv, out, qkv, out, lse, &seqs, (struct heads){1, 1, D}, scratch);
    for (size_t i = 0; i < N * D; i++) assert_true(isfinite(out[i]));
    for (size_t i = 0; i < N * 3 * D; i++) assert_true(isfinite(dqkv[i]));
    FREE_ALL(qkv, scratch, out, lse, dqkv);
    mf_pool_free(pool);
}

/* --- dropout --- */

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

/* --- loss --- */

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

/* A training that has diverged shows: non-finite values stay so. */
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
    const struct heads heads = {H, H, D / H};
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
    attention_forward(pool, out, lse, qkv, &seqs, heads, scratch);
    attention_backward(pool, TAKE(N * 3 * D), x, qkv, out, lse, &seqs, heads, scratch);
    attention_step(pool, TAKE(D), x, x, x, N, N, heads, scratch);
    layernorm_forward(pool, TAKE(N * D), mean, rstd, x, w, w + D, N, D);
    layernorm_backward(pool, dx, NULL, NULL, out, x, w, mean, rstd, NULL, N, D);
    bias_gelu_forward(pool, TAKE(N * D), x, w, N, D);
    bias_gelu_backward(pool, TAKE(N * D), NULL, out, x, w, NULL, N, D);
    embedding_forward(pool, TAKE(N * D), tokens, &seqs, w, x, (struct dropout){0.2f, 5, 0}, D);
    embedding_backward(pool, TAKE(V * D), x, tokens, &seqs, (struct dropout){0.2f, 5, 0}, -1, D);
    residual_forward(pool, dx, dx, x, w, (struct dropout){0.2f, 6, 0}, N, D);
    residual_backward(pool, TAKE(N * D), NULL, x, (struct dropout){0.2f, 7, 0}, NULL, N, D);
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
    residual_backward(pool, TAKE(N * D), more + 3 * D, x, (struct dropout){0.2f, 7, 0}, scratch, N, D);
    matmul_forward(products_fp32(pool), TAKE(N * V), x, w, N, V, D, 0);
    matmul_backward_input(products_fp32(pool), TAKE(N * D), qkv, w, N, V, D, 0);
    matmul_backward_weight(products_fp32(pool), TAKE(V * D), qkv, x, N, V, D);
#undef TAKE
    *size = (size_t)(at - all);
    assert_true(*size <= ROOM);
    FREE_ALL(x, w, qkv, scratch);
    mf_pool_free(pool);
    return all;
}

static void test_same_bytes(void **state) {
    (void)state;
    assert_same_bytes(run_kernels, MOST_THREADS);
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layernorm_frozen),   cmocka_unit_test(test_layernorm_extremes),
        cmocka_unit_test(test_gelu_extremes),      cmocka_unit_test(test_attention_sees),
        cmocka_unit_test(test_attention_extremes), cmocka_unit_test(test_dropout_definition),
        cmocka_unit_test(test_loss_extremes),      cmocka_unit_test(test_loss_not_a_number),
        cmocka_unit_test(test_vector_blocks),      cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
