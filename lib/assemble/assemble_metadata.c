/* What the metadata of an assembled model say: its shape, its router, and what it was made of. */
#include "assemble/assemble_internal.h"

#include <string.h>
#include "io/safetensors.h"
#include "model/moe.h"

static json_t *file_json(const char *path) {
    const char *slash = strrchr(path, '/');
    json_t *file = json_string(slash ? slash + 1 : path);
    return file ? file : json_string("?"); /* not UTF-8 */
}

static json_t *experts_json(const struct mf_assembly *a) {
    json_t *list = json_array();
    for (size_t e = 0; e < a->n_experts; e++) {
        const struct mf_expert_entry *x = &a->experts[e];
        json_t *entry = json_object();
        if (x->partition >= 0)
            json_object_set_new(entry, "partition", json_integer((json_int_t)x->partition));
        json_object_set_new(entry, "file", file_json(x->name));
        json_object_set_new(entry, "sha256", json_string(x->hash));
        if (x->low_rank.R) json_object_set_new(entry, "rank", json_integer((json_int_t)x->low_rank.R));
        mf_attention_put(x->attention, entry);
        mf_head_put(x->head, entry);
        json_object_update(entry, x->trained);
        json_array_append_new(list, entry);
    }
    if (a->anchor) {
        json_t *entry = json_pack("{ss,so,ss}", "name", "anchor", "file", file_json(a->shared_name), "sha256",
                                  a->shared_hash);
        json_object_update(entry, a->shared_trained);
        json_array_append_new(list, entry);
    }
    return list;
}

/* Where rows have this rms the scores of a short text count as much as their sum does. */
#define TYPICAL_RMS 8.0

/* A llama's token scores are the mean that other programs can compute. */
static json_t *router_json(const struct mf_assembly *a) {
    bool mixture = a->kind == MF_ASSEMBLE_MIXTURE;
    char kind[16];
    mf_choice_name(MF_ROUTER_KINDS, mixture ? a->config->router.kind : MF_ROUTER_HIDDEN, kind, sizeof kind);
    json_t *router = json_pack("{ss}", "kind", kind);
    if (mf_assembly_has_token_scores(a) && a->shape.arch == MF_LLAMA) {
        json_object_set_new(router, "token_scores", json_string("mean"));
        json_object_set_new(router, "bos_weight", json_real(MF_BOS_WEIGHT));
        json_object_set_new(router, "evidence_scale", json_real(MF_BOS_WEIGHT * TYPICAL_RMS));
    }
    return router;
}

json_t *mf_assembly_metadata(const struct mf_assembly *a) {
    json_t *metadata = json_object(), *config = mf_shape_json(&a->shape);
    json_object_set_new(config, "n_experts", json_integer((json_int_t)mf_assembly_experts(a)));
    bool mixture = a->kind == MF_ASSEMBLE_MIXTURE;
    json_object_set_new(config, "top_k", json_integer(mixture ? (json_int_t)a->config->model.top_k : 1));
    mf_metadata_set_json(metadata, "config", config);
    json_object_set_new(metadata, "tokenizer_sha256", json_string(a->tokenizer));
    if (a->specials.given) mf_metadata_set_json(metadata, "special_tokens", mf_specials_json(&a->specials));
    json_object_set_new(metadata, "shared_sha256", json_string(a->shared_hash));
    mf_metadata_set_json(metadata, "shared_trained", json_incref(a->shared_trained));
    if (json_is_object(a->base)) mf_metadata_set_json(metadata, "base", json_incref(a->base));
    mf_metadata_set_json(metadata, "experts", experts_json(a));
    if (!mixture)
        json_object_set_new(metadata, "ffn", json_string(a->kind == MF_ASSEMBLE_DENSE ? "dense" : "average"));
    mf_metadata_set_json(metadata, "router", router_json(a));
    return metadata;
}
