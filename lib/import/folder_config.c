/* A folder's config.json: which class it is, its dimensions, and what this project's family llama does not
 * have. A value that the file leaves out is the class's own in transformers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "import/base_internal.h"
#include "io/json_file.h"
#include "io/utf8.h"
#include "model/rope_scaling.h"

/* What a class has, and what it takes for values that are not said: 0 key heads are as many as heads, a
 * head_dim of 0 is hidden_size / heads, a window of 0 none. */
static const struct class {
    const char *name, *model_type;
    bool qkv_bias, qk_norm;
    int64_t n_kv_heads, head_dim, window;
    bool window_if_used; /* only where use_sliding_window says so */
} classes[] = {
    {"LlamaForCausalLM", "llama", false, false, 0, 0, 0, false},
    {"MistralForCausalLM", "mistral", false, false, 8, 0, 4096, false},
    {"Qwen2ForCausalLM", "qwen2", true, false, 32, 0, 4096, true},
    {"Qwen3ForCausalLM", "qwen3", false, true, 32, 128, 4096, true},
};

struct reading {
    struct mf_base *base;
    const json_t *config;
    const struct class *class;
    struct mf_err *err;
};

/* The value of a key; NULL also where it is null. */
static const json_t *value_of(const struct reading *r, const char *key) {
    const json_t *value = json_object_get(r->config, key);
    return json_is_null(value) ? NULL : value;
}

/* --- values --- */

/* A whole number from 1 on; `fallback` where it is not said, and where that is -1 it must be. */
static int read_size(const struct reading *r, const char *key, int64_t fallback, int64_t *to) {
    const json_t *value = value_of(r, key);
    *to = value ? json_integer_value(value) : fallback;
    if (value && (!json_is_integer(value) || *to < 1))
        return base_refuse(r->base, r->err, "config.json: %s must be a whole number above 0", key);
    return *to >= 0 ? 0 : base_refuse(r->base, r->err, "config.json has no %s", key);
}

static int read_real(const struct reading *r, const json_t *object, const char *key, double fallback,
                     double *to) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) {
        *to = fallback;
        return 0;
    }
    *to = json_number_value(value);
    return json_is_number(value) ? 0 : base_refuse(r->base, r->err, "config.json: %s must be a number", key);
}

static int read_bool(const struct reading *r, const char *key, bool *to) {
    const json_t *value = value_of(r, key);
    *to = json_is_true(value);
    return !value || json_is_boolean(value)
               ? 0
               : base_refuse(r->base, r->err, "config.json: %s must be true or false", key);
}

/* --- the class --- */

static int refuse_class(const struct reading *r, const char *name) {
    if (strstr(name, "Moe") || strncmp(name, "Mixtral", 7) == 0)
        return base_refuse(r->base, r->err, "is a %.60s: it has experts already, a base is one dense model",
                           name);
    return base_refuse(r->base, r->err,
                       "is a %.60s, not a LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM or "
                       "Qwen3ForCausalLM",
                       name);
}

static int find_class(struct reading *r) {
    const json_t *list = value_of(r, "architectures");
    const char *name = json_string_value(json_array_get(list, 0)),
               *type = json_string_value(value_of(r, "model_type"));
    if (list && (json_array_size(list) != 1 || !name))
        return base_refuse(r->base, r->err, "config.json: architectures is not a list of one name");
    if (!name && !type) return base_refuse(r->base, r->err, "config.json names no architecture");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(name ? name : type, name ? classes[i].name : classes[i].model_type) == 0)
            r->class = &classes[i];
    if (!r->class) return refuse_class(r, name ? name : type);
    r->base->class = r->class->name;
    return 0;
}

/* --- what cannot be honoured --- */

/* Keys that must not be true, or say anything at all. */
static int check_absent(const struct reading *r) {
    static const struct {
        const char *key, *what;
    } keys[] = {{"attention_bias", "a bias of o_proj"}, {"mlp_bias", "biases in its FFN"}},
      said[] = {{"quantization_config", "quantised weights"},
                {"num_local_experts", "experts"},
                {"num_experts", "experts"}};
    bool on;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (read_bool(r, keys[i].key, &on) < 0) return -1;
        if (on) return base_refuse(r->base, r->err, "has %s (%s)", keys[i].what, keys[i].key);
    }
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (value_of(r, said[i].key))
            return base_refuse(r->base, r->err, "has %s (%s)", said[i].what, said[i].key);
    return 0;
}

static int check_activation(const struct reading *r) {
    const json_t *value = value_of(r, "hidden_act");
    const char *act = json_string_value(value);
    if (!value || (act && strcmp(act, "silu") == 0)) return 0;
    return base_refuse(r->base, r->err, "has the activation '%.40s' (hidden_act), not silu", act ? act : "?");
}

/* A window that is as long as the context is none. */
static int check_window(const struct reading *r) {
    const json_t *said = json_object_get(r->config, "sliding_window");
    int64_t window = r->class->window;
    bool used = !r->class->window_if_used;
    if (!used && read_bool(r, "use_sliding_window", &used) < 0) return -1;
    if (json_is_null(said)) return 0;
    if (said && read_size(r, "sliding_window", 0, &window) < 0) return -1;
    if (!used || window == 0 || (size_t)window >= r->base->shape.S) return 0;
    return base_refuse(r->base, r->err,
                       "attends to %lld tokens (sliding_window), fewer than the context of %zu: take "
                       "--context %lld",
                       (long long)window, r->base->shape.S, (long long)window);
}

/* --- positions --- */

/* The newer form has everything in rope_parameters, the older one the base beside rope_scaling. */
static int read_positions(const struct reading *r) {
    struct mf_shape *s = &r->base->shape;
    const json_t *newer = value_of(r, "rope_parameters"), *rule = newer ? newer : value_of(r, "rope_scaling");
    double part;
    if (rule && !json_is_object(rule))
        return base_refuse(r->base, r->err, "config.json: %s is not an object",
                           newer ? "rope_parameters" : "rope_scaling");
    if (read_real(r, r->config, "rope_theta", 10000, &s->rope_theta) < 0 ||
        read_real(r, newer, "rope_theta", s->rope_theta, &s->rope_theta) < 0 ||
        read_real(r, r->config, "partial_rotary_factor", 1, &part) < 0 ||
        read_real(r, newer, "partial_rotary_factor", part, &part) < 0)
        return -1;
    if (part != 1)
        return base_refuse(r->base, r->err, "turns only a part of each head (partial_rotary_factor)");
    if (!rule || json_object_size(rule) == 0) return 0;
    const json_t *named = json_object_get(rule, "rope_type");
    const char *type = json_string_value(named ? named : json_object_get(rule, "type"));
    if (type && strcmp(type, "default") == 0) return 0;
    if (!type || strcmp(type, "llama3") != 0)
        return base_refuse(r->base, r->err,
                           "has positions of type '%.40s' (rope_type), not llama3 or default",
                           type ? type : "?");
    json_t *plain = json_copy((json_t *)(uintptr_t)rule);
    json_object_set_new(plain, "rope_type", json_string("llama3"));
    int status = mf_rope_scaling_parse(&s->stretch, plain, r->base->path, r->err);
    json_decref(plain);
    return status;
}

/* --- dimensions --- */

static int read_dimensions(const struct reading *r, size_t context) {
    struct mf_shape *s = &r->base->shape;
    const struct class *c = r->class;
    int64_t V, D, F, L, H, K, d, max;
    if (read_size(r, "vocab_size", -1, &V) < 0 || read_size(r, "hidden_size", -1, &D) < 0 ||
        read_size(r, "intermediate_size", -1, &F) < 0 || read_size(r, "num_hidden_layers", -1, &L) < 0 ||
        read_size(r, "num_attention_heads", -1, &H) < 0 ||
        read_size(r, "num_key_value_heads", c->n_kv_heads, &K) < 0 ||
        read_size(r, "head_dim", c->head_dim, &d) < 0 ||
        read_size(r, "max_position_embeddings", -1, &max) < 0)
        return -1;
    if (d == 0 && D % H)
        return base_refuse(r->base, r->err,
                           "config.json: hidden_size %lld is not a multiple of "
                           "num_attention_heads %lld",
                           (long long)D, (long long)H);
    s->V = (size_t)V;
    s->D = (size_t)D;
    s->F = (size_t)F;
    s->L = (size_t)L;
    s->H = (size_t)H;
    s->K = (size_t)(K ? K : H);
    s->d = (size_t)(d ? d : D / H);
    s->qkv_bias = c->qkv_bias;
    s->qk_norm = c->qk_norm;
    bool tied;
    if (read_bool(r, "tie_word_embeddings", &tied) < 0) return -1;
    s->untied = !tied;
    if (read_real(r, r->config, "rms_norm_eps", 1e-6, &s->norm_eps) < 0) return -1;
    return base_context(r->base, context, max, r->err);
}

/* --- the file --- */

/* "SmolLM2-135M" of "HuggingFaceTB/SmolLM2-135M" */
static void take_name(const struct reading *r) {
    const char *name = json_string_value(value_of(r, "_name_or_path")),
               *slash = name ? strrchr(name, '/') : NULL;
    if (slash) name = slash + 1;
    if (name) mf_utf8_line(r->base->name, sizeof r->base->name, name, strlen(name));
}

static int read_all(struct reading *r, size_t context) {
    if (!json_is_object(r->config)) return base_refuse(r->base, r->err, "config.json is not an object");
    take_name(r);
    if (find_class(r) < 0 || check_absent(r) < 0 || check_activation(r) < 0) return -1;
    if (read_dimensions(r, context) < 0 || read_positions(r) < 0 || check_window(r) < 0) return -1;
    if (mf_shape_check(&r->base->shape, r->base->path, r->err) < 0) return -1;
    return base_read_specials(r->base, r->config, r->err);
}

int base_read_config(struct mf_base *b, size_t context, struct mf_err *err) {
    char *path = mf_format("%s/config.json", b->path);
    json_t *config = mf_json_read(path, BASE_JSON, JSON_REJECT_DUPLICATES, err);
    struct reading r = {b, config, NULL, err};
    free(path);
    int status = config ? read_all(&r, context) : -1;
    json_decref(config);
    return status;
}
