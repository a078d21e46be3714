/* Planning an assembly from the manifests alone, and writing it in the order of its header. */
#include "assemble/assemble.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "io/safetensors.h"
#include "assemble/assemble_internal.h"

size_t mf_assembly_experts(const struct mf_assembly *a) {
    return a->kind == MF_ASSEMBLE_MIXTURE ? a->n_experts + a->anchor : 1;
}

static bool begins(const char *name, const char *prefix) {
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool mf_assembly_takes(const char *name, bool expert) {
    bool llama_ffn = begins(name, "model.") && strstr(name, ".mlp.");
    if (expert) return begins(name, "layers.") || llama_ffn || mf_attention_is(name);
    return begins(name, "shared.") || begins(name, "lm_head.") || (begins(name, "model.") && !llama_ffn);
}

bool mf_assembly_repeats(const struct mf_assembly *a) {
    return a->shape.arch == MF_REFERENCE;
}

/* --- the plan --- */

/* Every tensor of the component is there, and no other that would be part of the model. */
static int check_tensors(const struct mf_component *p, const struct mf_tensor *expected, size_t count,
                         bool expert, struct mf_err *err) {
    size_t found = 0;
    if (mf_bundle_expect(p->bundle, expected, count, err) < 0) return -1;
    for (size_t i = 0; i < count; i++) found += mf_assembly_takes(expected[i].name, expert);
    for (size_t i = 0; i < mf_bundle_count(p->bundle); i++) {
        const char *name = mf_bundle_tensor(p->bundle, i)->name;
        if (mf_assembly_takes(name, expert) && found-- == 0)
            return mf_err_set(err, EX_DATAERR, "%s: more tensors %.*s* than a model of its shape has",
                              p->name, (int)strcspn(name, ".") + 1, name);
    }
    return 0;
}

static int check_component(const struct mf_component *p, bool expert, struct mf_err *err) {
    size_t count;
    if (mf_component_check(p, expert, err) < 0) return -1;
    struct mf_tensor *expected = mf_component_tensors(p, expert, &count);
    int status = check_tensors(p, expected, count, expert, err);
    free(expected);
    return status;
}

/* The special tokens of the shared bundle, or of the first expert where an older one names none. */
static int match_specials(struct mf_assembly *a, const struct mf_specials *s, const char *name,
                          struct mf_err *err) {
    if (a->specials.given) return mf_specials_match(&a->specials, a->specials_from, s, name, err);
    a->specials = *s;
    a->specials_from = name;
    return 0;
}

/* What the model takes over of a bundle's `training`: how much it was trained on, and the fingerprints of the
 * tokens that it was trained and validated on. New. */
static json_t *trained_json(const json_t *training) {
    static const char *const fields[] = {"documents", "tokens", "data_xxh64", "validation_xxh64"};
    json_t *j = json_object();
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *value = json_object_get(training, fields[i]);
        if (value) json_object_set(j, fields[i], value);
    }
    return j;
}

static int plan_expert(struct mf_assembly *a, const struct mf_component *shared, size_t e,
                       const struct mf_spool *component, struct mf_err *err) {
    struct mf_component p;
    struct mf_expert_entry *entry = &a->experts[e];
    if (mf_component_open(&p, component->path, "expert", err) < 0) return -1;
    const json_t *meta = mf_bundle_meta(p.bundle), *partition = json_object_get(meta, "partition");
    *entry = (struct mf_expert_entry){.path = component->path,
                                      .name = component->name,
                                      .partition = partition ? json_integer_value(partition) : -1,
                                      .trained = trained_json(json_object_get(meta, "training")),
                                      .low_rank = p.low_rank,
                                      .head = a->config->assemble.heads ? p.head : 0,
                                      .attention = p.attention};
    memcpy(entry->hash, p.hash, sizeof entry->hash);
    int status = mf_component_match(shared, &p, err);
    if (status == 0) status = match_specials(a, &p.specials, component->name, err);
    for (size_t i = 0; i < e && status == 0; i++)
        if (strcmp(a->experts[i].hash, p.hash) == 0)
            status = mf_err_set(err, EX_DATAERR, "%s: the same expert as %s (%.12s)", component->name,
                                a->experts[i].name, p.hash);
    if (status == 0) status = check_component(&p, true, err);
    mf_component_close(&p);
    return status;
}

static void free_experts(struct mf_assembly *a) {
    for (size_t e = 0; e < a->n_experts && a->experts; e++) json_decref(a->experts[e].trained);
    free(a->experts);
}

/* Only the experts of the chosen partitions, in their order. */
static int choose(struct mf_assembly *a, const int64_t *chosen, size_t n, struct mf_err *err) {
    struct mf_expert_entry *kept = calloc(n, sizeof *kept);
    if (!kept) mf_no_memory();
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i++) {
        size_t e = 0;
        while (e < a->n_experts && a->experts[e].partition != chosen[i]) e++;
        if (e == a->n_experts)
            status = mf_err_set(err, EX_DATAERR, "no expert of partition %lld among the %zu given",
                                (long long)chosen[i], a->n_experts);
        else {
            kept[i] = a->experts[e];
            json_incref(kept[i].trained);
        }
    }
    free_experts(a);
    a->experts = kept;
    a->n_experts = n;
    return status;
}

int mf_assembly_open(struct mf_component *p, const struct mf_assembly *a,
                     const struct mf_expert_entry *expert, struct mf_err *err) {
    const char *path = expert ? expert->path : a->shared_path;
    if (mf_component_open(p, path, expert ? "expert" : "shared", err) < 0) return -1;
    if (strcmp(p->hash, expert ? expert->hash : a->shared_hash) == 0) return 0;
    mf_component_close(p);
    return mf_err_set(err, EX_DATAERR, "%s: changed while it was read", path);
}

/* Heads have no mean: their factors cannot be added. */
static int check_average(const struct mf_assembly *a, struct mf_err *err) {
    for (size_t e = 0; e < a->n_experts && a->kind == MF_ASSEMBLE_AVERAGE; e++)
        if (a->experts[e].head)
            return mf_err_set(err, EX_DATAERR,
                              "%s: has a head of its own, of which there is no mean (assemble.heads=false "
                              "leaves heads out)",
                              a->experts[e].name);
    return 0;
}

/* Attention comes before the states that a hidden router looks at, and is not averaged. */
static int check_attention(const struct mf_assembly *a, struct mf_err *err) {
    for (size_t e = 0; e < a->n_experts; e++) {
        if (!a->experts[e].attention) continue;
        if (a->kind == MF_ASSEMBLE_AVERAGE)
            return mf_err_set(err, EX_DATAERR, "%s: has attention of its own, of which no mean is made",
                              a->experts[e].name);
        if (a->config->router.kind != MF_ROUTER_PREFIX)
            return mf_err_set(
                err, EX_CONFIG,
                "%s: has attention of its own, which needs router.kind=prefix: a router of hidden "
                "states chooses after attention",
                a->experts[e].name);
    }
    return 0;
}

/* Every token meets top_k experts. */
static int check_top_k(const struct mf_assembly *a, struct mf_err *err) {
    size_t E = mf_assembly_experts(a);
    if (a->kind != MF_ASSEMBLE_MIXTURE || a->config->model.top_k <= (int64_t)E) return 0;
    return mf_err_set(err, EX_CONFIG, "model.top_k is %lld, but there %s %zu expert%s",
                      (long long)a->config->model.top_k, E == 1 ? "is" : "are", E, E == 1 ? "" : "s");
}

static int plan(struct mf_assembly *a, const struct mf_component *shared, const struct mf_spool *experts,
                const int64_t *chosen, size_t n_chosen, struct mf_err *err) {
    int status = check_component(shared, false, err);
    for (size_t e = 0; e < a->n_experts && status == 0; e++)
        status = plan_expert(a, shared, e, &experts[e], err);
    if (status == 0 && chosen) status = choose(a, chosen, n_chosen, err);
    if (status == 0) status = check_top_k(a, err);
    if (status == 0) status = check_average(a, err);
    if (status == 0) status = check_attention(a, err);
    if (status == 0) status = mf_assembly_add_shared(a, shared, err);
    if (status == 0)
        status =
            a->kind == MF_ASSEMBLE_AVERAGE ? mf_average_add(a, err) : mf_assembly_add_experts(a, shared, err);
    return status == 0 ? mf_assembly_add_router(a, err) : -1;
}

int mf_assembly_plan(struct mf_assembly *a, enum mf_assembly_kind kind, const struct mf_config *config,
                     const struct mf_spool *components, size_t n, const int64_t *chosen, size_t n_chosen,
                     struct mf_err *err) {
    struct mf_component shared;
    *a = (struct mf_assembly){
        .config = config, .kind = kind, .shared_path = components[0].path, .n_experts = n - 1, .scratch = -1};
    if (mf_component_open(&shared, a->shared_path, "shared", err) < 0) return -1;
    a->shape = shared.shape;
    a->anchor = kind == MF_ASSEMBLE_MIXTURE && config->assemble.anchor;
    a->shared_name = components[0].name;
    a->shared_trained = trained_json(json_object_get(mf_bundle_meta(shared.bundle), "training"));
    a->base = json_incref(json_object_get(mf_bundle_meta(shared.bundle), "base"));
    memcpy(a->shared_hash, shared.hash, sizeof a->shared_hash);
    memcpy(a->tokenizer, shared.tokenizer, sizeof a->tokenizer);
    a->specials = shared.specials;
    a->specials_from = components[0].name;
    a->experts = calloc(n, sizeof *a->experts);
    a->buffer = malloc(MF_ASSEMBLY_THREADS * MF_ASSEMBLY_BUFFER);
    if (!a->experts || !a->buffer) mf_no_memory();
    int status = plan(a, &shared, components + 1, chosen, n_chosen, err);
    mf_component_close(&shared);
    return status;
}

void mf_assembly_free(struct mf_assembly *a) {
    free_experts(a);
    json_decref(a->shared_trained);
    json_decref(a->base);
    free(a->tensors);
    free(a->begin);
    if (a->buffer && a->scratch >= 0) close(a->scratch);
    free(a->buffer);
    *a = (struct mf_assembly){.scratch = -1};
}

/* --- the model --- */

int mf_assembly_each(const struct mf_assembly *a, const struct mf_expert_entry *expert,
                     mf_assembly_visit *visit, void *context, struct mf_err *err) {
    struct mf_component p;
    size_t index;
    int more, status = 0;
    if (mf_assembly_open(&p, a, expert, err) < 0) return -1;
    while (status == 0 && (more = mf_bundle_next(p.bundle, &index, err)) != 0)
        status = more < 0 ? -1 : visit(context, p.bundle, mf_bundle_tensor(p.bundle, index), err);
    mf_component_close(&p);
    return status;
}

int mf_assembly_write(struct mf_assembly *a, struct mf_pool *pool, struct mf_out *out, struct mf_err *err) {
    json_t *metadata = mf_assembly_metadata(a);
    int status = mf_safetensors_header(out, metadata, a->tensors, a->count, err);
    json_decref(metadata);
    if (status == 0) status = (a->scratch = mf_scratch_open(err)) < 0 ? -1 : 0;
    if (status == 0) status = mf_assembly_copy(a, pool, out, err);
    if (status == 0 && a->kind == MF_ASSEMBLE_AVERAGE) status = mf_average_write(a, out, err);
    return status == 0 ? mf_assembly_write_router(a, out, err) : status;
}
