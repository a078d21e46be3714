/* The router's gradients in an assembled model against central differences of its own forward pass. */
#include "scratch.h"
#include "nn.h"

#include "io/safetensors.h"
#include "model/moe_train.h"
#include "nn/gate.h"
#include "nn/matmul.h"

enum { E = 4, K = 2, ROWS = 14 };
static const struct mf_shape
    reference = {.V = 23, .D = 8, .H = 2, .L = 3, .F = 20, .S = 7, .position_scale = 1},
    llama = {.V = 23,
             .D = 8,
             .H = 4,
             .L = 3,
             .F = 20,
             .S = 7,
             .arch = MF_LLAMA,
             .K = 2,
             .d = 6,
             .rope_theta = 100,
             .norm_eps = 1e-5,
             .qkv_bias = true,
             .untied = true},
    normed = {.V = 23,
              .D = 8,
              .H = 3,
              .L = 3,
              .F = 20,
              .S = 7,
              .arch = MF_LLAMA,
              .K = 1,
              .d = 10,
              .rope_theta = 100,
              .stretch = {.factor = 4, .low_factor = 0.2, .high_factor = 1, .context = 9},
              .norm_eps = 1e-5,
              .qk_norm = true};
static struct mf_shape shape; /* of the test that runs */
static const uint32_t tokens[ROWS] = {1, 5, 6, 7, 22, 9, 5, 1, 9, 9, 4, 12, 1, 17};
static const uint32_t targets[ROWS] = {5, 6, 7, 22, 9, 5, LOSS_IGNORE, 9, 9, 0, 12, 8, 17, 5};
static const size_t starts[] = {0, 7, 12, 14};

/* Other numbers for what starts as zeros or ones. */
static void fill(float *x, size_t n, float scale, uint64_t seed) {
    float *values = make_random(n, seed);
    for (size_t j = 0; j < n; j++) x[j] = scale * values[j];
    free(values);
}

static void fill_layer(struct mf_backbone_layer layer, uint64_t seed) {
    const struct heads heads = mf_shape_heads(&shape);
    fill(layer.out.data, shape.D * heads.H * heads.d, 0.3f, seed);
    if (layer.q_norm) fill(layer.q_norm, heads.d, 1, seed + 50);
    if (layer.k_norm) fill(layer.k_norm, heads.d, 1, seed + 60);
}

/* Lists the routers' tensors with numbers from `row`. */
static size_t list_routers(float *row, struct mf_tensor *list) {
    size_t n = 0;
    for (size_t i = 0; i < shape.L; i++) {
        size_t count = mf_table_tensors(&shape, MF_TABLE_ROUTER, 0, i, 0, E, list + n, NULL), matrices = 0;
        for (size_t k = 0; k < count; k++, n++)
            list[n].data = list[n].n_dims == 1 ? row : row + (2 * i + matrices++) * E * shape.D;
    }
    return n;
}

/* Random numbers for every tensor that has a place here. */
static void write_model(const char *path) {
    struct mf_err err;
    struct mf_out *out;
    struct mf_tensor list[200];
    float *backbone = make_zeros(mf_backbone_size(&shape)), *ffn[E],
          *row = make_random(2 * E * shape.D * shape.L, 3);
    size_t n = mf_backbone_tensors(&shape, backbone, list);
    mf_backbone_init(&shape, backbone, 1, 0, 1);
    for (size_t i = 0; i < shape.L; i++) fill_layer(mf_backbone_layer(&shape, backbone, i), 200 + i);
    for (size_t e = 0; e < E; e++) {
        ffn[e] = make_zeros(mf_ffn_size(&shape));
        mf_ffn_init(&shape, ffn[e], e);
        for (size_t i = 0; i < shape.L; i++)
            fill(mf_ffn_layer(&shape, ffn[e], i).fc2.data, shape.D * shape.F, 0.3f, e * 10 + i);
        n += mf_ffn_tensors(&shape, MF_FFN_MOE, e, ffn[e], list + n);
    }
    n += list_routers(row, list + n);
    json_t *metadata = json_object(), *config = mf_shape_json(&shape);
    json_object_set_new(config, "n_experts", json_integer(E));
    json_object_set_new(config, "top_k", json_integer(K));
    mf_metadata_set_json(metadata, "config", config);
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_safetensors_header(out, metadata, list, n, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(mf_out_write(out, list[i].data, mf_tensor_bytes(&list[i]), &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(metadata);
    for (size_t e = 0; e < E; e++) free(ffn[e]);
    free(backbone);
    free(row);
}

struct fixture {
    struct mf_pool *pool;
    struct mf_moe *moe;
    struct mf_moe_work *work;
    struct mf_moe_tape *tape;
    float *token_scores;
};

static void begin(struct fixture *f, int threads) {
    struct mf_err err;
    matmul_setup();
    write_model("model.safetensors");
    f->pool = make_pool(threads);
    assert_int_equal(mf_moe_open(&f->moe, "model.safetensors", NULL, &(struct mf_moe_budget){0}, &err), 0);
    assert_int_equal(mf_moe_work_new(&f->work, f->moe, ROWS + 3, f->pool, &err), 0);
    assert_int_equal(mf_moe_tape_new(&f->tape, f->moe, f->work, ROWS + 1, &err), 0);
    f->token_scores = make_random((size_t)ROWS * E, 5);
}

static void end(struct fixture *f) {
    mf_moe_tape_free(f->tape);
    mf_moe_work_free(f->work);
    mf_moe_close(f->moe);
    mf_pool_free(f->pool);
    free(f->token_scores);
}

static double objective(struct fixture *f, const struct mf_moe_batch *batch, float *gradient) {
    struct mf_err err;
    double loss, balance;
    assert_int_equal(mf_moe_backward(f->moe, f->tape, batch, gradient, &loss, &balance, &err), 0);
    return batch->scale * loss + batch->balance * balance;
}

/* A step across the border of a choice has no difference to compare with: few parameters may be off. */
static void check(bool noisy, bool over_all, double gate_scale) {
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
    check(false, false, 1);
    check(false, true, 1);
}

static void test_gradients_noisy(void **state) {
    (void)state;
    check(true, false, 1);
    check(true, true, 0.4);
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

static int begin_reference(void **state) {
    shape = reference;
    return enter_folder(state);
}

static int begin_llama(void **state) {
    shape = llama;
    return enter_folder(state);
}

static int begin_normed(void **state) {
    shape = normed;
    return enter_folder(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_gradients_noisy),
        cmocka_unit_test(test_loss),      cmocka_unit_test(test_balance),
        cmocka_unit_test(test_softplus),  cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests_name("reference", tests, begin_reference, leave_folder) +
           cmocka_run_group_tests_name("llama", tests, begin_llama, leave_folder) +
           cmocka_run_group_tests_name("normed", tests, begin_normed, leave_folder);
}
