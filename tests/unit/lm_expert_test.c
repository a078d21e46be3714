/* What an expert learns beside a frozen backbone, against the twin: changes of low rank, beside the anchor, a
 * head of its own; and the backbone in bf16. */
#include "lm_fixture.h"

/* Gradients of changes of low rank, with all else frozen and each tensor by itself in memory. */
static void check_changes(float p, size_t again, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {.max_rows = ROWS,
                              .frozen = true,
                              .recompute = layers_again(again),
                              .pad = -1,
                              .low_rank = {RANK, ALPHA}};
    size_t n = mf_changes_size(&shape, RANK);
    float *changes = make_random(n, 3), *grad = make_zeros(n);
    for (size_t i = 0; i < n; i++) changes[i] *= 0.5f;
    double *changes_twin = to_double(changes, n);
    begin(&f, threads);
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), *tensors = calloc(200, sizeof *tensors);
    size_t apart = mf_backbone_tensors(&shape, f.backbone, frozen);
    apart += mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, frozen + apart);
    for (size_t i = 0; i < apart; i++) {
        size_t bytes = mf_tensor_bytes(&frozen[i]);
        if (frozen[i].n_dims == 1) continue;
        void *own = malloc(bytes);
        frozen[i].data = memcpy(own, frozen[i].data, bytes);
    }
    struct twin t = {f.backbone_twin, f.ffn_twin, &batch, dropout, changes_twin, NULL, NULL, 0, NULL};
    struct mf_lm_weights w = {.changes = changes, .frozen = frozen}, g = {.changes = grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    size_t count = mf_changes_tensors(&shape, RANK, changes, tensors);
    compare(&f, tensors, count, changes_twin, &t, grad, 0.25, -1);
    mf_lm_free(lm);
    for (size_t i = 0; i < apart; i++)
        if (frozen[i].n_dims > 1) free(frozen[i].data);
    FREE_ALL(changes, grad, changes_twin, frozen, tensors);
    end(&f);
}

static void test_changes(void **state) {
    (void)state;
    check_changes(0, 0, 1);
    check_changes(0, 1, 1);
    check_changes(0.25f, ALL, 2);
}

/* Gradients of an FFN beside a frozen one with other numbers, or of changes to that one. */
static void check_anchor(float p, size_t again, bool low, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {
        .max_rows = ROWS, .frozen = true, .recompute = layers_again(again), .pad = -1, .anchor = true};
    begin(&f, threads);
    size_t n = low ? mf_changes_size(&shape, RANK) : f.n_ffn;
    float *learns = make_random(n, 3), *grad = make_zeros(n);
    for (size_t i = 0; i < n; i++) learns[i] *= 0.5f;
    double *twin = to_double(learns, n);
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), *tensors = calloc(200, sizeof *tensors);
    size_t apart = mf_backbone_tensors(&shape, f.backbone, frozen);
    mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, frozen + apart);
    struct twin t = {f.backbone_twin,
                     low ? f.ffn_twin : twin,
                     &batch,
                     dropout,
                     low ? twin : NULL,
                     f.ffn_twin,
                     NULL,
                     0,
                     NULL};
    struct mf_lm_weights w = {.frozen = frozen}, g = {0};
    *(low ? &w.changes : &w.ffn) = learns;
    *(low ? &g.changes : &g.ffn) = grad;
    if (low) plan.low_rank = (struct mf_low_rank){RANK, ALPHA};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    size_t count = low ? mf_changes_tensors(&shape, RANK, learns, tensors)
                       : mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, learns, tensors);
    compare(&f, tensors, count, twin, &t, grad, 0.25, -1);
    mf_lm_free(lm);
    FREE_ALL(learns, grad, twin, frozen, tensors);
    end(&f);
}

static void test_anchor(void **state) {
    (void)state;
    check_anchor(0, 0, false, 1);
    check_anchor(0.25f, ALL, false, 2);
    check_anchor(0.25f, 1, false, 2);
    check_anchor(0.25f, 0, true, 2);
    check_anchor(0, ALL, true, 1);
    check_anchor(0, 2, true, 1);
}

/* Gradients of an FFN and a head of rank R of its own, of a backbone in fp32 or in bf16. */
static void check_head(float p, size_t again, bool narrow, size_t R, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {.max_rows = ROWS,
                              .frozen = true,
                              .recompute = layers_again(again),
                              .narrow = narrow,
                              .pad = 7,
                              .head = R};
    begin(&f, threads);
    size_t n = mf_head_size(&shape, R);
    float *head = make_random(n, 3), *grad = make_zeros(n);
    for (size_t i = 0; i < n; i++) head[i] *= 0.5f;
    double *head_twin = to_double(head, n);
    uint16_t *rounded = malloc(f.n_backbone * sizeof *rounded), *at = rounded;
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), tensors[MF_HEAD_TENSORS];
    size_t count = mf_backbone_tensors(&shape, f.backbone, frozen);
    mf_bf16_round(rounded, f.backbone, f.n_backbone);
    if (narrow) mf_bf16_widen(f.backbone, rounded, f.n_backbone);
    for (size_t i = 0; i < f.n_backbone; i++) f.backbone_twin[i] = (double)f.backbone[i];
    for (size_t i = 0; narrow && i < count; at += mf_tensor_count(&frozen[i]), i++) {
        frozen[i].dtype = MF_BF16;
        frozen[i].data = at;
    }
    struct twin t = {.backbone = f.backbone_twin,
                     .ffn = f.ffn_twin,
                     .batch = &batch,
                     .dropout = dropout,
                     .head = head_twin,
                     .head_rank = R};
    struct mf_lm_weights w = {.ffn = f.ffn, .head = head, .frozen = frozen},
                         g = {.ffn = f.ffn_grad, .head = grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    compare(&f, tensors, mf_head_tensors(&shape, R, -1, head, tensors), head_twin, &t, grad, 0.25, -1);
    struct mf_tensor *ffn = calloc(200, sizeof *ffn);
    size_t below = narrow ? 0 : mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, f.ffn, ffn); /* once for each form */
    compare(&f, ffn, below, f.ffn_twin, &t, f.ffn_grad, 0.25, -1);
    t.dropout.p = 0;
    expected = twin_loss(&t);
    assert_true(fabs(mf_lm_loss(lm, &w, &batch) - expected) < 1e-4 * expected);
    mf_lm_free(lm);
    FREE_ALL(head, grad, head_twin, rounded, frozen, ffn);
    end(&f);
}

static void test_head(void **state) {
    (void)state;
    check_head(0.25f, 0, false, shape.D, 1);
    check_head(0, ALL, true, shape.D, 2);
    check_head(0.25f, 1, false, RANK, 2);
    check_head(0, 0, true, RANK, 1);
}

/* Gradients of an FFN, or changes to it, and of attention's own queries and outputs, of a backbone in one
 * array, or apart in fp32 or in bf16. */
static void check_attention(float p, size_t again, bool apart, bool narrow, bool low, int threads) {
    struct fixture f;
    struct mf_lm *lm;
    struct mf_err err;
    struct dropout dropout = {p, 12345, 3 * shape.D};
    struct mf_lm_plan plan = {.max_rows = ROWS,
                              .frozen = true,
                              .recompute = layers_again(again),
                              .narrow = narrow,
                              .pad = -1,
                              .attention = true};
    begin(&f, threads);
    size_t n = mf_attention_size(&shape), learns = low ? mf_changes_size(&shape, RANK) : f.n_ffn;
    float *own = make_random(n, 3), *grad = make_zeros(n), *changes = make_random(learns, 4),
          *ffn_grad = make_zeros(learns);
    for (size_t i = 0; i < n; i++) own[i] *= 0.5f;
    for (size_t i = 0; i < learns; i++) changes[i] *= 0.5f;
    double *twin = to_double(own, n), *changes_twin = to_double(changes, learns);
    uint16_t *rounded = malloc((f.n_backbone + f.n_ffn) * sizeof *rounded), *at = rounded;
    struct mf_tensor *frozen = calloc(200, sizeof *frozen), *tensors = calloc(200, sizeof *tensors);
    size_t count = mf_backbone_tensors(&shape, f.backbone, frozen);
    count += mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, frozen + count);
    mf_bf16_round(rounded, f.backbone, f.n_backbone);
    mf_bf16_round(rounded + f.n_backbone, f.ffn, f.n_ffn);
    if (narrow) mf_bf16_widen(f.backbone, rounded, f.n_backbone);
    if (narrow) mf_bf16_widen(f.ffn, rounded + f.n_backbone, f.n_ffn);
    for (size_t i = 0; i < f.n_backbone; i++) f.backbone_twin[i] = (double)f.backbone[i];
    for (size_t i = 0; i < f.n_ffn; i++) f.ffn_twin[i] = (double)f.ffn[i];
    for (size_t i = 0; narrow && i < count; at += mf_tensor_count(&frozen[i]), i++) {
        frozen[i].dtype = MF_BF16;
        frozen[i].data = at;
    }
    if (low) plan.low_rank = (struct mf_low_rank){RANK, ALPHA};
    struct twin t = {.backbone = f.backbone_twin,
                     .ffn = f.ffn_twin,
                     .batch = &batch,
                     .dropout = dropout,
                     .changes = low ? changes_twin : NULL,
                     .attention = twin};
    struct mf_lm_weights w = {.backbone = apart ? NULL : f.backbone,
                              .ffn = low ? NULL : f.ffn,
                              .changes = low ? changes : NULL,
                              .frozen = frozen,
                              .attention = own},
                         g = {.ffn = low ? NULL : f.ffn_grad,
                              .changes = low ? ffn_grad : NULL,
                              .attention = grad};
    assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
    double loss = mf_lm_backward(lm, &w, &g, &batch, dropout, 0.25f), expected = twin_loss(&t);
    assert_true(fabs(loss - expected) < 1e-4 * expected);
    compare(&f, tensors, mf_attention_all_tensors(&shape, -1, own, tensors), twin, &t, grad, 0.25, -1);
    size_t beside = again ? 0 /* once for each */
                    : low ? mf_changes_tensors(&shape, RANK, changes, tensors)
                          : mf_ffn_tensors(&shape, MF_FFN_EXPERT, 0, f.ffn, tensors);
    compare(&f, tensors, beside, low ? changes_twin : f.ffn_twin, &t, low ? ffn_grad : f.ffn_grad, 0.25, -1);
    mf_lm_free(lm);
    FREE_ALL(own, grad, changes, ffn_grad, twin, changes_twin, rounded, frozen, tensors);
    end(&f);
}

static void test_attention(void **state) {
    (void)state;
    if (shape.arch != MF_LLAMA) return; /* the reference has none */
    check_attention(0, 0, false, false, false, 1);
    check_attention(0.25f, ALL, true, false, false, 2);
    check_attention(0.25f, 0, true, true, true, 2);
    check_attention(0, ALL, true, true, false, 1);
    check_attention(0, 1, true, true, false, 2);
}

/* Factors as they begin change nothing: the loss is the dense model's. */
static void test_changes_begin(void **state) {
    (void)state;
    struct fixture f;
    struct mf_lm *lm[2];
    struct mf_err err;
    struct mf_lm_plan plain = {.max_rows = ROWS, .frozen = true},
                      low = {.max_rows = ROWS, .frozen = true, .low_rank = {RANK, ALPHA}};
    float *changes = make_poison(mf_changes_size(&shape, RANK));
    begin(&f, 1);
    mf_changes_init(&shape, RANK, changes, 5);
    struct mf_lm_weights w = {.backbone = f.backbone, .ffn = f.ffn};
    assert_int_equal(mf_lm_new(&lm[0], &shape, &plain, f.pool, &err), 0);
    assert_int_equal(mf_lm_new(&lm[1], &shape, &low, f.pool, &err), 0);
    double loss = mf_lm_loss(lm[0], &w, &batch);
    w.changes = changes;
    assert_true(loss == mf_lm_loss(lm[1], &w, &batch));
    mf_lm_free(lm[0]);
    mf_lm_free(lm[1]);
    free(changes);
    end(&f);
}

/* A backbone in bf16 gives what its rounded values give in fp32, and takes less memory; with changes the FFN
 * is as the backbone. */
static void check_narrow(size_t again, bool low, bool anchor) {
    struct fixture f;
    struct mf_err err;
    struct dropout dropout = {0.25f, 5, 0};
    double loss[2];
    begin(&f, 2);
    size_t n = low ? mf_changes_size(&shape, RANK) : f.n_ffn;
    float *changes = make_random(n, 3), *grads[2] = {make_zeros(n), make_zeros(n)};
    uint16_t *narrow = malloc((f.n_backbone + f.n_ffn) * sizeof *narrow), *at = narrow;
    mf_bf16_round(narrow, f.backbone, f.n_backbone);
    mf_bf16_widen(f.backbone, narrow, f.n_backbone);
    mf_bf16_round(narrow + f.n_backbone, f.ffn, f.n_ffn);
    if (low || anchor) mf_bf16_widen(f.ffn, narrow + f.n_backbone, f.n_ffn);
    struct mf_tensor *frozen = calloc(200, sizeof *frozen);
    size_t count = mf_backbone_tensors(&shape, NULL, frozen);
    count += mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, NULL, frozen + count);
    struct mf_tensor *wide = calloc(200, sizeof *wide);
    mf_ffn_tensors(&shape, MF_FFN_DENSE, 0, f.ffn, wide + mf_backbone_tensors(&shape, f.backbone, wide));
    for (size_t i = 0; i < count; at += mf_tensor_count(&frozen[i]), i++) {
        frozen[i].dtype = MF_BF16;
        frozen[i].data = at;
    }
    for (int k = 0; k < 2; k++) { /* fp32 and bf16 */
        struct mf_lm *lm;
        struct mf_lm_plan plan = {.max_rows = ROWS,
                                  .frozen = true,
                                  .recompute = layers_again(again),
                                  .narrow = k,
                                  .anchor = anchor};
        struct mf_lm_weights w = {.backbone = k ? NULL : f.backbone,
                                  .ffn = k && low ? NULL : f.ffn,
                                  .changes = low ? changes : NULL,
                                  .frozen = k ? frozen : wide},
                             g = {.ffn = low ? NULL : grads[k], .changes = low ? grads[k] : NULL};
        if (low) plan.low_rank = (struct mf_low_rank){RANK, ALPHA};
        assert_int_equal(mf_lm_new(&lm, &shape, &plan, f.pool, &err), 0);
        loss[k] = mf_lm_backward(lm, &w, &g, &batch, dropout, 1);
        mf_lm_free(lm);
    }
    assert_true(fabs(loss[0] - loss[1]) < 1e-5 * loss[0]);
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(grads[0][i] - grads[1][i]) <= 1e-5f + 1e-4f * fabsf(grads[0][i]));
    FREE_ALL(changes, grads[0], grads[1], narrow, frozen, wide);
    end(&f);
}

static void test_narrow(void **state) {
    (void)state;
    static const size_t again[] = {0, 1, ALL};
    for (int k = 0; k < 12; k++) check_narrow(again[k / 4], k / 2 % 2, k % 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_narrow), cmocka_unit_test(test_changes), cmocka_unit_test(test_changes_begin),
        cmocka_unit_test(test_anchor), cmocka_unit_test(test_head),    cmocka_unit_test(test_attention),
    };
    return RUN_FAMILIES(tests);
}
