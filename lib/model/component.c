/* Opening components, and whether two belong together. */
#include "model/component.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/json_fields.h"
#include "io/safetensors.h"
#include "io/sha256.h"

/* A field of 64 hex digits. */
static int hash_field(const struct mf_component *p, const char *field, char hash[65], struct mf_err *err) {
    const char *text = json_string_value(json_object_get(mf_bundle_meta(p->bundle), field));
    if (!mf_sha256_valid(text))
        return mf_err_set(err, EX_DATAERR, "%s: the manifest has no valid %s", p->name, field);
    memcpy(hash, text, 65);
    return 0;
}

/* --- what is said of a component --- */

/* In a manifest's `training`, and of a model's metadata in `shared_trained` and for each expert. */
static const struct mf_json_field training_fields[] = {
    {"documents", MF_JSON_COUNT, MF_JSON_ABSENT}, {"tokens", MF_JSON_COUNT, MF_JSON_ABSENT},
    {"data_xxh64", MF_JSON_TEXT, MF_JSON_ABSENT}, {"validation_xxh64", MF_JSON_TEXT, MF_JSON_ABSENT},
    {"best_step", MF_JSON_COUNT, MF_JSON_ABSENT}, {0}};
static const struct mf_json_field base_fields[] = {
    {"class", MF_JSON_TEXT, MF_JSON_ABSENT}, {"name", MF_JSON_TEXT, MF_JSON_ABSENT}, {0}};
static const struct mf_json_field expert_fields[] = {
    {"partition", MF_JSON_COUNT, MF_JSON_ABSENT}, {"name", MF_JSON_TEXT, MF_JSON_ABSENT},
    {"file", MF_JSON_TEXT, MF_JSON_ABSENT},       {"sha256", MF_JSON_TEXT, MF_JSON_ABSENT},
    {"rank", MF_JSON_COUNT, MF_JSON_ABSENT},      {"head", MF_JSON_COUNT, MF_JSON_ABSENT},
    {"attention", MF_JSON_TEXT, MF_JSON_ABSENT},  {0}};

/* Fields of the manifest that say where the component comes from, and may be missing. */
static int check_origin(const struct mf_component *p, struct mf_err *err) {
    static const struct mf_json_field own[] = {{"partition", MF_JSON_COUNT, MF_JSON_ABSENT}, {0}};
    const json_t *manifest = mf_bundle_meta(p->bundle), *training = json_object_get(manifest, "training"),
                 *base = json_object_get(manifest, "base");
    if (mf_json_fields(manifest, own, p->name, "the manifest", err) < 0) return -1;
    if (training && mf_json_fields(training, training_fields, p->name, "the manifest's training", err) < 0)
        return -1;
    return base ? mf_json_fields(base, base_fields, p->name, "the manifest's base", err) : 0;
}

int mf_components_check(const json_t *metadata, const char *name, struct mf_err *err) {
    static const struct {
        const char *key, *what;
        const struct mf_json_field *fields;
        int (*check)(const json_t *, const struct mf_json_field *, const char *, const char *,
                     struct mf_err *);
    } all[] = {{"experts", "metadata experts", expert_fields, mf_json_rows},
               {"experts", "metadata experts", training_fields, mf_json_rows},
               {"shared_trained", "metadata shared_trained", training_fields, mf_json_fields},
               {"base", "metadata base", base_fields, mf_json_fields}};
    int status = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && status == 0; i++) {
        if (!json_object_get(metadata, all[i].key)) continue;
        json_t *json = mf_metadata_json(metadata, all[i].key);
        status = all[i].check(json, all[i].fields, name, all[i].what, err);
        json_decref(json);
    }
    return status;
}

/* --- opening --- */

int mf_component_open(struct mf_component *p, const char *path, const char *kind, struct mf_err *err) {
    *p = (struct mf_component){0};
    if (mf_bundle_open(&p->bundle, path, kind, err) < 0) return -1;
    p->name = mf_bundle_name(p->bundle);
    snprintf(p->hash, sizeof p->hash, "%s", mf_bundle_hash(p->bundle));
    int status =
        mf_shape_parse(&p->shape, json_object_get(mf_bundle_meta(p->bundle), "config"), p->name, err);
    const json_t *specials = json_object_get(mf_bundle_meta(p->bundle), "special_tokens");
    if (status == 0) status = mf_specials_parse(&p->specials, specials, p->shape.V, p->name, err);
    if (status == 0) status = hash_field(p, "tokenizer_sha256", p->tokenizer, err);
    if (status == 0) status = check_origin(p, err);
    if (status == 0 && strcmp(kind, "expert") == 0) status = hash_field(p, "shared_sha256", p->shared, err);
    if (status == 0 && strcmp(kind, "expert") == 0)
        status = mf_low_rank_parse(&p->low_rank, mf_bundle_meta(p->bundle), &p->shape, p->name, err);
    if (status == 0 && strcmp(kind, "expert") == 0)
        status = mf_head_parse(&p->head, mf_bundle_meta(p->bundle), &p->shape, p->name, err);
    if (status == 0 && strcmp(kind, "expert") == 0)
        status = mf_attention_parse(&p->attention, mf_bundle_meta(p->bundle), &p->shape, p->name, err);
    if (status < 0) mf_component_close(p);
    return status;
}

void mf_component_close(struct mf_component *p) {
    mf_bundle_close(p->bundle);
    p->bundle = NULL;
    p->name = NULL;
}

struct mf_tensor *mf_component_tensors(const struct mf_component *p, bool expert, size_t *count) {
    const struct mf_shape *s = &p->shape;
    size_t backbone = expert ? 0 : mf_backbone_tensors(s, NULL, NULL), R = p->low_rank.R;
    enum mf_ffn_role role = expert ? MF_FFN_EXPERT : MF_FFN_DENSE;
    struct mf_tensor head[MF_HEAD_TENSORS];
    size_t ffn = R ? mf_changes_tensors(s, R, NULL, NULL) : mf_ffn_tensors(s, role, 0, NULL, NULL),
           attention = p->attention ? mf_attention_all_tensors(s, -1, NULL, NULL) : 0,
           n_head = mf_head_tensors(s, p->head, -1, NULL, head);
    *count = backbone + ffn + attention + n_head + 1;
    struct mf_tensor *t = calloc(*count, sizeof *t);
    if (!t) mf_no_memory();
    if (backbone) mf_backbone_tensors(s, NULL, t);
    if (R)
        mf_changes_tensors(s, R, NULL, t);
    else
        mf_ffn_tensors(s, role, 0, NULL, t + backbone);
    if (attention) mf_attention_all_tensors(s, -1, NULL, t + backbone + ffn);
    memcpy(t + backbone + ffn + attention, head, n_head * sizeof *head);
    t[*count - 1] = (struct mf_tensor){.name = "token_counts", .dtype = MF_I64, .n_dims = 1, .shape = {s->V}};
    return t;
}

/* Refuses tensors that are neither expected nor statistics: beside a backbone one of its names would count in
 * the place of its own. */
static int check_others(const struct mf_component *p, const struct mf_tensor *expected, size_t count,
                        struct mf_err *err) {
    for (size_t i = 0, at = 0; i < mf_bundle_count(p->bundle); i++) {
        const char *name = mf_bundle_tensor(p->bundle, i)->name;
        size_t tried = strncmp(name, "stats.", 6) == 0 ? count + 1 : 0;
        for (; tried < count && strcmp(expected[at].name, name) != 0; tried++) /* mostly it is the next */
            at = (at + 1) % count;
        if (tried == count)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s is none that its manifest gives an expert",
                              p->name, name);
    }
    return 0;
}

int mf_component_check(const struct mf_component *p, bool expert, struct mf_err *err) {
    size_t count;
    struct mf_tensor *expected = mf_component_tensors(p, expert, &count);
    int status = mf_bundle_expect(p->bundle, expected, count - 1, err);
    if (status == 0 && expert) status = check_others(p, expected, count, err);
    free(expected);
    return status;
}

bool mf_component_is_bf16(const struct mf_component *p) {
    for (size_t i = 0; i < mf_bundle_count(p->bundle); i++) {
        enum mf_dtype dtype = mf_bundle_tensor(p->bundle, i)->dtype;
        if (dtype != MF_BF16 && dtype != MF_I64) return false;
    }
    return true;
}

int mf_component_match(const struct mf_component *shared, const struct mf_component *expert,
                       struct mf_err *err) {
    if (mf_shape_match(&shared->shape, shared->name, &expert->shape, expert->name, err) < 0) return -1;
    if (mf_component_tokenizer(shared, expert->tokenizer, expert->name, err) < 0) return -1;
    if (mf_specials_match(&shared->specials, shared->name, &expert->specials, expert->name, err) < 0)
        return -1;
    if (strcmp(shared->hash, expert->shared) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: trained against shared bundle %.12s, but %s is %.12s",
                          expert->name, expert->shared, shared->name, shared->hash);
    return 0;
}

int mf_component_tokenizer(const struct mf_component *p, const char *tokenizer, const char *name,
                           struct mf_err *err) {
    if (strcmp(p->tokenizer, tokenizer) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", name, tokenizer,
                      p->tokenizer, p->name);
}
