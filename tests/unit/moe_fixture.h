/* For unit tests of assembled models: one of random numbers, opened, with what runs and trains it. */
#ifndef MF_TESTS_MOE_FIXTURE_H
#define MF_TESTS_MOE_FIXTURE_H

#include "scratch.h"
#include "nn.h"

#include "io/safetensors.h"
#include "model/expert_attention.h"
#include "model/expert_head.h"
#include "model/moe_train.h"
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
static struct mf_shape shape; /* of the test that runs, */
static size_t head_ranks[E];  /* and the ranks of its experts' heads, */
static bool own_attention;    /* and whether all but the second have attention of their own */
static const uint32_t tokens[ROWS] = {1, 5, 6, 7, 22, 9, 5, 1, 9, 9, 4, 12, 1, 17};
static const uint32_t targets[ROWS] = {5, 6, 7, 22, 9, 5, LOSS_IGNORE, 9, 9, 0, 12, 8, 17, 5};
static const size_t starts[] = {0, 7, 12, 14};

/* Other numbers for what starts as zeros or ones. */
static inline void fill(float *x, size_t n, float scale, uint64_t seed) {
    float *values = make_random(n, seed);
    for (size_t j = 0; j < n; j++) x[j] = scale * values[j];
    free(values);
}

static inline void fill_layer(struct mf_backbone_layer layer, uint64_t seed) {
    const struct heads heads = mf_shape_heads(&shape);
    fill(layer.out.data, shape.D * heads.H * heads.d, 0.3f, seed);
    if (layer.q_norm) fill(layer.q_norm, heads.d, 1, seed + 50);
    if (layer.k_norm) fill(layer.k_norm, heads.d, 1, seed + 60);
}

/* Lists the routers' tensors with numbers from `row`. */
static inline size_t list_routers(float *row, struct mf_tensor *list) {
    size_t n = 0;
    for (size_t i = 0; i < shape.L; i++) {
        size_t count = mf_table_tensors(&shape, MF_TABLE_ROUTER, 0, i, 0, E, list + n, NULL), matrices = 0;
        for (size_t k = 0; k < count; k++, n++)
            list[n].data = list[n].n_dims == 1 ? row : row + (2 * i + matrices++) * E * shape.D;
    }
    return n;
}

/* Random numbers for every tensor that has a place here. */
static inline void write_model(const char *path) {
    struct mf_err err;
    struct mf_out *out;
    struct mf_tensor list[200];
    float *backbone = make_zeros(mf_backbone_size(&shape)), *ffn[E], *head[E], *attention[E],
          *row = make_random(2 * E * shape.D * shape.L, 3), *scores = make_random(E * shape.V, 8);
    size_t n = mf_backbone_tensors(&shape, backbone, list);
    mf_backbone_init(&shape, backbone, 1, 0, 1);
    for (size_t i = 0; i < shape.L; i++) fill_layer(mf_backbone_layer(&shape, backbone, i), 200 + i);
    for (size_t e = 0; e < E; e++) {
        ffn[e] = make_zeros(mf_ffn_size(&shape));
        mf_ffn_init(&shape, ffn[e], e);
        for (size_t i = 0; i < shape.L; i++)
            fill(mf_ffn_layer(&shape, ffn[e], i).fc2.data, shape.D * shape.F, 0.3f, e * 10 + i);
        n += mf_ffn_tensors(&shape, MF_FFN_MOE, e, ffn[e], list + n);
        head[e] = make_random(shape.V * shape.D * 2, 70 + e);
        n += mf_head_tensors(&shape, head_ranks[e], (int64_t)e, head[e], list + n);
        attention[e] = make_random(2 * shape.L * shape.D * shape.H * mf_shape_heads(&shape).d, 90 + e);
        if (own_attention && e != 1)
            n += mf_attention_all_tensors(&shape, (int64_t)e, attention[e], list + n);
    }
    n += list_routers(row, list + n);
    json_t *metadata = json_object(), *config = mf_shape_json(&shape);
    if (own_attention) { /* which needs token scores */
        list[n++] = (struct mf_tensor){
            .name = "prefix_router.log_likelihood", .n_dims = 2, .shape = {E, shape.V}, .data = scores};
        mf_metadata_set_json(metadata, "router", json_pack("{ss}", "kind", "prefix"));
    }
    json_object_set_new(config, "n_experts", json_integer(E));
    json_object_set_new(config, "top_k", json_integer(K));
    mf_metadata_set_json(metadata, "config", config);
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_safetensors_header(out, metadata, list, n, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(mf_out_write(out, list[i].data, mf_tensor_bytes(&list[i]), &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(metadata);
    for (size_t e = 0; e < E; e++) {
        free(ffn[e]);
        free(head[e]);
        free(attention[e]);
    }
    free(scores);
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

static inline void begin(struct fixture *f, int threads) {
    struct mf_err err;
    matmul_setup();
    write_model("model.safetensors");
    f->pool = make_pool(threads);
    assert_int_equal(mf_moe_open(&f->moe, "model.safetensors", NULL, &(struct mf_moe_budget){0}, &err), 0);
    assert_int_equal(mf_moe_work_new(&f->work, f->moe, ROWS + 3, products_fp32(f->pool), &err), 0);
    f->tape = NULL;
    assert_int_equal(mf_moe_tape_new(&f->tape, f->moe, f->work, ROWS + 1, &err), own_attention ? -1 : 0);
    f->token_scores = make_random((size_t)ROWS * E, 5);
}

static inline void end(struct fixture *f) {
    mf_moe_tape_free(f->tape);
    mf_moe_work_free(f->work);
    mf_moe_close(f->moe);
    mf_pool_free(f->pool);
    free(f->token_scores);
}

/* Experts with heads: some whole, one of factors, one without; or all whole. */
static inline int enter_heads(void **state, const struct mf_shape *of, const size_t ranks[E]) {
    shape = *of;
    memcpy(head_ranks, ranks, sizeof head_ranks);
    own_attention = false;
    return enter_folder(state);
}

static inline int begin_heads(void **state) {
    return enter_heads(state, &llama, (size_t[E]){8, 3, 0, 8});
}

static inline int begin_factors(void **state) {
    return enter_heads(state, &normed, (size_t[E]){2, 3, 1, 7});
}

static inline int begin_whole_heads(void **state) {
    return enter_heads(state, &reference, (size_t[E]){8, 8, 8, 8});
}

static inline int begin_reference(void **state) {
    return enter_heads(state, &reference, (size_t[E]){0});
}

static inline int begin_llama(void **state) {
    return enter_heads(state, &llama, (size_t[E]){0});
}

static inline int begin_normed(void **state) {
    return enter_heads(state, &normed, (size_t[E]){0});
}

static inline int begin_attention(void **state) {
    int status = enter_heads(state, &llama, (size_t[E]){8, 3, 0, 8});
    own_attention = true;
    return status;
}

static inline int begin_normed_attention(void **state) {
    int status = enter_heads(state, &normed, (size_t[E]){0});
    own_attention = true;
    return status;
}

#endif
