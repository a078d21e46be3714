/* RMSNorm of rows and of heads: against a naive loop in double, its backward against central
 * differences of that loop, at odd sizes. */
#include "nn.h"

#include "nn/rmsnorm.h"

static const float eps = 1e-5f;

struct norm_twin {
    const double *x, *gain, *weights; /* gain NULL: plain; weights [N,H d] */
    size_t N, H, d, ld;
    double *y; /* [N,H d] */
};

static double norm_twin(const void *context) {
    const struct norm_twin *t = context;
    for (size_t n = 0; n < t->N; n++)
        for (size_t h = 0; h < t->H; h++) {
            const double *x = t->x + n * t->ld + h * t->d;
            double squares = 0;
            for (size_t i = 0; i < t->d; i++) squares += x[i] * x[i];
            for (size_t i = 0; i < t->d; i++)
                t->y[(n * t->H + h) * t->d + i] =
                    x[i] / sqrt(squares / (double)t->d + (double)eps) * (t->gain ? t->gain[i] : 1);
        }
    return weighted_sum(t->y, t->weights, t->N * t->H * t->d);
}

static void check_rmsnorm(size_t N, size_t D, bool plain, double size, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *gain = make_random(D, 2), *dy = make_random(N * D, 3);
    float *y = make_poison(N * D), *rstd = make_poison(N), *dx = make_random(N * D, 4);
    float *dgain = make_random(D, 5), *scratch = make_poison((size_t)threads * D), *g = plain ? NULL : gain;
    for (size_t i = 0; i < N * D; i++) x[i] *= (float)size;
    double *dx0 = to_double(dx, N * D), *dgain0 = to_double(dgain, D), *x2 = to_double(x, N * D);
    double *gain2 = to_double(gain, D), *w2 = to_double(dy, N * D), *y2 = calloc(N * D, sizeof *y2);
    struct norm_twin t = {x2, plain ? NULL : gain2, w2, N, 1, D, D, y2};
    rmsnorm_forward(pool, y, rstd, x, g, eps, N, D);
    norm_twin(&t);
    assert_close("y", y, y2, N * D, 1e-6);
    rmsnorm_backward(pool, dx, plain ? NULL : dgain, dy, x, g, rstd, scratch, N, D);
    for (size_t i = 0; i < N * D; i++) dx[i] = (float)((double)dx[i] - dx0[i]); /* it adds */
    assert_gradient("dx", dx, x2, N * D, norm_twin, &t);
    for (size_t i = 0; i < D; i++) dgain[i] = (float)((double)dgain[i] - dgain0[i]);
    if (!plain) assert_gradient("dgain", dgain, gain2, D, norm_twin, &t);
    rmsnorm_forward(pool, x, NULL, x, g, eps, N, D);
    assert_memory_equal(x, y, N * D * sizeof *x); /* in place */
    FREE_ALL(x, gain, dy, y, rstd, dx, dgain, scratch, dx0, dgain0, x2, gain2, w2, y2);
    mf_pool_free(pool);
}

static void test_rmsnorm(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_rmsnorm(1, 1, false, 1, threads);
        check_rmsnorm(1, 2, false, 1, threads);
        check_rmsnorm(5, 33, false, 1, threads);
        check_rmsnorm(7, 64, true, 1, threads);
        check_rmsnorm(3, 101, false, 0.003, threads); /* eps counts as much as the squares */
    }
}

/* Rows of zeros stay so, and long ones do not overflow before their squares would. */
static void test_rmsnorm_extremes(void **state) {
    (void)state;
    enum { D = 48 };
    struct mf_pool *pool = make_pool(1);
    float *x = make_random(2 * D, 1), y[2 * D], rstd[2], dx[2 * D] = {0};
    double squares = 0;
    for (size_t i = 0; i < D; i++) {
        x[i] = 0;
        squares += (double)x[D + i] * (double)x[D + i] / D;
        x[D + i] *= 1e18f;
    }
    rmsnorm_forward(pool, y, rstd, x, NULL, eps, 2, D);
    rmsnorm_backward(pool, dx, NULL, y, x, NULL, rstd, NULL, 2, D);
    for (size_t i = 0; i < D; i++) {
        assert_true(y[i] == 0 && dx[i] == 0);
        assert_true(fabs((double)y[D + i] * sqrt(squares) / ((double)x[D + i] * 1e-18) - 1) < 1e-6);
        assert_true(isfinite(dx[D + i]));
    }
    free(x);
    mf_pool_free(pool);
}

/* Heads inside wider rows, from the `first` on; the backward in place as well. */
static void check_rmsnorm_heads(size_t N, size_t first, size_t H, size_t d, int threads) {
    struct mf_pool *pool = make_pool(threads);
    size_t ld = (first + H + 2) * d, ld_x = ld + 3, at = first * d;
    float *x = make_random(N * ld_x, 1), *gain = make_random(d, 2), *dy = make_random(N * ld, 3);
    float *y = make_random(N * ld, 4), *rstd = make_poison(N * H), *dx = make_random(N * ld, 5);
    float *dgain = make_random(d, 6), *scratch = make_poison((size_t)threads * d);
    float *tight = make_zeros(N * H * d), *dtight = make_zeros(N * H * d), *dx_tight = make_zeros(N * ld_x);
    double *x2 = to_double(x, N * ld_x), *gain2 = to_double(gain, d), *y0 = to_double(y, N * ld);
    double *dx0 = to_double(dx, N * ld), *dgain0 = to_double(dgain, d), *y2 = calloc(N * H * d, sizeof *y2);
    rmsnorm_heads_forward(pool, y + at, ld, rstd, x + at, ld_x, gain, eps, N, H, d);
    rmsnorm_heads_backward(pool, dx + at, ld, dgain, dy + at, ld, x + at, ld_x, gain, rstd, scratch, N, H, d);
    assert_beside(y, y0, N, ld, at + H * d);
    assert_beside(dx, dx0, N, ld, at + H * d);
    for (size_t n = 0; n < N; n++) {
        assert_true(at == 0 || (double)y[n * ld + at - 1] == y0[n * ld + at - 1]);
        memcpy(tight + n * H * d, y + n * ld + at, H * d * sizeof *y);
        memcpy(dtight + n * H * d, dy + n * ld + at, H * d * sizeof *y);
        memcpy(dx_tight + n * ld_x + at, dx + n * ld + at, H * d * sizeof *y);
    }
    double *w2 = to_double(dtight, N * H * d);
    struct norm_twin t = {x2 + at, gain2, w2, N, H, d, ld_x, y2};
    norm_twin(&t);
    assert_close("y", tight, y2, N * H * d, 1e-6);
    assert_gradient("dx", dx_tight + at, x2 + at, N * ld_x - at, norm_twin, &t);
    for (size_t i = 0; i < d; i++) dgain[i] = (float)((double)dgain[i] - dgain0[i]); /* it adds */
    assert_gradient("dgain", dgain, gain2, d, norm_twin, &t);
    rmsnorm_heads_backward(pool, dy + at, ld, NULL, dy + at, ld, x + at, ld_x, gain, rstd, NULL, N, H, d);
    for (size_t n = 0; n < N; n++)
        assert_memory_equal(dy + n * ld + at, dx + n * ld + at, H * d * sizeof *dx); /* in place, frozen */
    FREE_ALL(x, gain, dy, y, rstd, dx, dgain, scratch, tight, dtight, dx_tight, x2, gain2, y0, dx0, dgain0,
             y2, w2);
    mf_pool_free(pool);
}

static void test_rmsnorm_heads(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_rmsnorm_heads(1, 0, 1, 2, threads);
        check_rmsnorm_heads(3, 2, 1, 6, threads);
        check_rmsnorm_heads(5, 0, 7, 10, threads);
        check_rmsnorm_heads(2, 1, 3, 34, threads);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rmsnorm_extremes),
        cmocka_unit_test(test_rmsnorm_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
