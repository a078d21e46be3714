/* The dimensions of a model, in files and against each other. */
#include "model/shape.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "model/rope_scaling.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct heads mf_shape_heads(const struct mf_shape *s) {
    return (struct heads){s->H, s->K ? s->K : s->H, s->d ? s->d : s->D / s->H};
}

/* No dimension above 2^24 and no tensor above 2^38 numbers keeps every product in a size_t. A context has no
 * tensor that bears it out, so it has the limit of the config's. */
#define DIM_LIMIT   ((size_t)1 << 24)
#define S_LIMIT     ((size_t)1 << 20)
#define COUNT_LIMIT ((size_t)1 << 38)

static const struct {
    const char *name;
    size_t offset;
} dims[] = {
    {"vocab_size", offsetof(struct mf_shape, V)}, {"d_model", offsetof(struct mf_shape, D)},
    {"n_heads", offsetof(struct mf_shape, H)},    {"n_layers", offsetof(struct mf_shape, L)},
    {"d_ff", offsetof(struct mf_shape, F)},       {"context", offsetof(struct mf_shape, S)},
};

static size_t *dim_at(struct mf_shape *s, size_t i) {
    return (size_t *)(void *)((char *)s + dims[i].offset);
}

static size_t dim_of(const struct mf_shape *s, size_t i) {
    return *(const size_t *)(const void *)((const char *)s + dims[i].offset);
}

static int check_llama(const struct mf_shape *s, const char *name, struct mf_err *err) {
    if (s->K < 1 || s->K > s->H || s->H % s->K)
        return mf_err_set(err, EX_DATAERR, "%s: n_heads %zu is not a multiple of n_kv_heads %zu", name, s->H,
                          s->K);
    if (s->d < 2 || s->d > MF_HEAD_MAX || s->d % 2)
        return mf_err_set(err, EX_DATAERR, "%s: head_dim is %zu, must be even and 2 to %d", name, s->d,
                          MF_HEAD_MAX);
    if (!(s->rope_theta > 0 && s->rope_theta <= 1e12))
        return mf_err_set(err, EX_DATAERR, "%s: rope_theta must be a number above 0, up to 1e12", name);
    if (!(s->norm_eps > 0 && s->norm_eps <= 1))
        return mf_err_set(err, EX_DATAERR, "%s: norm_eps must be a number above 0, up to 1", name);
    return s->stretch.factor != 0 ? mf_rope_scaling_check(&s->stretch, name, err) : 0;
}

int mf_shape_check(const struct mf_shape *s, const char *name, struct mf_err *err) {
    for (size_t i = 0; i < COUNT(dims); i++)
        if (dim_of(s, i) < 1 || dim_of(s, i) > DIM_LIMIT)
            return mf_err_set(err, EX_DATAERR, "%s: %s is %zu, must be 1 to %zu", name, dims[i].name,
                              dim_of(s, i), DIM_LIMIT);
    if (s->S > S_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: context is %zu, must be 1 to %zu", name, s->S, S_LIMIT);
    if (s->arch == MF_LLAMA && check_llama(s, name, err) < 0) return -1;
    if (s->arch == MF_REFERENCE && s->D % s->H)
        return mf_err_set(err, EX_DATAERR, "%s: d_model %zu is not a multiple of n_heads %zu", name, s->D,
                          s->H);
    if (s->L > 10000)
        return mf_err_set(err, EX_DATAERR, "%s: n_layers is %zu, must be 1 to 10000", name, s->L);
    if (s->V * s->D > COUNT_LIMIT || s->F * s->D > COUNT_LIMIT || s->S * s->D > COUNT_LIMIT ||
        heads_columns(mf_shape_heads(s)) * s->D > COUNT_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: dimensions too large", name);
    return 0;
}

json_t *mf_shape_json(const struct mf_shape *s) {
    json_t *object = json_object();
    for (size_t i = 0; i < COUNT(dims); i++)
        json_object_set_new(object, dims[i].name, json_integer((json_int_t)dim_of(s, i)));
    if (s->arch == MF_REFERENCE) {
        json_object_set_new(object, "position_scale", json_real(s->position_scale));
        return object;
    }
    char arch[16];
    mf_choice_name(MF_ARCHS, (int)s->arch, arch, sizeof arch);
    json_object_set_new(object, "arch", json_string(arch));
    json_object_set_new(object, "n_kv_heads", json_integer((json_int_t)s->K));
    json_object_set_new(object, "head_dim", json_integer((json_int_t)s->d));
    json_object_set_new(object, "rope_theta", json_real(s->rope_theta));
    json_object_set_new(object, "norm_eps", json_real(s->norm_eps));
    json_object_set_new(object, "tied", json_boolean(!s->untied));
    if (s->qkv_bias) json_object_set_new(object, "qkv_bias", json_true());
    if (s->qk_norm) json_object_set_new(object, "qk_norm", json_true());
    if (s->stretch.factor != 0)
        json_object_set_new(object, "rope_scaling", mf_rope_scaling_json(&s->stretch));
    return object;
}

/* An integer of at least 0 in *n. */
static int parse_size(size_t *n, const json_t *object, const char *key, const char *name,
                      struct mf_err *err) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return mf_err_set(err, EX_DATAERR, "%s: config has no integer '%s'", name, key);
    *n = json_integer_value(value) < 0 ? 0 : (size_t)json_integer_value(value);
    return 0;
}

static int parse_bool(bool *to, bool fallback, const json_t *object, const char *key, const char *name,
                      struct mf_err *err) {
    const json_t *value = json_object_get(object, key);
    *to = value ? json_is_true(value) : fallback;
    if (!value || json_is_boolean(value)) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: config: %s must be true or false", name, key);
}

static int parse_reference(struct mf_shape *s, const json_t *object, const char *name, struct mf_err *err) {
    const json_t *scale = json_object_get(object, "position_scale");
    s->position_scale = scale ? json_number_value(scale) : 1;
    if (scale && (!json_is_number(scale) || s->position_scale < 0 || s->position_scale > 1e6))
        return mf_err_set(err, EX_DATAERR, "%s: position_scale must be a number from 0 to 1e6", name);
    return 0;
}

static int parse_llama(struct mf_shape *s, const json_t *object, const char *name, struct mf_err *err) {
    bool tied;
    s->rope_theta = json_number_value(json_object_get(object, "rope_theta"));
    s->norm_eps = json_number_value(json_object_get(object, "norm_eps"));
    if (parse_size(&s->K, object, "n_kv_heads", name, err) < 0 ||
        parse_size(&s->d, object, "head_dim", name, err) < 0 ||
        parse_bool(&tied, true, object, "tied", name, err) < 0)
        return -1;
    s->untied = !tied;
    if (parse_bool(&s->qkv_bias, false, object, "qkv_bias", name, err) < 0 ||
        parse_bool(&s->qk_norm, false, object, "qk_norm", name, err) < 0)
        return -1;
    return mf_rope_scaling_parse(&s->stretch, json_object_get(object, "rope_scaling"), name, err);
}

/* A config that names no family is of the reference's. */
static int parse_arch(struct mf_shape *s, const json_t *object, const char *name, struct mf_err *err) {
    const json_t *value = json_object_get(object, "arch");
    const char *text = json_is_string(value) ? json_string_value(value) : "?";
    int arch = value ? mf_choice(MF_ARCHS, text, strlen(text)) : MF_REFERENCE;
    if (arch < 0) return mf_err_set(err, EX_DATAERR, "%s: config: unknown arch '%.40s'", name, text);
    s->arch = (enum mf_arch)arch;
    return 0;
}

int mf_shape_parse(struct mf_shape *s, const json_t *object, const char *name, struct mf_err *err) {
    *s = (struct mf_shape){0};
    if (parse_arch(s, object, name, err) < 0) return -1;
    for (size_t i = 0; i < COUNT(dims); i++)
        if (parse_size(dim_at(s, i), object, dims[i].name, name, err) < 0) return -1;
    int status =
        s->arch == MF_LLAMA ? parse_llama(s, object, name, err) : parse_reference(s, object, name, err);
    return status < 0 ? -1 : mf_shape_check(s, name, err);
}

/* As a message says it. */
#define MESSAGE (JSON_ENCODE_ANY | JSON_REAL_PRECISION(6))

/* The keys of one of them, in both. */
static int match(json_t *keys, const json_t *a, const char *a_name, const json_t *b, const char *b_name,
                 struct mf_err *err) {
    const char *key;
    json_t *value;
    json_object_foreach(keys, key, value) {
        const json_t *there = json_object_get(a, key), *here = json_object_get(b, key);
        if (there && here && json_equal(there, here)) continue;
        char *theirs = there ? json_dumps(there, MESSAGE) : NULL,
             *ours = here ? json_dumps(here, MESSAGE) : NULL;
        mf_err_set(err, EX_DATAERR, "%s: %s is %s, not %s as in %s", b_name, key, ours ? ours : "missing",
                   theirs ? theirs : "missing", a_name);
        free(ours);
        free(theirs);
        return -1;
    }
    return 0;
}

int mf_shape_match(const struct mf_shape *a, const char *a_name, const struct mf_shape *b, const char *b_name,
                   struct mf_err *err) {
    json_t *there = mf_shape_json(a), *here = mf_shape_json(b);
    int status = match(there, there, a_name, here, b_name, err);
    if (status == 0) status = match(here, there, a_name, here, b_name, err);
    json_decref(here);
    json_decref(there);
    return status;
}
