/* For unit tests of the trainable model: shapes of all families, one with random numbers beside its twin, and
 * each tensor's gradient against central differences of the twin. */
#ifndef TESTS_LM_FIXTURE_H
#define TESTS_LM_FIXTURE_H

#include "lm_twin.h"
#include "nn/matmul.h"

static const struct mf_shape reference =
                                 {.V = 19, .D = 8, .H = 2, .L = 3, .F = 40, .S = 7, .position_scale = 0.5},
                             /* four query heads on two of keys, all together wider than the rows */
    llama = {.V = 19,
             .D = 8,
             .H = 4,
             .L = 3,
             .F = 61,
             .S = 7,
             .arch = MF_LLAMA,
             .K = 2,
             .d = 6,
             .rope_theta = 50,
             .norm_eps = 1e-4},
                             /* one key head, heads narrower than the rows, biases, a head of its own */
    untied = {.V = 19,
              .D = 8,
              .H = 3,
              .L = 2,
              .F = 21,
              .S = 7,
              .arch = MF_LLAMA,
              .K = 1,
              .d = 2,
              .rope_theta = 10000,
              .norm_eps = 1e-5,
              .qkv_bias = true,
              .untied = true},
                             /* norms of queries and of keys, heads wider than the rows, and of the four pairs
                                of columns one turns as it did, one between, two slower */
    normed = {.V = 19,
              .D = 6,
              .H = 4,
              .L = 3,
              .F = 7,
              .S = 7,
              .arch = MF_LLAMA,
              .K = 2,
              .d = 8,
              .rope_theta = 50,
              .stretch = {.factor = 3, .low_factor = 0.3, .high_factor = 1, .context = 8},
              .norm_eps = 1e-5,
              .qkv_bias = true,
              .qk_norm = true};

#define ROWS 15
static const uint32_t tokens[ROWS] = {2, 5, 7, 7, 18, 3, 2, 4, 2, 9, 10, 11, 12, 0, 6};
static const uint32_t targets[ROWS] = {5, 7, 7, 18, 3, LOSS_IGNORE, 4, 0, 9, 10, 11, 12, 13, 6, 1};
static const size_t start[] = {0, 6, 8, 15};
static const struct mf_lm_batch batch = {tokens, targets, {3, start}};

/* Of how many layers a plan makes the products again: so many, or of all that there are. */
#define ALL SIZE_MAX
static inline size_t layers_again(size_t layers) {
    return layers < shape.L ? layers : shape.L;
}

struct fixture {
    struct mf_pool *pool;
    float *backbone, *ffn, *backbone_grad, *ffn_grad;
    double *backbone_twin, *ffn_twin;
    size_t n_backbone, n_ffn;
};

static inline void begin(struct fixture *f, int threads) {
    struct mf_err err;
    struct mf_rng rng;
    matmul_setup();
    f->n_backbone = mf_backbone_size(&shape);
    f->n_ffn = mf_ffn_size(&shape);
    assert_int_equal(mf_pool_new(&f->pool, threads, &err), 0);
    f->backbone = calloc(f->n_backbone, sizeof *f->backbone);
    f->ffn = calloc(f->n_ffn, sizeof *f->ffn);
    f->backbone_grad = calloc(f->n_backbone, sizeof *f->backbone_grad);
    f->ffn_grad = calloc(f->n_ffn, sizeof *f->ffn_grad);
    f->backbone_twin = calloc(f->n_backbone, sizeof *f->backbone_twin);
    f->ffn_twin = calloc(f->n_ffn, sizeof *f->ffn_twin);
    mf_rng_seed(&rng, 7);
    for (size_t i = 0; i < f->n_backbone; i++) f->backbone[i] = (float)(0.5 * mf_rng_normal(&rng));
    for (size_t i = 0; i < f->n_ffn; i++) f->ffn[i] = (float)(0.5 * mf_rng_normal(&rng));
    for (size_t i = 0; i < f->n_backbone; i++) f->backbone_twin[i] = (double)f->backbone[i];
    for (size_t i = 0; i < f->n_ffn; i++) f->ffn_twin[i] = (double)f->ffn[i];
}

static inline void end(struct fixture *f) {
    mf_pool_free(f->pool);
    free(f->backbone);
    free(f->ffn);
    free(f->backbone_grad);
    free(f->ffn_grad);
    free(f->backbone_twin);
    free(f->ffn_twin);
}

/* Each tensor's gradient: the norm of the difference to central differences over their norm. */
static inline void compare(const struct fixture *f, const struct mf_tensor *tensors, size_t count,
                           double *twin, const struct twin *t, const float *grad, double scale, int64_t pad) {
    size_t at = 0, stride = difference_stride();
    for (size_t i = 0; i < count; i++) {
        size_t n = mf_tensor_count(&tensors[i]);
        double difference = 0, size = 0;
        for (size_t j = at; j < at + n; j += stride) {
            double old = twin[j], step = 1e-5;
            if (twin == f->backbone_twin && (int64_t)(j / shape.D) == pad) continue; /* never learns */
            twin[j] = old + step;
            double up = twin_loss(t);
            twin[j] = old - step;
            double down = twin_loss(t);
            twin[j] = old;
            double expected = scale * (up - down) / (2 * step);
            difference += ((double)grad[j] - expected) * ((double)grad[j] - expected);
            size += expected * expected;
        }
        if (sqrt(difference) > 1e-3 * sqrt(size) + 1e-7)
            fail_msg("%s: gradient differs by %g of %g", tensors[i].name, sqrt(difference), sqrt(size));
        at += n;
    }
}

static inline int use_reference(void **state) {
    (void)state;
    shape = reference;
    return 0;
}

static inline int use_llama(void **state) {
    (void)state;
    shape = llama;
    return 0;
}

static inline int use_untied(void **state) {
    (void)state;
    shape = untied;
    return 0;
}

static inline int use_normed(void **state) {
    (void)state;
    shape = normed;
    return 0;
}

/* Runs the tests once with each shape; how many failed. */
#define RUN_FAMILIES(tests)                                                                                  \
    cmocka_run_group_tests_name("reference", tests, use_reference, NULL) +                                   \
        cmocka_run_group_tests_name("llama", tests, use_llama, NULL) +                                       \
        cmocka_run_group_tests_name("untied", tests, use_untied, NULL) +                                     \
        cmocka_run_group_tests_name("normed", tests, use_normed, NULL)

#endif
