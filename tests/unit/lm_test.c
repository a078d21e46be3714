/* The whole trainable model against its twin: its loss, and the gradient of every parameter. */
#include "lm_fixture.h"

static void check_gradients(float p, bool frozen, size_t again, int64_t pad, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {
        .max_rows = ROWS, .frozen = frozen, .recompute = layers_again(again), .pad = pad};
    begin(&f, threads);
    struct twin t = {.backbone = f.backbone_twin, .ffn = f.ffn_twin, .batch = &batch, .dropout = dropout};
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn},
                         g = {.backbone = frozen ? NULL : f.backbone_grad, .ffn = f.ffn_grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    struct mf_tensor *tensors = calloc(200, sizeof *tensors);
    size_t count = mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, f.ffn, tensors);
    compare(&f, tensors, count, f.ffn_twin, &t, f.ffn_grad, 0.25, -1);
    count = mf_backbone_tensors(&shape, f.backbone, tensors);
    if (!frozen) compare(&f, tensors, count, f.backbone_twin, &t, f.backbone_grad, 0.25, pad);
    for (size_t k = 0; pad >= 0 && k < shape.D; k++)
        assert_true(f.backbone_grad[(size_t)pad * shape.D + k] == 0);
    for (size_t i = 0; frozen && i < f.n_backbone; i++) assert_true(f.backbone_grad[i] == 0);
    free(tensors);
    mf_lm_free(lm);
    end(&f);
}

static void test_gradients(void **state) {
    (void)state;
    check_gradients(0, false, 0, 0, 1);
    check_gradients(0, false, 0, -1, 2);
    check_gradients(0, false, 1, -1, 1);
    check_gradients(0, false, ALL, 7, 2);
}

static void test_gradients_dropout(void **state) {
    (void)state;
    check_gradients(0.25f, false, 0, 0, 2);
    check_gradients(0.25f, false, 2, -1, 2);
    check_gradients(0.25f, false, ALL, -1, 1);
}

static void test_gradients_frozen(void **state) {
    (void)state;
    check_gradients(0.25f, true, 0, 0, 2);
    check_gradients(0.25f, true, 1, 0, 2);
    check_gradients(0.25f, true, 2, 0, 1);
    check_gradients(0.25f, true, ALL, -1, 2);
}

/* Without dropout the loss alone is the same number; gradients add up over calls. */
static void test_loss_and_accumulation(void **state) {
    (void)state;
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    begin(&f, 2);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn},
                         g = {.backbone = f.backbone_grad, .ffn = f.ffn_grad};
    struct dropout none = {0};
    assert_int_equal(mf_lm_new(&lm, &shape, &(struct mf_lm_plan){.max_rows = ROWS}, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, none, 1);
    assert_true(loss == mf_lm_loss(lm, &w, &batch));
    float *once = malloc(f.n_ffn * sizeof *once);
    memcpy(once, f.ffn_grad, f.n_ffn * sizeof *once);
    mf_lm_backward(lm, &w, &g, &batch, none, 1);
    for (size_t i = 0; i < f.n_ffn; i++)
        assert_true(fabsf(f.ffn_grad[i] - 2 * once[i]) <= 1e-5f + 1e-4f * fabsf(once[i]));
    free(once);
    mf_lm_free(lm);
    end(&f);
}

/* Recomputing what was not kept changes the gradients by rounding at most, and takes the less memory the more
 * layers do. */
static void test_recompute(void **state) {
    (void)state;
    struct fixture f;
    struct mf_err err;
    struct dropout dropout = {0.25f, 5, 0};
    begin(&f, 2);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn},
                         g = {.backbone = f.backbone_grad, .ffn = f.ffn_grad};
    float *kept = malloc(f.n_backbone * sizeof *kept);
    size_t least = 0;
    for (size_t again = 0; again <= shape.L; again++) {
        struct mf_lm *lm;
        struct mf_lm_plan plan = {.max_rows = ROWS, .recompute = again};
        memset(f.backbone_grad, 0, f.n_backbone * sizeof *f.backbone_grad);
        assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
        mf_lm_backward(lm, &w, &g, &batch, dropout, 1);
        mf_lm_free(lm);
        if (!again) memcpy(kept, f.backbone_grad, f.n_backbone * sizeof *kept);
        for (size_t i = 0; i < f.n_backbone; i++)
            assert_true(fabsf(kept[i] - f.backbone_grad[i]) <= 1e-5f + 1e-4f * fabsf(kept[i]));
        size_t memory = mf_lm_memory(&shape, &plan, 2);
        /* the first needs a place for what is made again */
        if (again > 1) assert_true(memory < least);
        least = memory;
    }
    assert_true(least < mf_lm_memory(&shape, &(struct mf_lm_plan){.max_rows = ROWS}, 2));
    free(kept);
    end(&f);
}

struct seen {
    size_t calls[16];
    double first[16]; /* sum of squares of the first row */
};

static void watch(void *context, size_t site, const float *rows, size_t N) {
    struct seen *s = context;
    assert_int_equal(N, ROWS);
    assert_true(site < 2 * shape.L + 1);
    s->calls[site]++;
    for (size_t k = 0; k < shape.D; k++) s->first[site] += (double)rows[k] * (double)rows[k];
}

/* The watcher sees every norm once, rows of mean square one. */
static void test_watch(void **state) {
    (void)state;
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct seen seen = {0};
    begin(&f, 1);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn};
    assert_int_equal(
        mf_lm_new(&lm, &shape, &(struct mf_lm_plan){.max_rows = ROWS, .frozen = true}, f.pool, &err), 0);
    mf_lm_norms(lm, &w, &batch, watch, &seen);
    for (size_t i = 0; i < 2 * shape.L + 1; i++) {
        assert_int_equal(seen.calls[i], 1);
        assert_true(fabs(seen.first[i] / (double)shape.D - 1) < 1e-3);
    }
    mf_lm_free(lm);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_gradients_dropout),
        cmocka_unit_test(test_gradients_frozen),
        cmocka_unit_test(test_loss_and_accumulation),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_recompute),
    };
    return RUN_FAMILIES(tests);
}
