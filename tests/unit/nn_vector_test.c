/* Loops over flat arrays, the fast exponential, and GELU, which is made of it, against naive loops in double.
 */
#include "nn.h"

#include "nn/exp.h"
#include "nn/gelu.h"
#include "nn/vector.h"

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

static void test_exp(void **state) {
    (void)state;
    for (int i = 0; i < 12774; i++) {
        float x = (float)(0.0137 * i - 87);
        assert_true(fabs((double)fast_exp(x) / exp((double)x) - 1) < 3e-7);
    }
    assert_true(fast_exp(-100) == 0);
    assert_true(fast_exp(-INFINITY) == 0);
    assert_true(isnan(fast_exp(NAN)));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_vector_blocks),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_gelu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
