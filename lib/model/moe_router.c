/* A model's router in its metadata: `config` has the number of experts, `router` (formats/model.md) the rest.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/strings.h"
#include "config/choices.h"
#include "model/moe_internal.h"

/* --- reading --- */

static int parse_counts(struct mf_moe *m, const json_t *config, struct mf_err *err) {
    json_int_t experts = json_integer_value(json_object_get(config, "n_experts"));
    json_int_t top_k = json_integer_value(json_object_get(config, "top_k"));
    if (experts < 1 || experts > 65536)
        return mf_err_set(err, EX_DATAERR, "%s: metadata config: n_experts must be 1 to 65536", m->name);
    if (top_k < 1 || top_k > experts)
        return mf_err_set(err, EX_DATAERR, "%s: metadata config: top_k is %lld, must be 1 to %lld", m->name,
                          (long long)top_k, (long long)experts);
    m->router.n_experts = (size_t)experts;
    m->router.top_k = (size_t)top_k;
    return 0;
}

static int real_field(const json_t *object, const char *key, double fallback, double *value) {
    const json_t *v = json_object_get(object, key);
    *value = v ? json_number_value(v) : fallback;
    return v && !json_is_number(v) ? -1 : 0;
}

static int parse_numbers(struct mf_moe *m, const json_t *router, bool prefix, struct mf_err *err) {
    struct mf_router *r = &m->router;
    if (real_field(router, "evidence_scale", prefix ? 1 : 0, &r->score_scale) == 0 &&
        real_field(router, "gate_scale", prefix ? 0 : 1, &r->gate_scale) == 0 &&
        real_field(router, "decay", 1, &r->decay) == 0 &&
        real_field(router, "bos_weight", MF_BOS_WEIGHT, &r->bos_weight) == 0)
        return 0;
    return mf_err_set(err, EX_DATAERR, "%s: metadata router: a value is not a number", m->name);
}

/* Is a field one of two words? The first where there is none. */
static int parse_word(struct mf_moe *m, const json_t *router, const char *key, const char *words[2],
                      bool *second, struct mf_err *err) {
    const json_t *value = json_object_get(router, key);
    const char *word = value ? json_string_value(value) : words[0];
    *second = word && strcmp(word, words[1]) == 0;
    if (word && (*second || strcmp(word, words[0]) == 0)) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: metadata router: %s must be '%s' or '%s'", m->name, key, words[0],
                      words[1]);
}

/* An array of numbers, which may be missing. */
static int check_array(struct mf_moe *m, const json_t *router, const char *key, size_t count,
                       struct mf_err *err) {
    const json_t *array = json_object_get(router, key), *value;
    size_t i, numbers = 0;
    json_array_foreach(array, i, value) numbers += json_is_number(value);
    if (!array || (numbers == count && json_array_size(array) == count)) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: metadata router: %s must be %zu numbers", m->name, key, count);
}

static int check_mean(struct mf_moe *m, const json_t *router, struct mf_err *err) {
    const struct mf_router *r = &m->router;
    if (m->shape.arch != MF_LLAMA || r->over_all)
        return mf_err_set(err, EX_DATAERR, "%s: metadata router: token_scores 'mean' needs %s", m->name,
                          r->over_all ? "weights 'chosen'" : "family llama");
    if (!(r->bos_weight > 0))
        return mf_err_set(err, EX_DATAERR, "%s: metadata router: bos_weight must be above 0", m->name);
    if (check_array(m, router, "layer_scale", m->shape.L, err) < 0) return -1;
    return check_array(m, router, "prior", r->n_experts, err);
}

int moe_router_parse(struct mf_moe *m, const json_t *config, const json_t *router, struct mf_err *err) {
    struct mf_router *r = &m->router;
    const char *weights[] = {"chosen", "all"}, *forms[] = {"sum", "mean"};
    const json_t *value = json_object_get(router, "kind");
    /* a model of the reference implementation says nothing of routers */
    const char *kind = !value ? "hidden" : json_is_string(value) ? json_string_value(value) : "?";
    if (parse_counts(m, config, err) < 0) return -1;
    int choice = mf_choice(MF_ROUTER_KINDS, kind, strlen(kind));
    if (choice < 0)
        return mf_err_set(err, EX_DATAERR, "%s: metadata router: unknown kind '%.40s'", m->name, kind);
    snprintf(r->kind, sizeof r->kind, "%s", kind);
    if (parse_numbers(m, router, choice == MF_ROUTER_PREFIX, err) < 0 ||
        parse_word(m, router, "weights", weights, &r->over_all, err) < 0 ||
        parse_word(m, router, "token_scores", forms, &r->mean, err) < 0)
        return -1;
    return r->mean ? check_mean(m, router, err) : 0;
}

/* --- the arrays --- */

void moe_router_place(struct mf_moe *m, struct mf_arena *a) {
    m->router.layer_scale = mf_arena_take(a, m->shape.L, sizeof *m->router.layer_scale);
    m->router.prior = mf_arena_take(a, m->router.n_experts, sizeof *m->router.prior);
}

static void fill(double *values, size_t count, const json_t *array, double fallback) {
    for (size_t i = 0; i < count; i++)
        values[i] = array ? json_number_value(json_array_get(array, i)) : fallback;
}

void moe_router_fill(struct mf_moe *m) {
    struct mf_router *r = &m->router;
    json_t *router = r->mean ? mf_metadata_json(mf_safetensors_metadata(mf_moe_model(m)), "router") : NULL;
    fill(r->layer_scale, m->shape.L, json_object_get(router, "layer_scale"), 1);
    fill(r->prior, r->n_experts, json_object_get(router, "prior"), 0);
    json_decref(router);
}

/* --- writing --- */

static json_t *array_of(const double *values, size_t count) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(array, json_real(values[i]));
    return array;
}

json_t *moe_router_json(const struct mf_moe *m) {
    const struct mf_router *r = &m->router;
    json_t *router =
        json_pack("{ss,sf,sf,sf,ss}", "kind", r->kind, "evidence_scale", r->score_scale, "gate_scale",
                  r->gate_scale, "decay", r->decay, "weights", r->over_all ? "all" : "chosen");
    if (!r->mean) return router;
    json_object_set_new(router, "token_scores", json_string("mean"));
    json_object_set_new(router, "bos_weight", json_real(r->bos_weight));
    json_object_set_new(router, "layer_scale", array_of(r->layer_scale, m->shape.L));
    json_object_set_new(router, "prior", array_of(r->prior, r->n_experts));
    return router;
}
