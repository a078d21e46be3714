/* Opening a model to be measured: an assembled one, or a shared bundle with its own FFN or one expert's. */
#include "model/moe_head_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "model/component.h"

/* --- an assembled model --- */

static int read_specials(struct mf_moe *m, const json_t *metadata, struct mf_err *err) {
    json_t *object = mf_metadata_json(metadata, "special_tokens");
    if (!object && json_object_get(metadata, "special_tokens"))
        return mf_err_set(err, EX_DATAERR, "%s: metadata special_tokens: not JSON", m->name);
    int status = mf_specials_parse(&m->specials, object, m->shape.V, m->name, err);
    json_decref(object);
    return status;
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

/* Shape, router, special tokens and tokenizer, from the metadata. */
static int read_metadata(struct mf_moe *m, const struct mf_safetensors *st, struct mf_err *err) {
    const json_t *metadata = mf_safetensors_metadata(st);
    json_t *config = mf_metadata_json(metadata, "config"), *router = mf_metadata_json(metadata, "router");
    const char *tokenizer = json_string_value(json_object_get(metadata, "tokenizer_sha256"));
    int status = 0;
    if (!json_is_object(config))
        status = mf_err_set(err, EX_DATAERR, "%s: no config in the metadata%s", m->name,
                            json_object_get(metadata, "config") ? "" : ", as mf-assemble writes it");
    if (json_object_get(metadata, "router") && !json_is_object(router) && status == 0)
        status = mf_err_set(err, EX_DATAERR, "%s: metadata router: not a JSON object", m->name);
    if (status == 0) status = mf_shape_parse(&m->shape, config, m->name, err);
    if (status == 0) status = moe_router_parse(m, config, router, err);
    if (status == 0) status = read_specials(m, metadata, err);
    if (status == 0) status = mf_components_check(metadata, m->name, err);
    if (tokenizer) snprintf(m->tokenizer_sha256, sizeof m->tokenizer_sha256, "%s", tokenizer);
    json_decref(config);
    json_decref(router);
    return status;
}

/* What an expert has beside its FFN: what is not in the file would be taken for nothing to have. */
static int check_expert(const struct mf_moe *m, const struct mf_safetensors *st, const json_t *entry,
                        size_t e, struct mf_err *err) {
    size_t R, has = m->file->heads.of[e].columns;
    bool own, found = m->shape.arch == MF_LLAMA && moe_attention_has(m, st, e);
    if (mf_head_parse(&R, entry, &m->shape, m->name, err) < 0 ||
        mf_attention_parse(&own, entry, &m->shape, m->name, err) < 0)
        return -1;
    if (own != found)
        return mf_err_set(err, EX_DATAERR, "%s: expert %zu has attention of its own in the %s alone", m->name,
                          e, own ? "metadata" : "tensors");
    if (R == has) return 0;
    return mf_err_set(
        err, EX_DATAERR,
        "%s: expert %zu has a head of rank %zu in the metadata, and %zu in the tensors (0: none)", m->name, e,
        R, has);
}

/* Do the metadata say of the experts what the tensors do? Of a model with one FFN they name what it is
 * compared with, and of another program's maybe nothing. */
static int check_experts(const struct mf_moe *m, const struct mf_safetensors *st, struct mf_err *err) {
    const json_t *metadata = mf_safetensors_metadata(st);
    json_t *entries = mf_metadata_json(metadata, "experts");
    size_t n = json_array_size(entries), E = m->router.n_experts;
    bool compare = entries && !json_object_get(metadata, "ffn");
    int status = 0;
    if (compare && n != E)
        status = mf_err_set(err, EX_DATAERR, "%s: metadata experts: %zu for %zu experts", m->name, n, E);
    for (size_t e = 0; e < E && compare && status == 0; e++)
        status = check_expert(m, st, json_array_get(entries, e), e, err);
    json_decref(entries);
    return status;
}

/* Refuses counts of experts and layers that the file does not bear out, before memory is sized by them; then
 * sizes it. */
static int plan_model(struct mf_moe *m, const struct mf_safetensors *st, struct mf_moe_budget *budget,
                      bool token_scores, size_t *cache, struct mf_err *err) {
    size_t E = m->router.n_experts, count = mf_safetensors_count(st);
    if (count / m->shape.L < E)
        return mf_err_set(err, EX_DATAERR, "%s: %zu tensors are too few for %zu layers of %zu experts",
                          m->name, count, m->shape.L, E);
    if (moe_heads_list(m, st, err) < 0 || moe_attention_look(m, st, err) < 0 || check_experts(m, st, err) < 0)
        return -1;
    const struct moe_needs needs = {
        .small = moe_tensors_size(m, false, token_scores), .cache = moe_largest_matrix(m), .tensors = count};
    return moe_fit(m, budget, &needs, cache, err);
}

static int open_model(struct mf_moe *m, const char *path, struct mf_moe_budget *budget, struct mf_err *err) {
    struct mf_safetensors *st;
    size_t cache;
    if (mf_safetensors_open(&st, path, err) < 0) return -1;
    bool token_scores = mf_safetensors_find(st, MOE_SCORES) >= 0;
    if (read_metadata(m, st, err) < 0 || plan_model(m, st, budget, token_scores, &cache, err) < 0) {
        mf_safetensors_close(st);
        return -1;
    }
    if (mf_weights_of_model(&m->file->weights, st, cache, err) < 0) return -1;
    if (!token_scores && m->router.score_scale != 0)
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor " MOE_SCORES, m->name);
    if (moe_check_last(m, err) < 0 || moe_tensors_build(m, false, token_scores, err) < 0) return -1;
    if (moe_load_backbone(m, false, err) < 0 || check_tied(m, err) < 0 || moe_heads_find(m, err) < 0 ||
        moe_attention_find(m, err) < 0)
        return -1;
    if (token_scores && moe_load_scores(m, err) < 0) return -1;
    for (size_t e = 0; e < m->router.n_experts; e++)
        if (moe_load_ffn(m, MF_FFN_MOE, e, err) < 0) return -1;
    /* What the reference implementation has beside what it computes with begins so. */
    return mf_weights_check_known(m->file->weights, "shared.", err);
}

/* --- a shared bundle, with its own FFN or one expert's --- */

#define BUNDLE ((size_t)3 << 20) /* what reading one takes: libarchive, a manifest, a block of a tensor */

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
        needs.small = BUNDLE + moe_tensors_size(m, true, false);
        needs.cache = 2 * moe_largest_matrix(m); /* half of the cache is for tensors that stay */
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
    if (status < 0 || moe_tensors_build(m, true, false, err) < 0 || moe_load_backbone(m, true, err) < 0)
        return -1;
    if (head && moe_merge_head(m, head, err) < 0) return -1;
    return moe_load_ffn(m, expert && !low_rank.R ? MF_FFN_EXPERT : MF_FFN_DENSE, 0, err);
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

bool mf_moe_has_attention(const struct mf_moe *m) {
    return m->file->own_attention;
}

bool mf_moe_has_heads(const struct mf_moe *m) {
    return m->file->heads.columns > 0;
}
