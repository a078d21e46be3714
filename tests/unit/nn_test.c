/* Products and layer normalisation against naive loops in double, and their backward passes against central
 * differences of those; what is overwritten, what is added to, and what is frozen. */
#include "nn.h"

#include "io/tensor.h"
#include "nn/layernorm.h"
#include "nn/matmul.h"

/* --- products --- */

/* beta 0 overwrites whatever was there. */
static void check_overwrites(struct mf_pool *pool, const float *x, const float *w, size_t N, size_t O,
                             size_t in) {
    float *over = make_poison(N * O), *added = make_zeros(N * O), *dover = make_poison(N * in),
          *dadded = make_zeros(N * in);
    matmul_forward(products_fp32(pool), over, x, w, N, O, in, 0);
    matmul_forward(products_fp32(pool), added, x, w, N, O, in, 1);
    assert_memory_equal(over, added, N * O * sizeof *over);
    matmul_backward_input(products_fp32(pool), dover, added, w, N, O, in, 0);
    matmul_backward_input(products_fp32(pool), dadded, added, w, N, O, in, 1);
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
    matmul_forward(products_fp32(pool), y, x, w, N, O, in, 0.5f);
    assert_close("y", y, expected_y, N * O, 1e-5);
    check_overwrites(pool, x, w, N, O, in);
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < in; i++) {
            expected_dx[n * in + i] = 0.5 * (double)dx[n * in + i];
            for (size_t o = 0; o < O; o++)
                expected_dx[n * in + i] += (double)y[n * O + o] * (double)w[o * in + i];
        }
    matmul_backward_input(products_fp32(pool), dx, y, w, N, O, in, 0.5f);
    assert_close("dx", dx, expected_dx, N * in, 1e-5);
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < in; i++) {
            expected_dw[o * in + i] = (double)dw[o * in + i];
            for (size_t n = 0; n < N; n++)
                expected_dw[o * in + i] += (double)y[n * O + o] * (double)x[n * in + i];
        }
    matmul_backward_weight(products_fp32(pool), dw, y, x, N, O, in);
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
    matmul_forward(products_fp32(pool), y0, x0, w0, N, O, in, 0.5f);
    matmul_forward_block(products_fp32(pool), y, ld_y, x, ld_x, w, ld_w, N, O, in, 0.5f);
    for (size_t n = 0; n < N; n++) {
        for (size_t o = 0; o < O; o++) assert_true(fabsf(y[n * ld_y + o] - y0[n * O + o]) < 1e-4f);
        for (size_t o = O; o < ld_y; o++) beside += (double)y[n * ld_y + o] != before[n * ld_y + o];
    }
    matmul_backward_weight(products_fp32(pool), w0, y0, x0, N, O, in);
    matmul_backward_weight_block(products_fp32(pool), w, ld_w, y, ld_y, x, ld_x, N, O, in);
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < in; i++) assert_true(fabsf(w[o * ld_w + i] - w0[o * in + i]) < 1e-3f);
    matmul_backward_input(products_fp32(pool), x0, y0, w0, N, O, in, 0.5f);
    matmul_backward_input_block(products_fp32(pool), x, ld_x, y, ld_y, w, ld_w, N, O, in, 0.5f);
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < in; i++) assert_true(fabsf(x[n * ld_x + i] - x0[n * in + i]) < 1e-2f);
    assert_true(beside == 0);
    FREE_ALL(x, w, y, x0, w0, y0, before);
    mf_pool_free(pool);
}

/* A weight in BF16 gives in fp32 the bytes that its numbers give in F32, in blocks of so many numbers. */
static void check_matmul_held(size_t N, size_t O, size_t in, size_t block, int threads) {
    struct mf_pool *pool = make_pool(threads);
    size_t ld = in + 3;
    float *x = make_random(N * in, 1), *w = make_random(O * ld, 2), *scratch = make_poison(block);
    float *y[2] = {make_random(N * O, 3), make_random(N * O, 3)},
          *dx[2] = {make_random(N * in, 4), make_random(N * in, 4)};
    uint16_t *narrow = malloc(O * ld * sizeof *narrow);
    mf_bf16_round(narrow, w, O * ld);
    mf_bf16_widen(w, narrow, O * ld);
    const struct products how = {.pool = pool, .block = block, .widened = scratch};
    const struct weight held[2] = {{w, NULL}, {NULL, narrow}};
    for (size_t k = 0; k < 2; k++) {
        matmul_forward_weight(how, y[k], O, x, in, held[k], ld, N, O, in, 1);
        matmul_backward_input_weight(how, dx[k], in, y[0], O, held[k], ld, N, O, in, 1);
    }
    assert_memory_equal(y[0], y[1], N * O * sizeof(float));
    assert_memory_equal(dx[0], dx[1], N * in * sizeof(float));
    float *whole = make_random(N * O, 3), *dwhole = make_random(N * in, 4);
    matmul_forward_block(how, whole, O, x, in, w, ld, N, O, in, 1);
    matmul_backward_input_block(how, dwhole, in, y[0], O, w, ld, N, O, in, 1);
    double *expected = to_double(whole, N * O), *dexpected = to_double(dwhole, N * in);
    assert_close("y in blocks", y[0], expected, N * O, 1e-5);
    assert_close("dx in blocks", dx[0], dexpected, N * in, 1e-4);
    FREE_ALL(x, w, scratch, y[0], y[1], dx[0], dx[1], narrow, whole, dwhole, expected, dexpected);
    mf_pool_free(pool);
}

static void test_matmul_held(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        check_matmul_held(1, 1, 1, 1, threads);
        check_matmul_held(5, 13, 7, 13 * 7, threads);
        check_matmul_held(5, 13, 7, 7, threads);
        check_matmul_held(37, 130, 61, 31 * 61 + 5, threads);
    }
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

/* A frozen gain gives the same dx and needs no scratch. */
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

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_matmul_held),
        cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_layernorm_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
