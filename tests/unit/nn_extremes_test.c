/* Kernels at the ends of fp32: values far apart, variance 0, infinities, and what is no number. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/loss.h"
#include "nn/matmul.h"

/* Constant rows and far means are no trouble. */
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

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layernorm_extremes), cmocka_unit_test(test_gelu_extremes),
        cmocka_unit_test(test_attention_extremes), cmocka_unit_test(test_loss_extremes),
        cmocka_unit_test(test_loss_not_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
