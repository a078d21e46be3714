/* The optimizer and the schedule against values computed by hand, and windows of data. */
#include "nn.h"

#include "train/optimizer.h"
#include "train/ranks.h"

static bool near(double a, double b, double tolerance) {
    return fabs(a - b) <= tolerance * fabs(b);
}

/* Warmup is linear, the top is at its end, the bottom at the last step, the middle half way. */
static void test_schedule(void **state) {
    (void)state;
    const struct mf_train_config c = {.steps = 110, .warmup = 10, .lr = 1, .min_lr = 0.2};
    assert_true(near(mf_learning_rate(&c, 1), 0.1, 1e-12));
    assert_true(near(mf_learning_rate(&c, 5), 0.5, 1e-12));
    assert_true(near(mf_learning_rate(&c, 10), 1, 1e-12));
    assert_true(near(mf_learning_rate(&c, 60), 0.6, 1e-12));
    assert_true(near(mf_learning_rate(&c, 35), 0.6 + 0.4 * cos(3.14159265358979 / 4), 1e-9));
    assert_true(near(mf_learning_rate(&c, 110), 0.2, 1e-12));
    const struct mf_train_config none = {.steps = 4, .warmup = 0, .lr = 2, .min_lr = 0};
    assert_true(near(mf_learning_rate(&none, 2), 1, 1e-12));
    const struct mf_train_config all = {.steps = 4, .warmup = 4, .lr = 2, .min_lr = 1};
    assert_true(near(mf_learning_rate(&all, 4), 2, 1e-12));
}

/* Two steps by hand. g = 0.5, then -1; beta1 0.9, beta2 0.999:
 *   m = 0.05, v = 0.00025; corrected 0.5, 0.25: the step is lr * 0.5 / 0.5 = lr
 *   m = -0.055, v = 0.00124975; corrected -0.055/0.19, 0.00124975/0.001999 */
static void test_adamw(void **state) {
    (void)state;
    struct mf_pool *pool = make_pool(2);
    const struct mf_train_config c = {.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    float x[] = {2, 3}, m[2] = {0}, v[2] = {0}, g[] = {0.5f, 0.5f};
    struct mf_tensor tensors[] = {{.name = "w", .dtype = MF_F32, .n_dims = 2, .shape = {1, 1}, .data = x},
                                  {.name = "b", .dtype = MF_F32, .n_dims = 1, .shape = {1}, .data = x + 1}};
    mf_adamw(pool, tensors, 2, g, m, v, &c, 0.01, 1, 1);
    assert_true(near((double)x[0], 2 - 0.01 * 0.1 * 2 - 0.01, 1e-6));
    assert_true(near((double)x[1], 3 - 0.01, 1e-6)); /* a vector is not decayed */
    double w = 2 - 0.01 * 0.1 * 2 - 0.01;
    g[0] = g[1] = -1;
    mf_adamw(pool, tensors, 2, g, m, v, &c, 0.01, 1, 2);
    double step = 0.01 * (-0.055 / 0.19) / (sqrt(0.00124975 / 0.001999) + 1e-8);
    assert_true(near((double)x[0], w - 0.01 * 0.1 * w - step, 1e-6));
    assert_true(near((double)m[0], -0.055, 1e-5));
    assert_true(near((double)v[0], 0.00124975, 1e-5));
    mf_pool_free(pool);
}

/* Clipping multiplies the gradient before the moments see it. */
static void test_clipping(void **state) {
    (void)state;
    struct mf_pool *pool = make_pool(1);
    const struct mf_train_config c = {.beta1 = 0, .beta2 = 0, .eps = 1e-8};
    float x[] = {0, 0}, m[2] = {0}, v[2] = {0}, g[] = {3, 4};
    struct mf_tensor t = {.name = "b", .dtype = MF_F32, .n_dims = 1, .shape = {2}, .data = x};
    double norm = mf_gradient_norm(pool, g, 2);
    assert_true(near(norm, 5, 1e-12));
    mf_adamw(pool, &t, 1, g, m, v, &c, 0.1, 1 / norm, 1);
    assert_true(near((double)m[0], 0.6, 1e-6));
    assert_true(near((double)m[1], 0.8, 1e-6));
    mf_pool_free(pool);
}

/* The norm is the same for any number of threads. */
static void test_norm(void **state) {
    (void)state;
    size_t n = 100003;
    float *g = make_random(n, 1);
    double sum = 0, first = 0;
    for (size_t i = 0; i < n; i++) sum += (double)g[i] * (double)g[i];
    for (int t = 1; t <= 3; t++) {
        struct mf_pool *pool = make_pool(t);
        double norm = mf_gradient_norm(pool, g, n);
        assert_true(near(norm, sqrt(sum), 1e-6));
        if (t == 1) first = norm;
        assert_true(norm == first);
        mf_pool_free(pool);
    }
    free(g);
}

/* The library knows one process, and says so where mpirun started more. */
static void test_ranks_without_mpi(void **state) {
    (void)state;
    struct mf_ranks *ranks;
    struct mf_err err = {0};
    assert_int_equal(mf_ranks_begin(&ranks, NULL, &err), 0);
    assert_int_equal(mf_ranks_begin(&ranks, "1", &err), 0);
    assert_int_equal(mf_ranks_count(ranks), 1);
    assert_int_equal(mf_ranks_begin(&ranks, "2", &err), -1);
    assert_int_equal(err.status, EX_USAGE);
    assert_string_equal(err.text, "mpirun started 2 processes, but this program was built without MPI");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule),          cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_clipping),          cmocka_unit_test(test_norm),
        cmocka_unit_test(test_ranks_without_mpi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
