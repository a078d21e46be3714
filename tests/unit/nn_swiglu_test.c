/* Gated units: against a naive loop in double, its backward against central
 * differences of that loop, at odd sizes and in
 * place; and the error over the whole range. */
#include "nn.h"

#include "nn/swiglu.h"

struct swiglu_twin {
    const double *gate, *up, *weights; /* gate and up [N,ld], weights [N,F] */
    size_t N, F, ld;
    double *y; /* [N,F] */
};

static double swiglu_twin(const void *context) {
    const struct swiglu_twin *t = context;
    for (size_t n = 0; n < t->N; n++)
        for (size_t f = 0; f < t->F; f++) {
            double gate = t->gate[n * t->ld + f];
            t->y[n * t->F + f] = gate / (1 + exp(-gate)) * t->up[n * t->ld + f];
        }
    return weighted_sum(t->y, t->weights, t->N * t->F);
}

/* Both halves of rows that are 2F + 1 wide: what is behind them is not touched. */
static void check_swiglu(size_t N, size_t F, int threads) {
    struct mf_pool *pool = make_pool(threads);
    size_t ld = 2 * F + 1, size = N * ld;
    float *x = make_random(size, 1), *dy = make_random(N * F, 2), *y = make_poison(N * F);
    float *dx = make_zeros(size), *again = make_poison(N * F);
    for (size_t i = 0; i < size; i++) x[i] *= 3; /* also where the gate is nearly open or shut */
    double *x2 = to_double(x, size), *w2 = to_double(dy, N * F), *y2 = calloc(N * F, sizeof *y2);
    struct swiglu_twin t = {x2, x2 + F, w2, N, F, ld, y2};
    swiglu_forward(pool, y, x, x + F, ld, N, F);
    swiglu_twin(&t);
    assert_close("y", y, y2, N * F, 6e-7);
    swiglu_backward(pool, dx, dx + F, NULL, dy, x, x + F, ld, N, F);
    assert_gradient("gate and up", dx, x2, size, swiglu_twin, &t);
    swiglu_backward(pool, x, x + F, again, dy, x, x + F, ld, N, F); /* in place, y as well */
    assert_memory_equal(again, y, N * F * sizeof *y);
    for (size_t n = 0; n < N; n++) {
        assert_memory_equal(x + n * ld, dx + n * ld, 2 * F * sizeof *x);
        assert_true((double)x[n * ld + 2 * F] == x2[n * ld + 2 * F]);
    }
    FREE_ALL(x, dy, y, dx, again, x2, w2, y2);
    mf_pool_free(pool);
}

/* Two arrays, y over each of them, and over dy. */
static void check_swiglu_in_place(size_t N, size_t F) {
    struct mf_pool *pool = make_pool(2);
    size_t bytes = N * F * sizeof(float);
    float *gate = make_random(N * F, 1), *up = make_random(N * F, 2), *dy = make_random(N * F, 3);
    float *y = make_poison(N * F), *over = make_zeros(N * F), *dgate = make_poison(N * F);
    float *dup = make_poison(N * F);
    swiglu_forward(pool, y, gate, up, F, N, F);
    memcpy(over, gate, bytes);
    swiglu_forward(pool, over, over, up, F, N, F);
    assert_memory_equal(over, y, bytes);
    memcpy(over, up, bytes);
    swiglu_forward(pool, over, gate, over, F, N, F);
    assert_memory_equal(over, y, bytes);
    swiglu_backward(pool, dgate, dup, NULL, dy, gate, up, F, N, F);
    swiglu_backward(pool, gate, up, dy, dy, gate, up, F, N, F);
    assert_memory_equal(gate, dgate, bytes);
    assert_memory_equal(up, dup, bytes);
    assert_memory_equal(dy, y, bytes);
    FREE_ALL(gate, up, dy, y, over, dgate, dup);
    mf_pool_free(pool);
}

static void test_swiglu(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_swiglu(1, 1, threads);
        check_swiglu(9, 37, threads);
        check_swiglu(4, 344 / 8, threads);
    }
    check_swiglu_in_place(1, 1);
    check_swiglu_in_place(7, 101);
}

/* The bound that the header states, over the whole range, and beyond it. */
static void test_swiglu_error(void **state) {
    (void)state;
    enum { F = 12700 };
    struct mf_pool *pool = make_pool(1);
    float *gate = make_zeros(F), *up = make_zeros(F), *y = make_poison(F), *dgate = make_poison(F);
    float *dup = make_poison(F), *ones = make_zeros(F);
    for (size_t i = 0; i < F; i++) {
        gate[i] = (float)(0.0137 * (double)i - 87);
        up[i] = 0.1f + (float)(i % 7);
        ones[i] = 1;
    }
    swiglu_forward(pool, y, gate, up, F, 1, F);
    swiglu_backward(pool, dgate, dup, NULL, ones, gate, up, F, 1, F);
    for (size_t i = 0; i < F; i++) {
        double u = (double)gate[i], s = 1 / (1 + exp(-u)), silu = u * s, rest = 1 / (1 + exp(u));
        assert_true(fabs((double)y[i] - silu * (double)up[i]) <= 6e-7 * fabs(silu * (double)up[i]));
        assert_true(fabs((double)dup[i] - silu) <= 6e-7 * fabs(silu));
        /* 1 + u (1 - s) has a zero, at -1.278: there the error is absolute */
        double slope = s * (1 + u * rest);
        assert_true(fabs((double)dgate[i] - (double)up[i] * slope) <=
                    1e-6 * s * (1 + fabs(u) * rest) * (double)up[i]);
    }
    const float far[] = {-1e30f, -88, 88, 1e30f, NAN}, one[] = {1, 1, 1, 1, 1};
    swiglu_forward(pool, y, far, one, 5, 1, 5);
    swiglu_backward(pool, dgate, dup, NULL, one, far, one, 5, 1, 5);
    assert_true(y[0] == 0 && y[1] == 0 && y[2] == 88 && y[3] == 1e30f && isnan(y[4]));
    assert_true(dgate[0] == 0 && dgate[1] == 0 && dgate[2] == 1 && dgate[3] == 1 && isnan(dgate[4]));
    FREE_ALL(gate, up, y, dgate, dup, ones);
    mf_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_swiglu_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
