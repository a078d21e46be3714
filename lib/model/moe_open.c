/* Opening a model to be measured: metadata, small tensors, and where the large ones are. */
#include "model/moe_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "model/component.h"

/* --- tensors by the tables of model/tensors.h ---
 *
 * A table's small tensors are in memory, behind one another: its vectors, of the router's all. */

static bool is_small(enum mf_table table, const struct mf_tensor *t) {
    return t->n_dims == 1 || table == MF_TABLE_ROUTER;
}

/* A table's tensors; of a layer and an expert where it has some. */
struct list {
    enum mf_table table;
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX], count;
};

static struct list list_of(const struct mf_moe *m, enum mf_table table, enum mf_ffn_role role, size_t layer,
                           size_t expert) {
    struct list l = {.table = table};
    l.count = mf_table_tensors(&m->shape, table, role, layer, expert, m->router.n_experts, l.tensors, l.view);
    return l;
}

/* Takes memory for a table's small tensors, and puts where they are into its view. */
static void place(const struct mf_moe *m, enum mf_table table, struct mf_arena *a, void *view) {
    const struct list l = list_of(m, table, 0, 0, 0);
    size_t total = 0;
    for (size_t i = 0; i < l.count; i++)
        if (is_small(table, &l.tensors[i])) total += mf_tensor_count(&l.tensors[i]);
    float *at = mf_arena_floats(a, total);
    for (size_t i = 0; i < l.count && at; i++) {
        if (!is_small(table, &l.tensors[i])) continue;
        memcpy((char *)view + l.view[i], &at, sizeof at);
        at += mf_tensor_count(&l.tensors[i]);
    }
}

/* Gives a table's small tensors the memory that the view has for them; the others get none. */
static void point(struct list *l, const void *view) {
    for (size_t i = 0; i < l->count; i++)
        if (is_small(l->table, &l->tensors[i]))
            memcpy(&l->tensors[i].data, (const char *)view + l->view[i], sizeof l->tensors[i].data);
}

/* Reads one small tensor, and refuses numbers that are not finite: they would turn up as a NaN loss much
 * later. */
static int load(const struct mf_moe *m, const struct mf_tensor *t, struct mf_err *err) {
    size_t index, count = mf_tensor_count(t);
    if (mf_weights_find(m->file->weights, t->name, t->shape[0], t->n_dims > 1 ? t->shape[1] : 0, &index,
                        err) < 0)
        return -1;
    if (mf_weights_read(m->file->weights, index, 0, count, t->data, err) < 0) return -1;
    if (!mf_finite(t->data, count))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds a NaN or infinity", m->name, t->name);
    return 0;
}

/* Where a matrix is in the file. */
static int find(const struct mf_moe *m, const struct mf_tensor *t, size_t *index, struct mf_err *err) {
    return mf_weights_find(m->file->weights, t->name, t->shape[0], t->shape[1], index, err);
}

/* Reads a table's small tensors, and notes in its view where the matrices are. The router's noise weights may
 * be missing: then they are zero. */
static int read_table(struct mf_moe *m, struct list *l, void *view, struct mf_err *err) {
    point(l, view);
    for (size_t i = 0; i < l->count; i++) {
        const struct mf_tensor *t = &l->tensors[i];
        bool noise = l->table == MF_TABLE_ROUTER && l->view[i] == offsetof(struct mf_router_layer, noise);
        if (noise && !mf_weights_has(m->file->weights, t->name)) continue;
        if (t->data) {
            if (load(m, t, err) < 0) return -1;
            continue;
        }
        struct mf_matrix matrix = {.file = m->file->weights};
        if (find(m, t, &matrix.index, err) < 0) return -1;
        memcpy((char *)view + l->view[i], &matrix, sizeof matrix);
    }
    return 0;
}

/* --- memory --- */

/* What calibration sees of a layer. */
static struct mf_moe_layer layer_of(const struct moe_weights *w) {
    return (struct mf_moe_layer){
        .attn_gain = w->attention.norm_gain,
        .attn_bias = w->attention.norm_bias,
        .moe_gain = w->router.norm_gain ? w->router.norm_gain : w->attention.ffn_norm,
        .moe_bias = w->router.norm_bias,
        .gate = w->router.gate,
        .noise = w->router.noise,
    };
}

#define BUNDLE ((size_t)3 << 20) /* what reading one takes: libarchive, a manifest, a block of a tensor */

/* Sizes of everything that stays in memory; run twice (see base/arena.h). */
static void layout(struct mf_moe *m, bool single, bool token_scores) {
    struct mf_moe_file *f = m->file;
    const struct mf_shape *s = &m->shape;
    size_t E = m->router.n_experts;
    struct mf_arena *a = &f->arena;
    m->layers = mf_arena_take(a, s->L, sizeof *m->layers);
    moe_router_place(m, a);
    f->layers = mf_arena_take(a, s->L, sizeof *f->layers);
    place(m, MF_TABLE_TAIL, a, &f->ends);
    f->positions = mf_arena_floats(a, s->S * mf_layer_position_size(s));
    m->log_likelihood = token_scores ? mf_arena_floats(a, E * s->V) : NULL;
    for (size_t i = 0; i < s->L; i++) {
        struct moe_weights w = {0};
        place(m, MF_TABLE_LAYER, a, &w.attention);
        if (!single) place(m, MF_TABLE_ROUTER, a, &w.router);
        if (!single && (!a->base || !w.router.noise)) w.router.noise = mf_arena_floats(a, E * s->D);
        w.experts = mf_arena_take(a, E, sizeof *w.experts);
        for (size_t e = 0; e < E; e++) {
            struct mf_ffn_layer expert = {0};
            place(m, MF_TABLE_FFN, a, &expert);
            if (a->base) w.experts[e] = expert;
        }
        if (!a->base) continue;
        f->layers[i] = w;
        m->layers[i] = layer_of(&w);
    }
    m->out_gain = f->ends.out_norm_gain;
    m->out_bias = f->ends.out_norm_bias;
}

/* Bytes that `layout` takes. */
static size_t count_layout(struct mf_moe *m, bool single, bool token_scores) {
    layout(m, single, token_scores);
    size_t bytes = m->file->arena.used;
    m->file->arena = (struct mf_arena){0};
    return bytes;
}

static int build(struct mf_moe *m, bool single, bool token_scores, struct mf_err *err) {
    if (mf_arena_init(&m->file->arena, count_layout(m, single, token_scores), err) < 0) return -1;
    layout(m, single, token_scores);
    moe_router_fill(m);
    return 0;
}

size_t moe_small_tensors(const struct mf_moe *m, size_t layer, struct mf_tensor tensors[MOE_SMALL]) {
    const struct moe_weights *w = &m->file->layers[layer];
    struct list lists[] = {list_of(m, MF_TABLE_LAYER, 0, layer, 0), list_of(m, MF_TABLE_ROUTER, 0, layer, 0),
                           list_of(m, MF_TABLE_TAIL, 0, 0, 0)};
    point(&lists[0], &w->attention);
    point(&lists[1], &w->router);
    point(&lists[2], &m->file->ends);
    size_t count = 0;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k].count; i++)
            if (lists[k].tensors[i].data) tensors[count++] = lists[k].tensors[i];
    return count;
}

/* What is not an expert's. */
static int load_backbone(struct mf_moe *m, bool single, struct mf_err *err) {
    struct mf_moe_file *f = m->file;
    struct list head = list_of(m, MF_TABLE_HEAD, 0, 0, 0), tail = list_of(m, MF_TABLE_TAIL, 0, 0, 0);
    if (find(m, &head.tensors[0], &f->embedding, err) < 0) return -1;
    f->head = f->embedding;
    point(&tail, &f->ends);
    for (size_t i = 0; i < tail.count; i++) /* norms, and the head where it is a matrix of its own */
        if ((tail.tensors[i].data ? load(m, &tail.tensors[i], err)
                                  : find(m, &tail.tensors[i], &f->head, err)) < 0)
            return -1;
    for (size_t i = 0; i < m->shape.L; i++) {
        struct list layer = list_of(m, MF_TABLE_LAYER, 0, i, 0),
                    router = list_of(m, MF_TABLE_ROUTER, 0, i, 0);
        if (read_table(m, &layer, &f->layers[i].attention, err) < 0) return -1;
        if (!single && read_table(m, &router, &f->layers[i].router, err) < 0) return -1;
    }
    return 0;
}

/* One FFN's tensors, by the names of its role. */
static int load_ffn(struct mf_moe *m, enum mf_ffn_role role, size_t e, struct mf_err *err) {
    for (size_t i = 0; i < m->shape.L; i++) {
        struct list ffn = list_of(m, MF_TABLE_FFN, role, i, e);
        if (read_table(m, &ffn, &m->file->layers[i].experts[e], err) < 0) return -1;
    }
    return 0;
}

/* A head that is the embedding may be in the file all the same; then it must be equal. */
static int check_tied(const struct mf_moe *m, struct mf_err *err) {
    const struct mf_weights *w = m->file->weights;
    size_t head, n = m->shape.V * m->shape.D, block = 16384;
    const char *name = mf_head_name(&m->shape);
    if (m->shape.untied || !mf_weights_has(w, name)) return 0;
    if (mf_weights_find(w, name, m->shape.V, m->shape.D, &head, err) < 0) return -1;
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
                mf_err_set(err, EX_DATAERR, "%s: %s differs from the embedding it is tied to", m->name, name);
    }
    free(a);
    return status;
}

/* --- an assembled model --- */

static int read_specials(struct mf_moe *m, const json_t *metadata, struct mf_err *err) {
    json_t *object = mf_metadata_json(metadata, "special_tokens");
    if (!object && json_object_get(metadata, "special_tokens"))
        return mf_err_set(err, EX_DATAERR, "%s: metadata special_tokens: not JSON", m->name);
    int status = mf_specials_parse(&m->specials, object, m->shape.V, m->name, err);
    json_decref(object);
    return status;
}

/* The largest matrix of a layer, which the cache has to hold. */
static size_t largest_matrix(const struct mf_moe *m) {
    static const enum mf_table tables[] = {MF_TABLE_LAYER, MF_TABLE_FFN};
    size_t max = 0;
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
        const struct list l = list_of(m, tables[k], 0, 0, 0);
        for (size_t i = 0; i < l.count; i++)
            if (mf_tensor_bytes(&l.tensors[i]) > max) max = mf_tensor_bytes(&l.tensors[i]);
    }
    return mf_weights_cached_bytes(max);
}

static int open_model(struct mf_moe *m, const char *path, struct mf_moe_budget *budget, struct mf_err *err) {
    struct mf_safetensors *st;
    if (mf_safetensors_open(&st, path, err) < 0) return -1;
    const json_t *metadata = mf_safetensors_metadata(st);
    json_t *config = mf_metadata_json(metadata, "config"), *router = mf_metadata_json(metadata, "router");
    const char *tokenizer = json_string_value(json_object_get(metadata, "tokenizer_sha256"));
    int status = 0;
    if (!json_is_object(config))
        status = mf_err_set(err, EX_DATAERR, "%s: no config in the metadata%s", m->name,
                            json_object_get(metadata, "config") ? "" : ", as mf-assemble writes it");
    if (status == 0) status = mf_shape_parse(&m->shape, config, m->name, err);
    if (status == 0) status = moe_router_parse(m, config, router, err);
    if (status == 0) status = read_specials(m, metadata, err);
    if (tokenizer) snprintf(m->tokenizer_sha256, sizeof m->tokenizer_sha256, "%s", tokenizer);
    json_decref(config);
    json_decref(router);
    if (status < 0) {
        mf_safetensors_close(st);
        return -1;
    }
    size_t index, cache, E = m->router.n_experts, count = mf_safetensors_count(st);
    bool token_scores = mf_safetensors_find(st, "prefix_router.log_likelihood") >= 0;
    /* refuse counts of experts and layers that the file does not bear out before memory is sized by them */
    if (count / m->shape.L < E)
        status = mf_err_set(err, EX_DATAERR, "%s: %zu tensors are too few for %zu layers of %zu experts",
                            m->name, count, m->shape.L, E);
    struct moe_needs needs = {.cache = largest_matrix(m), .tensors = count};
    if (status == 0) status = moe_heads_list(m, st, err);
    if (status == 0) needs.small = count_layout(m, false, token_scores);
    if (status == 0) status = moe_fit(m, budget, &needs, &cache, err);
    if (status < 0) {
        mf_safetensors_close(st);
        return -1;
    }
    if (mf_weights_of_model(&m->file->weights, st, cache, err) < 0) return -1;
    if (!token_scores && m->router.score_scale != 0)
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor prefix_router.log_likelihood", m->name);
    struct list gate = list_of(m, MF_TABLE_ROUTER, 0, m->shape.L - 1, 0),
                last = list_of(m, MF_TABLE_FFN, MF_FFN_MOE, 0, E - 1);
    for (size_t i = 0; i < gate.count; i++)
        if (gate.view[i] == offsetof(struct mf_router_layer, gate) &&
            find(m, &gate.tensors[i], &index, err) < 0)
            return -1;
    for (size_t i = 0; i < last.count; i++)
        if (last.tensors[i].n_dims > 1 && find(m, &last.tensors[i], &index, err) < 0) return -1;
    if (build(m, false, token_scores, err) < 0 || load_backbone(m, false, err) < 0) return -1;
    if (check_tied(m, err) < 0 || moe_heads_find(m, err) < 0) return -1;
    const struct mf_tensor counts = {.name = "prefix_router.log_likelihood",
                                     .n_dims = 2,
                                     .shape = {E, m->shape.V},
                                     .data = m->log_likelihood};
    if (token_scores && load(m, &counts, err) < 0) return -1;
    for (size_t e = 0; e < E; e++)
        if (load_ffn(m, MF_FFN_MOE, e, err) < 0) return -1;
    return 0;
}

/* --- a shared bundle, with its own FFN or one expert's --- */

/* Adds a bundle's tensors, of which the small ones stay in memory. */
static void add_needs(struct moe_needs *needs, const struct mf_bundle *bundle) {
    size_t count = mf_bundle_count(bundle);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = mf_weights_held_bytes(mf_bundle_tensor(bundle, i));
        if (bytes <= MF_WEIGHTS_KEPT) needs->small += bytes;
    }
    needs->tensors += count;
}

static int open_bundles(struct mf_moe *m, const char *path, const char *expert, struct mf_moe_budget *budget,
                        struct mf_err *err) {
    struct mf_component shared, one = {0};
    struct moe_needs needs = {0};
    size_t cache = 0;
    m->router = (struct mf_router){.kind = "single", .n_experts = 1, .top_k = 1, .decay = 1};
    if (mf_component_open(&shared, path, "shared", err) < 0) return -1;
    m->shape = shared.shape;
    m->specials = shared.specials;
    memcpy(m->tokenizer_sha256, shared.tokenizer, sizeof m->tokenizer_sha256);
    memcpy(m->shared_sha256, shared.hash, sizeof m->shared_sha256);
    int status = expert ? mf_component_open(&one, expert, "expert", err) : 0;
    if (status == 0 && expert) status = mf_component_match(&shared, &one, err);
    if (status == 0 && expert) status = mf_component_check(&one, true, err);
    const struct mf_low_rank low_rank = one.low_rank;
    const size_t head = one.head;
    memcpy(m->expert_sha256, one.hash, sizeof m->expert_sha256);
    if (status == 0) {
        needs.small = BUNDLE + count_layout(m, true, false);
        needs.cache = 2 * largest_matrix(m); /* half of the cache is for tensors that stay */
        add_needs(&needs, shared.bundle);
        if (expert) add_needs(&needs, one.bundle);
        needs.small += mf_head_whole(&m->shape, head) ? 0 : mf_head_size(&m->shape, head) * sizeof(float);
        status = moe_fit(m, budget, &needs, &cache, err);
    }
    if (status == 0) status = mf_weights_new(&m->file->weights, path, cache, err);
    if (status == 0) status = mf_weights_add_bundle(m->file->weights, shared.bundle, err);
    if (status == 0 && expert) status = mf_weights_add_bundle(m->file->weights, one.bundle, err);
    mf_component_close(&shared);
    mf_component_close(&one);
    if (status == 0 && low_rank.R) status = moe_merge_changes(m, &low_rank, err);
    if (status < 0 || build(m, true, false, err) < 0 || load_backbone(m, true, err) < 0) return -1;
    if (head && moe_merge_head(m, head, err) < 0) return -1;
    return load_ffn(m, expert && !low_rank.R ? MF_FFN_EXPERT : MF_FFN_DENSE, 0, err);
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

int mf_moe_open(struct mf_moe **out, const char *path, const char *expert, struct mf_moe_budget *budget,
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
    int status = bundle ? open_bundles(m, path, expert, budget, err) : open_model(m, path, budget, err);
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
    free(m->file->heads.of);
    free(m->file);
    free(m->name);
    free(m);
}

const struct mf_safetensors *mf_moe_model(const struct mf_moe *m) {
    return mf_weights_model(m->file->weights);
}

const struct mf_weights *mf_moe_weights(const struct mf_moe *m) {
    return m->file->weights;
}

bool mf_moe_has_heads(const struct mf_moe *m) {
    return m->file->heads.columns > 0;
}
