/* Opening a model to be measured: metadata, small tensors, and where the large ones are. */
#include "model/moe_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "model/piece.h"

/* Sizes of everything that stays in memory; run twice (see base/arena.h). */
static void layout(struct mf_moe *m, bool single, bool evidence) {
    struct mf_moe_file *f = m->file;
    const struct mf_shape *s = &m->shape;
    size_t E = m->router.n_experts;
    struct mf_arena *a = &f->arena;
    m->layers = mf_arena_take(a, s->L, sizeof *m->layers);
    f->layers = mf_arena_take(a, s->L, sizeof *f->layers);
    m->out_gain = mf_arena_floats(a, s->D);
    m->out_bias = mf_arena_floats(a, s->D);
    f->pe = mf_arena_floats(a, s->S * s->D);
    m->log_likelihood = evidence ? mf_arena_floats(a, E * s->V) : NULL;
    for (size_t i = 0; i < s->L; i++) {
        struct mf_moe_layer layer = {.attn_gain = mf_arena_floats(a, s->D),
                                     .attn_bias = mf_arena_floats(a, s->D)};
        if (!single) {
            layer.moe_gain = mf_arena_floats(a, s->D);
            layer.moe_bias = mf_arena_floats(a, s->D);
            layer.gate = mf_arena_floats(a, E * s->D);
            layer.noise = mf_arena_floats(a, E * s->D);
        }
        struct mf_ffn_layer *experts = mf_arena_take(a, E, sizeof *experts);
        if (a->base) {
            m->layers[i] = layer;
            f->layers[i].attention.norm_gain = layer.attn_gain;
            f->layers[i].attention.norm_bias = layer.attn_bias;
            f->layers[i].experts = experts;
        }
        for (size_t e = 0; e < E; e++) {
            struct mf_ffn_layer small = {.norm_gain = mf_arena_floats(a, s->D),
                                         .norm_bias = mf_arena_floats(a, s->D),
                                         .fc1_bias = mf_arena_floats(a, s->F),
                                         .fc2_bias = mf_arena_floats(a, s->D)};
            if (a->base) experts[e] = small;
        }
    }
}

static int build(struct mf_moe *m, bool single, bool evidence, struct mf_err *err) {
    layout(m, single, evidence);
    if (mf_arena_init(&m->file->arena, m->file->arena.used, err) < 0) return -1;
    layout(m, single, evidence);
    return 0;
}

size_t moe_small_tensors(const struct mf_moe *m, size_t layer, struct mf_tensor tensors[MOE_SMALL]) {
    const struct mf_moe_layer *l = &m->layers[layer];
    const size_t D = m->shape.D, E = m->router.n_experts;
    const struct {
        const char *format;
        size_t rows, columns;
        float *data;
    } small[MOE_SMALL] = {
        {"shared.transformer_blocks.%zu.attn_norm.weight", D, 0, l->attn_gain},
        {"shared.transformer_blocks.%zu.attn_norm.bias", D, 0, l->attn_bias},
        {"moe_layers.%zu.ffn_norm.weight", D, 0, l->moe_gain},
        {"moe_layers.%zu.ffn_norm.bias", D, 0, l->moe_bias},
        {"moe_layers.%zu.router.gate.weight", E, D, l->gate},
        {"moe_layers.%zu.router.noise_weight.weight", E, D, l->noise},
    };
    size_t count = 0;
    for (; count < MOE_SMALL && small[count].data; count++) {
        struct mf_tensor *t = &tensors[count];
        *t = (struct mf_tensor){.n_dims = small[count].columns ? 2 : 1, .data = small[count].data};
        t->shape[0] = small[count].rows;
        t->shape[1] = small[count].columns;
        snprintf(t->name, sizeof t->name, small[count].format, layer);
    }
    return count;
}

/* Reads one small tensor, and refuses numbers that are not finite: they would turn up as a NaN loss much
 * later. */
static int load(const struct mf_moe *m, const char *name, size_t rows, size_t columns, float *data,
                struct mf_err *err) {
    size_t index, count = rows * (columns ? columns : 1);
    if (mf_weights_find(m->file->weights, name, rows, columns, &index, err) < 0) return -1;
    if (mf_weights_read(m->file->weights, index, 0, count, data, err) < 0) return -1;
    if (!mf_finite(data, count))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds a NaN or infinity", m->name, name);
    return 0;
}

/* Where a matrix is in the file. */
static int find(struct mf_moe *m, const char *name, size_t rows, size_t columns, struct mf_matrix *matrix,
                struct mf_err *err) {
    matrix->file = m->file->weights;
    return mf_weights_find(m->file->weights, name, rows, columns, &matrix->index, err);
}

/* What is not an expert's. */
static int load_trunk(struct mf_moe *m, struct mf_err *err) {
    struct mf_weights *w = m->file->weights;
    size_t D = m->shape.D;
    char name[MF_TENSOR_NAME];
    if (mf_weights_find(w, "shared.token_embedding.weight", m->shape.V, D, &m->file->embedding, err) < 0)
        return -1;
    if (load(m, "shared.output_norm.weight", D, 0, m->out_gain, err) < 0) return -1;
    if (load(m, "shared.output_norm.bias", D, 0, m->out_bias, err) < 0) return -1;
    for (size_t i = 0; i < m->shape.L; i++) {
        struct mf_trunk_layer *attention = &m->file->layers[i].attention;
        struct mf_tensor small[MOE_SMALL];
        size_t count = moe_small_tensors(m, i, small);
        for (size_t k = 0; k < count; k++) {
            if (k == MOE_NOISE && !mf_weights_has(w, small[k].name)) continue;
            if (load(m, small[k].name, small[k].shape[0], small[k].shape[1], small[k].data, err) < 0)
                return -1;
        }
        snprintf(name, sizeof name, "shared.transformer_blocks.%zu.attention.qkv_proj.weight", i);
        if (find(m, name, 3 * D, D, &attention->qkv, err) < 0) return -1;
        snprintf(name, sizeof name, "shared.transformer_blocks.%zu.attention.out_proj.weight", i);
        if (find(m, name, D, D, &attention->out, err) < 0) return -1;
    }
    return 0;
}

/* One FFN's small tensors and the places of its large ones, by the names of its role. */
static int load_ffn(struct mf_moe *m, enum mf_ffn_role role, size_t e, struct mf_err *err) {
    const struct mf_shape *s = &m->shape;
    size_t count = mf_ffn_tensors(s, role, e, NULL, NULL), per_layer = count / s->L;
    struct mf_tensor *tensors = calloc(count, sizeof *tensors);
    if (!tensors) return mf_err_set(err, EX_OSERR, "%s: out of memory", m->name);
    mf_ffn_tensors(s, role, e, NULL, tensors);
    int status = 0;
    for (size_t i = 0; i < s->L && status == 0; i++) {
        const struct mf_tensor *t = tensors + i * per_layer; /* norm gain, bias, fc1, bias, fc2, bias */
        struct mf_ffn_layer *x = &m->file->layers[i].experts[e];
        if (load(m, t[0].name, s->D, 0, x->norm_gain, err) < 0 ||
            load(m, t[1].name, s->D, 0, x->norm_bias, err) < 0 ||
            find(m, t[2].name, s->F, s->D, &x->fc1, err) < 0 ||
            load(m, t[3].name, s->F, 0, x->fc1_bias, err) < 0 ||
            find(m, t[4].name, s->D, s->F, &x->fc2, err) < 0 ||
            load(m, t[5].name, s->D, 0, x->fc2_bias, err) < 0)
            status = -1;
    }
    free(tensors);
    return status;
}

/* The head must be the embedding: this program computes logits with the embedding only. */
static int check_tied(const struct mf_moe *m, struct mf_err *err) {
    const struct mf_weights *w = m->file->weights;
    size_t head, n = m->shape.V * m->shape.D, block = 16384;
    if (!mf_weights_has(w, "shared.lm_head.weight")) return 0;
    if (mf_weights_find(w, "shared.lm_head.weight", m->shape.V, m->shape.D, &head, err) < 0) return -1;
    float *a = malloc(2 * block * sizeof *a);
    if (!a) return mf_err_set(err, EX_OSERR, "%s: out of memory", m->name);
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i += block) {
        size_t count = n - i < block ? n - i : block;
        if (mf_weights_read(w, m->file->embedding, i, count, a, err) < 0 ||
            mf_weights_read(w, head, i, count, a + block, err) < 0)
            status = -1;
        else if (memcmp(a, a + block, count * sizeof *a) != 0)
            status =
                mf_err_set(err, EX_DATAERR,
                           "%s: shared.lm_head.weight differs from the embedding it is tied to", m->name);
    }
    free(a);
    return status;
}

/* --- an assembled model --- */

static int real_field(const json_t *object, const char *key, double fallback, double *value) {
    const json_t *v = json_object_get(object, key);
    *value = v ? json_number_value(v) : fallback;
    return v && !json_is_number(v) ? -1 : 0;
}

/* Metadata values are strings; `config` and `router` hold JSON. */
static int parse_router(struct mf_moe *m, const json_t *config, const json_t *router, struct mf_err *err) {
    struct mf_router *r = &m->router;
    json_int_t experts = json_integer_value(json_object_get(config, "n_experts"));
    json_int_t top_k = json_integer_value(json_object_get(config, "top_k"));
    if (experts < 1 || experts > 65536)
        return mf_err_set(err, EX_DATAERR, "%s: metadata config: n_experts must be 1 to 65536", m->name);
    if (top_k < 1 || top_k > experts)
        return mf_err_set(err, EX_DATAERR, "%s: metadata config: top_k is %lld, must be 1 to %lld", m->name,
                          (long long)top_k, (long long)experts);
    r->n_experts = (size_t)experts;
    r->top_k = (size_t)top_k;
    const char *kind = json_string_value(json_object_get(router, "kind"));
    if (!kind) kind = "hidden"; /* a model of the reference implementation says nothing of routers */
    bool prefix = strcmp(kind, "prefix") == 0;
    if (!prefix && strcmp(kind, "hidden") != 0)
        return mf_err_set(err, EX_DATAERR, "%s: metadata router: unknown kind '%.40s'", m->name, kind);
    snprintf(r->kind, sizeof r->kind, "%s", kind);
    if (real_field(router, "evidence_scale", prefix ? 1 : 0, &r->evidence_scale) < 0 ||
        real_field(router, "gate_scale", prefix ? 0 : 1, &r->gate_scale) < 0 ||
        real_field(router, "decay", 1, &r->decay) < 0)
        return mf_err_set(err, EX_DATAERR, "%s: metadata router: a value is not a number", m->name);
    const char *weights = json_string_value(json_object_get(router, "weights"));
    r->over_all = weights && strcmp(weights, "all") == 0;
    if (weights && !r->over_all && strcmp(weights, "chosen") != 0)
        return mf_err_set(err, EX_DATAERR, "%s: metadata router: weights must be 'chosen' or 'all'", m->name);
    return 0;
}

static int read_specials(struct mf_moe *m, const json_t *metadata, struct mf_err *err) {
    json_t *object = mf_metadata_json(metadata, "special_tokens");
    if (!object && json_object_get(metadata, "special_tokens"))
        return mf_err_set(err, EX_DATAERR, "%s: metadata special_tokens: not JSON", m->name);
    int status = mf_specials_parse(&m->specials, object, m->shape.V, m->name, err);
    json_decref(object);
    return status;
}

static int open_model(struct mf_moe *m, const char *path, size_t cache_bytes, struct mf_err *err) {
    struct mf_safetensors *st;
    char name[MF_TENSOR_NAME];
    if (mf_safetensors_open(&st, path, err) < 0) return -1;
    const json_t *metadata = mf_safetensors_metadata(st);
    json_t *config = mf_metadata_json(metadata, "config"), *router = mf_metadata_json(metadata, "router");
    const char *tokenizer = json_string_value(json_object_get(metadata, "tokenizer_sha256"));
    int status = 0;
    if (!json_is_object(config))
        status = mf_err_set(err, EX_DATAERR, "%s: no config in the metadata", m->name);
    if (status == 0) status = mf_shape_parse(&m->shape, config, m->name, err);
    if (status == 0) status = parse_router(m, config, router, err);
    if (status == 0) status = read_specials(m, metadata, err);
    if (tokenizer) snprintf(m->tokenizer_sha256, sizeof m->tokenizer_sha256, "%s", tokenizer);
    json_decref(config);
    json_decref(router);
    if (status < 0) {
        mf_safetensors_close(st);
        return -1;
    }
    if (mf_weights_of_model(&m->file->weights, st, cache_bytes, err) < 0) return -1;
    bool evidence = mf_weights_has(m->file->weights, "prefix_router.log_likelihood");
    if (!evidence && m->router.evidence_scale != 0)
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor prefix_router.log_likelihood", m->name);
    size_t index, E = m->router.n_experts, D = m->shape.D;
    /* refuse counts of experts and layers that the file does not bear out before memory is sized by them */
    if (mf_safetensors_count(st) / m->shape.L < E)
        return mf_err_set(err, EX_DATAERR, "%s: %zu tensors are too few for %zu layers of %zu experts",
                          m->name, mf_safetensors_count(st), m->shape.L, E);
    snprintf(name, sizeof name, "moe_layers.%zu.router.gate.weight", m->shape.L - 1);
    if (mf_weights_find(m->file->weights, name, E, D, &index, err) < 0) return -1;
    snprintf(name, sizeof name, "moe_layers.0.experts.%zu.fc1.weight", E - 1);
    if (mf_weights_find(m->file->weights, name, m->shape.F, D, &index, err) < 0) return -1;
    if (build(m, false, evidence, err) < 0 || load_trunk(m, err) < 0) return -1;
    if (check_tied(m, err) < 0) return -1;
    if (evidence && load(m, "prefix_router.log_likelihood", E, m->shape.V, m->log_likelihood, err) < 0)
        return -1;
    for (size_t e = 0; e < E; e++)
        if (load_ffn(m, MF_FFN_MOE, e, err) < 0) return -1;
    return 0;
}

/* --- a shared bundle, with its own FFN or one expert's --- */

static int open_bundles(struct mf_moe *m, const char *path, const char *expert, size_t cache_bytes,
                        struct mf_err *err) {
    struct mf_piece shared, one = {0};
    m->router = (struct mf_router){.kind = "single", .n_experts = 1, .top_k = 1, .decay = 1};
    if (mf_weights_new(&m->file->weights, path, cache_bytes, err) < 0) return -1;
    if (mf_piece_open(&shared, path, "shared", err) < 0) return -1;
    m->shape = shared.shape;
    m->specials = shared.specials;
    memcpy(m->tokenizer_sha256, shared.tokenizer, sizeof m->tokenizer_sha256);
    int status = expert ? mf_piece_open(&one, expert, "expert", err) : 0;
    if (status == 0 && expert) status = mf_piece_match(&shared, &one, err);
    if (status == 0) status = mf_weights_add_bundle(m->file->weights, shared.bundle, err);
    if (status == 0 && expert) status = mf_weights_add_bundle(m->file->weights, one.bundle, err);
    mf_piece_close(&shared);
    mf_piece_close(&one);
    if (status < 0 || build(m, true, false, err) < 0 || load_trunk(m, err) < 0) return -1;
    return load_ffn(m, expert ? MF_FFN_EXPERT : MF_FFN_DENSE, 0, err);
}

static int looks_like_bundle(const char *path, bool *bundle, struct mf_err *err) {
    struct mf_in *in;
    const unsigned char *head;
    if (mf_in_open(&in, path, err) < 0) return -1;
    int64_t n = mf_in_peek(in, &head, 512, err);
    *bundle = n > 0 && mf_bundle_begins(head, (size_t)n);
    mf_in_close(in);
    return n < 0 ? -1 : 0;
}

int mf_moe_open(struct mf_moe **out, const char *path, const char *expert, size_t cache_bytes,
                struct mf_err *err) {
    bool bundle;
    if (looks_like_bundle(path, &bundle, err) < 0) return -1;
    if (expert && !bundle)
        return mf_err_set(err, EX_USAGE, "%s: an expert goes with a shared bundle, not with a model", path);
    struct mf_moe *m = calloc(1, sizeof *m);
    struct mf_moe_file *f = calloc(1, sizeof *f);
    if (!m || !f) {
        free(m);
        free(f);
        return mf_err_set(err, EX_OSERR, "%s: out of memory", path);
    }
    m->file = f;
    m->name = mf_format("%s", path);
    int status =
        bundle ? open_bundles(m, path, expert, cache_bytes, err) : open_model(m, path, cache_bytes, err);
    if (status < 0) {
        mf_moe_close(m);
        return -1;
    }
    *out = m;
    return 0;
}

void mf_moe_close(struct mf_moe *m) {
    if (!m) return;
    mf_weights_free(m->file->weights);
    mf_arena_free(&m->file->arena);
    free(m->file);
    free(m->name);
    free(m);
}

const struct mf_safetensors *mf_moe_model(const struct mf_moe *m) {
    return mf_weights_model(m->file->weights);
}
