/* The optimizer and the schedule against values computed by hand, and windows of data. */
#include "nn.h"

#include "model/low_rank.h"
#include "train/muon.h"
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
    struct mf_train_config wsd = c; /* steady for 70 steps, linear for 30 */
    wsd.schedule = MF_WSD;
    assert_true(near(mf_learning_rate(&wsd, 5), 0.5, 1e-12));
    assert_true(near(mf_learning_rate(&wsd, 11), 1, 1e-12));
    assert_true(near(mf_learning_rate(&wsd, 80), 1, 1e-12));
    assert_true(near(mf_learning_rate(&wsd, 95), 0.6, 1e-12));
    assert_true(near(mf_learning_rate(&wsd, 110), 0.2, 1e-12));
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

/* x [R,C] = a p p'^T + b q q'^T; p, p' = (1, 1, 0, ..) / sqrt(2), q, q' = (1, -1, 0, ..) / sqrt(2). */
static void two_values(float *x, double a, double b, size_t R, size_t C) {
    memset(x, 0, R * C * sizeof *x);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) x[i * C + j] = (float)((a + (i == j ? b : -b)) / 2);
}

/* The polynomial, five times. */
static double newton_schulz(double x) {
    for (int k = 0; k < 5; k++) x = 3.4445 * x - 4.7750 * pow(x, 3) + 2.0315 * pow(x, 5);
    return x;
}

/* Singular vectors stay, singular values go through the polynomial; wide and tall, over two steps. */
static void check_muon(size_t R, size_t C, int threads) {
    struct mf_pool *pool = make_pool(threads);
    size_t n = R * C, s = R < C ? R : C;
    float *x = make_zeros(n), *m = make_zeros(n), *g = make_zeros(n), *expected = make_zeros(n),
          *scratch = make_poison(2 * n + 2 * s * s);
    struct mf_tensor t = {.name = "w", .dtype = MF_F32, .n_dims = 2, .shape = {R, C}, .data = x};
    const double lr = 0.01, decay = 0.1, rate = lr * 0.2 * sqrt((double)(R > C ? R : C));
    double a[2] = {0}, momentum[2] = {0}, twin[2] = {0};
    for (int step = 0; step < 2; step++) {
        a[0] = step ? -1 : 3, a[1] = 0.5;
        two_values(g, 2 * a[0], 2 * a[1], R, C); /* halved by the clipping */
        mf_muon(pool, &t, g, m, 0.5, lr, decay, scratch);
        double u[2];
        for (int k = 0; k < 2; k++) momentum[k] = 0.95 * momentum[k] + a[k];
        for (int k = 0; k < 2; k++) u[k] = 0.95 * momentum[k] + a[k];
        double norm = sqrt(u[0] * u[0] + u[1] * u[1]) + 1e-7;
        for (int k = 0; k < 2; k++) twin[k] = (1 - lr * decay) * twin[k] - rate * newton_schulz(u[k] / norm);
        two_values(expected, twin[0], twin[1], R, C);
        for (size_t i = 0; i < n; i++) assert_true(fabsf(x[i] - expected[i]) < 1e-6f);
        two_values(expected, momentum[0], momentum[1], R, C);
        for (size_t i = 0; i < n; i++) assert_true(fabsf(m[i] - expected[i]) < 1e-6f);
    }
    FREE_ALL(x, m, g, expected, scratch);
    mf_pool_free(pool);
}

static void test_muon(void **state) {
    (void)state;
    check_muon(2, 2, 1);
    check_muon(3, 19, 2);
    check_muon(37, 5, 2);
}

/* It takes the layers' matrices alone, which need no second moment, and scratch for the largest of them. */
static void test_muon_takes(void **state) {
    (void)state;
    const struct mf_shape shape = {.V = 9,
                                   .D = 4,
                                   .H = 2,
                                   .L = 2,
                                   .F = 6,
                                   .S = 3,
                                   .arch = MF_LLAMA,
                                   .K = 1,
                                   .d = 2,
                                   .rope_theta = 10,
                                   .norm_eps = 1e-5,
                                   .untied = true};
    struct mf_tensor tensors[64];
    size_t n = mf_backbone_tensors(&shape, NULL, tensors), taken = 0, floats = 0;
    for (size_t i = 0; i < n; i++) {
        taken += mf_muon_takes(&shape, &tensors[i]);
        if (mf_muon_takes(&shape, &tensors[i])) floats += mf_tensor_count(&tensors[i]);
    }
    assert_int_equal(taken, 2 * 4); /* q, k, v, o */
    n = mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, NULL, tensors);
    for (size_t i = 0; i < n; i++) assert_true(mf_muon_takes(&shape, &tensors[i]));
    struct mf_muon_memory ffn = mf_muon_memory(&shape, true, 0, false),
                          all = mf_muon_memory(&shape, false, 0, false),
                          changes = mf_muon_memory(&shape, true, 2, false);
    assert_int_equal(ffn.scratch, 2 * 6 * 4 + 2 * 4 * 4);
    assert_int_equal(all.scratch, ffn.scratch);
    assert_int_equal(ffn.matrices, mf_ffn_size(&shape));
    assert_int_equal(all.matrices, ffn.matrices + floats);
    assert_int_equal(changes.matrices, mf_changes_size(&shape, 2));
    assert_int_equal(changes.scratch, 2 * 6 * 2 + 2 * 2 * 2);
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
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_muon),
        cmocka_unit_test(test_muon_takes),
        cmocka_unit_test(test_ranks_without_mpi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
