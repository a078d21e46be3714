/* The router's gradients in an assembled model against central differences of its own forward pass. */
#include "moe_fixture.h"

#include "nn/gate.h"

static double objective(struct fixture *f, const struct mf_moe_batch *batch, float *gradient) {
    struct mf_err err;
    double loss, balance;
    assert_int_equal(mf_moe_backward(f->moe, f->tape, batch, gradient, &loss, &balance, &err), 0);
    return batch->scale * loss + batch->balance * balance;
}

/* A step across the border of a choice has no difference to compare with: few parameters may be off. */
static void check(bool noisy, bool over_all, bool mean, double gate_scale) {
    struct fixture f;
    begin(&f, 2);
    struct mf_moe_batch batch = {.tokens = tokens,
                                 .targets = targets,
                                 .seqs = {3, starts},
                                 .token_scores = f.token_scores,
                                 .scale = 0.3,
                                 .balance = 0.7,
                                 .noisy = noisy,
                                 .key = 11};
    f.moe->router.over_all = over_all;
    f.moe->router.gate_scale = gate_scale;
    f.moe->router.score_scale = 0.5;
    f.moe->router.mean = mean;
    for (size_t i = 0; i < shape.L; i++) f.moe->router.layer_scale[i] = 0.4 + (double)i;
    size_t size = mf_moe_routers_size(f.moe), part = E * shape.D, off = 0;
    float *gradient = make_zeros(size), *unused = make_zeros(size);
    objective(&f, &batch, gradient);
    double largest = 0;
    for (size_t i = 0; i < size; i++) largest = fmax(largest, fabs((double)gradient[i]));
    assert_true(largest > 1e-2);
    for (size_t i = 0; i < size; i += difference_stride()) {
        struct mf_moe_layer *l = &f.moe->layers[i / (2 * part)];
        float *x = (i / part % 2 ? l->noise : l->gate) + i % part, old = *x;
        *x = old + 2e-3f;
        double up = objective(&f, &batch, unused), width = (double)*x;
        *x = old - 2e-3f;
        double down = objective(&f, &batch, unused);
        double expected = (up - down) / (width - (double)*x);
        *x = old;
        off += !(fabs((double)gradient[i] - expected) <= 5e-3 * largest);
        if (!noisy && i / part % 2) assert_true(gradient[i] == 0);
    }
    if (off > size / 50) fail_msg("%zu of %zu gradients differ", off, size);
    free(gradient);
    free(unused);
    end(&f);
}

static void test_gradients(void **state) {
    (void)state;
    check(false, false, false, 1);
    check(false, true, false, 1);
}

static void test_gradients_noisy(void **state) {
    (void)state;
    check(true, false, false, 1);
    check(true, true, false, 0.4);
}

/* Token scores over the rms of their row: what a layer adds to the row moves the logits above it. */
static void test_gradients_mean(void **state) {
    (void)state;
    check(false, false, true, 1);
    check(true, false, true, 0.6);
}

/* Without noise the loss is that of measuring, whatever the number of experts in memory. */
static void test_loss(void **state) {
    (void)state;
    struct fixture f;
    struct mf_err err;
    const float *hidden;
    double losses[ROWS], expected = 0, loss, balance;
    begin(&f, 1);
    struct mf_moe_batch batch = {.tokens = tokens, .targets = targets, .seqs = {3, starts}, .scale = 1};
    float *gradient = make_zeros(mf_moe_routers_size(f.moe));
    assert_int_equal(mf_moe_forward(f.moe, f.work, tokens, &batch.seqs, NULL, NULL, &hidden, &err), 0);
    assert_int_equal(mf_moe_losses(f.moe, f.work, hidden, targets, ROWS, losses, &err), 0);
    for (size_t n = 0; n < ROWS; n++) expected += losses[n];
    assert_int_equal(mf_moe_backward(f.moe, f.tape, &batch, gradient, &loss, &balance, &err), 0);
    assert_true(loss == expected);
    assert_true(balance > 0.9 * (double)shape.L);
    free(gradient);
    end(&f);
}

/* A sequence of which the first rows come together and the others one by one, with keys and values kept, has
 * the hidden rows of one that comes whole. */
static void test_cache(void **state) {
    (void)state;
    struct fixture f;
    struct mf_err err;
    struct mf_moe_cache *cache;
    enum { FIRST = 3 };
    const float *hidden;
    const size_t whole[] = {0, shape.S};
    begin(&f, 2);
    float *expected = make_zeros(shape.S * shape.D);
    const struct seqs one = {1, whole};
    assert_int_equal(mf_moe_forward(f.moe, f.work, tokens, &one, NULL, NULL, &hidden, &err), 0);
    memcpy(expected, hidden, shape.S * shape.D * sizeof *expected);
    assert_int_equal(mf_moe_cache_new(&cache, f.moe, &err), 0);
    for (size_t at = 0, n; at < shape.S; at += n) {
        n = at == 0 ? FIRST : 1;
        assert_int_equal(mf_moe_fill(f.moe, f.work, cache, tokens + at, n, NULL, &hidden, &err), 0);
        for (size_t i = 0; i < n * shape.D; i++)
            assert_true(fabsf(hidden[i] - expected[at * shape.D + i]) < 2e-5f * (1 + fabsf(hidden[i])));
    }
    mf_moe_cache_free(cache);
    free(expected);
    end(&f);
}

/* The logits of a row, made for itself, are those whose losses are measured. */
static void test_logits(void **state) {
    (void)state;
    struct fixture f;
    struct mf_err err;
    const float *hidden;
    const struct seqs seqs = {3, starts};
    double losses[ROWS];
    begin(&f, 2);
    float *logits = make_zeros(shape.V);
    assert_int_equal(mf_moe_forward(f.moe, f.work, tokens, &seqs, NULL, NULL, &hidden, &err), 0);
    assert_int_equal(mf_moe_losses(f.moe, f.work, hidden, targets, ROWS, losses, &err), 0);
    for (size_t n = ROWS; n-- > 0;) {
        double sum = 0;
        assert_int_equal(mf_moe_logits(f.moe, f.work, hidden + n * shape.D, logits, &err), 0);
        for (size_t v = 0; v < shape.V; v++) sum += exp((double)logits[v]);
        double loss = targets[n] == LOSS_IGNORE ? 0 : log(sum) - (double)logits[targets[n]];
        assert_true(fabs(loss - losses[n]) < 1e-5 * (1 + loss));
    }
    free(logits);
    end(&f);
}

/* The balance of rows that all go one way is E in each layer; of rows that differ in nothing, 1. */
static void test_balance(void **state) {
    (void)state;
    struct fixture f;
    struct mf_err err;
    double loss, balance;
    begin(&f, 1);
    struct mf_moe_batch batch = {.tokens = tokens, .targets = targets, .seqs = {3, starts}, .scale = 1};
    float *gradient = make_zeros(mf_moe_routers_size(f.moe));
    f.moe->router.gate_scale = 0;
    assert_int_equal(mf_moe_backward(f.moe, f.tape, &batch, gradient, &loss, &balance, &err), 0);
    assert_true(fabs(balance / (double)shape.L - 1) < 1e-5);
    f.moe->router.score_scale = 1;
    for (size_t i = 0; i < (size_t)ROWS * E; i++)
        f.token_scores[i] = i % E == 0 ? 50 : i % E == 1 ? 49.9f : 0;
    batch.token_scores = f.token_scores;
    assert_int_equal(mf_moe_backward(f.moe, f.tape, &batch, gradient, &loss, &balance, &err), 0);
    assert_true(fabs(balance / (double)shape.L - E / (double)K) < 1e-4);
    free(gradient);
    end(&f);
}

static void test_softplus(void **state) {
    (void)state;
    const float points[] = {-90, -3, 0, 2, 90};
    for (size_t i = 0; i < 5; i++) {
        double x = (double)points[i], step = 1e-4;
        assert_true(fabs((double)softplus_forward(points[i]) - log1p(exp(x))) < 1e-6 * (1 + fabs(x)));
        double slope = (log1p(exp(x + step)) - log1p(exp(x - step))) / (2 * step);
        assert_true(fabs((double)softplus_backward(points[i]) - slope) < 1e-6);
    }
}

int main(void) {
    const struct CMUnitTest mean[] = {cmocka_unit_test(test_gradients_mean)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_gradients_noisy),
        cmocka_unit_test(test_loss),      cmocka_unit_test(test_balance),
        cmocka_unit_test(test_softplus),  cmocka_unit_test(test_cache),
        cmocka_unit_test(test_logits),
    };
    return cmocka_run_group_tests_name("reference", tests, begin_reference, leave_folder) +
           cmocka_run_group_tests_name("llama", tests, begin_llama, leave_folder) +
           cmocka_run_group_tests_name("normed", tests, begin_normed, leave_folder) +
           cmocka_run_group_tests_name("llama, heads", tests, begin_heads, leave_folder) +
           cmocka_run_group_tests_name("normed, factors", tests, begin_factors, leave_folder) +
           cmocka_run_group_tests_name("reference, whole heads", tests, begin_whole_heads, leave_folder) +
           cmocka_run_group_tests_name("llama, mean", mean, begin_llama, leave_folder) +
           cmocka_run_group_tests_name("normed, mean", mean, begin_normed, leave_folder);
}
