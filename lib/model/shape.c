/* The tables of a trunk's and an FFN's tensors, and all that follows from them. */
#include "model/shape.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"

enum dim { DIM_1, DIM_V, DIM_D, DIM_3D, DIM_F };

/* One tensor: the end of its name, its shape (columns DIM_1: a vector), and where its pointer lives in the
 * view. */
struct field {
    const char *name;
    enum dim rows, columns;
    size_t view;
};

static const struct field trunk_layer_fields[] = {
    {"attn_norm.weight", DIM_D, DIM_1, offsetof(struct mf_trunk_layer, norm_gain)},
    {"attn_norm.bias", DIM_D, DIM_1, offsetof(struct mf_trunk_layer, norm_bias)},
    {"attention.qkv_proj.weight", DIM_3D, DIM_D, offsetof(struct mf_trunk_layer, qkv)},
    {"attention.out_proj.weight", DIM_D, DIM_D, offsetof(struct mf_trunk_layer, out)},
};
static const struct field ffn_layer_fields[] = {
    {"norm.weight", DIM_D, DIM_1, offsetof(struct mf_ffn_layer, norm_gain)},
    {"norm.bias", DIM_D, DIM_1, offsetof(struct mf_ffn_layer, norm_bias)},
    {"fc1.weight", DIM_F, DIM_D, offsetof(struct mf_ffn_layer, fc1)},
    {"fc1.bias", DIM_F, DIM_1, offsetof(struct mf_ffn_layer, fc1_bias)},
    {"fc2.weight", DIM_D, DIM_F, offsetof(struct mf_ffn_layer, fc2)},
    {"fc2.bias", DIM_D, DIM_1, offsetof(struct mf_ffn_layer, fc2_bias)},
};
static const struct field trunk_head_fields[] = {
    {"token_embedding.weight", DIM_V, DIM_D, offsetof(struct mf_trunk_ends, embedding)},
};
static const struct field trunk_tail_fields[] = {
    {"output_norm.weight", DIM_D, DIM_1, offsetof(struct mf_trunk_ends, out_norm_gain)},
    {"output_norm.bias", DIM_D, DIM_1, offsetof(struct mf_trunk_ends, out_norm_bias)},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static size_t dim_size(const struct mf_shape *s, enum dim dim) {
    switch (dim) {
    case DIM_V:
        return s->V;
    case DIM_D:
        return s->D;
    case DIM_3D:
        return 3 * s->D;
    case DIM_F:
        return s->F;
    default:
        return 1;
    }
}

static size_t field_size(const struct mf_shape *s, const struct field *f) {
    return dim_size(s, f->rows) * dim_size(s, f->columns);
}

static size_t fields_size(const struct mf_shape *s, const struct field *fields, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += field_size(s, &fields[i]);
    return total;
}

/* Sets the view's pointers (a matrix begins with its own) to consecutive pieces of `base`. */
static void fields_view(const struct mf_shape *s, const struct field *fields, size_t count, float *base,
                        void *view) {
    if (!base) return;
    for (size_t i = 0; i < count; i++) {
        memcpy((char *)view + fields[i].view, &base, sizeof base);
        base += field_size(s, &fields[i]);
    }
}

size_t mf_trunk_layer_size(const struct mf_shape *s) {
    return fields_size(s, trunk_layer_fields, COUNT(trunk_layer_fields));
}

static size_t ffn_layer_size(const struct mf_shape *s) {
    return fields_size(s, ffn_layer_fields, COUNT(ffn_layer_fields));
}

static size_t trunk_head_size(const struct mf_shape *s) {
    return fields_size(s, trunk_head_fields, COUNT(trunk_head_fields));
}

size_t mf_trunk_size(const struct mf_shape *s) {
    return trunk_head_size(s) + s->L * mf_trunk_layer_size(s) +
           fields_size(s, trunk_tail_fields, COUNT(trunk_tail_fields));
}

size_t mf_ffn_size(const struct mf_shape *s) {
    return s->L * ffn_layer_size(s);
}

size_t mf_trunk_layer_offset(const struct mf_shape *s, size_t layer) {
    return trunk_head_size(s) + layer * mf_trunk_layer_size(s);
}

struct mf_trunk_layer mf_trunk_layer_view(const struct mf_shape *s, float *layer) {
    struct mf_trunk_layer view = {0};
    fields_view(s, trunk_layer_fields, COUNT(trunk_layer_fields), layer, &view);
    return view;
}

struct mf_trunk_layer mf_trunk_layer(const struct mf_shape *s, float *base, size_t layer) {
    return base ? mf_trunk_layer_view(s, base + mf_trunk_layer_offset(s, layer)) : (struct mf_trunk_layer){0};
}

struct mf_trunk_ends mf_trunk_ends(const struct mf_shape *s, float *base) {
    struct mf_trunk_ends view = {0};
    fields_view(s, trunk_head_fields, COUNT(trunk_head_fields), base, &view);
    if (base)
        fields_view(s, trunk_tail_fields, COUNT(trunk_tail_fields), base + mf_trunk_layer_offset(s, s->L),
                    &view);
    return view;
}

struct mf_ffn_layer mf_ffn_layer(const struct mf_shape *s, float *base, size_t layer) {
    struct mf_ffn_layer view = {0};
    if (base)
        fields_view(s, ffn_layer_fields, COUNT(ffn_layer_fields), base + layer * ffn_layer_size(s), &view);
    return view;
}

/* Describes one field under `prefix`; returns the base behind it (NULL stays NULL). */
static float *describe(const struct mf_shape *s, const struct field *f, const char *prefix, float *base,
                       struct mf_tensor *t) {
    if (t) {
        *t = (struct mf_tensor){.dtype = MF_F32, .n_dims = f->columns == DIM_1 ? 1 : 2, .data = base};
        snprintf(t->name, sizeof t->name, "%s%s", prefix, f->name);
        t->shape[0] = dim_size(s, f->rows);
        if (f->columns != DIM_1) t->shape[1] = dim_size(s, f->columns);
    }
    return base ? base + field_size(s, f) : NULL;
}

static size_t describe_all(const struct mf_shape *s, const struct field *fields, size_t count,
                           const char *prefix, float **base, struct mf_tensor *tensors, size_t n) {
    for (size_t i = 0; i < count; i++, n++)
        *base = describe(s, &fields[i], prefix, *base, tensors ? tensors + n : NULL);
    return n;
}

size_t mf_trunk_tensors(const struct mf_shape *s, float *base, struct mf_tensor *tensors) {
    char prefix[64];
    size_t n = describe_all(s, trunk_head_fields, COUNT(trunk_head_fields), "shared.", &base, tensors, 0);
    for (size_t i = 0; i < s->L; i++) {
        snprintf(prefix, sizeof prefix, "shared.transformer_blocks.%zu.", i);
        n = describe_all(s, trunk_layer_fields, COUNT(trunk_layer_fields), prefix, &base, tensors, n);
    }
    return describe_all(s, trunk_tail_fields, COUNT(trunk_tail_fields), "shared.", &base, tensors, n);
}

size_t mf_ffn_tensors(const struct mf_shape *s, enum mf_ffn_role role, size_t expert, float *base,
                      struct mf_tensor *tensors) {
    char prefix[64], norm_prefix[64];
    size_t n = 0;
    for (size_t i = 0; i < s->L; i++) {
        if (role == MF_FFN_DENSE) snprintf(prefix, sizeof prefix, "dense_ffn.%zu.", i);
        if (role == MF_FFN_EXPERT) snprintf(prefix, sizeof prefix, "layers.%zu.", i);
        if (role == MF_FFN_MOE) snprintf(prefix, sizeof prefix, "moe_layers.%zu.experts.%zu.", i, expert);
        /* the temporary FFN's norm is the block's own: "...ffn_norm.weight" */
        snprintf(norm_prefix, sizeof norm_prefix, "%s", prefix);
        if (role == MF_FFN_DENSE)
            snprintf(norm_prefix, sizeof norm_prefix, "shared.transformer_blocks.%zu.ffn_", i);
        n = describe_all(s, ffn_layer_fields, 2, norm_prefix, &base, tensors, n);
        n = describe_all(s, ffn_layer_fields + 2, COUNT(ffn_layer_fields) - 2, prefix, &base, tensors, n);
    }
    return n;
}

/* --- dimensions in files --- */

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

int mf_shape_check(const struct mf_shape *s, const char *name, struct mf_err *err) {
    for (size_t i = 0; i < COUNT(dims); i++)
        if (dim_of(s, i) < 1 || dim_of(s, i) > DIM_LIMIT)
            return mf_err_set(err, EX_DATAERR, "%s: %s is %zu, must be 1 to %zu", name, dims[i].name,
                              dim_of(s, i), DIM_LIMIT);
    if (s->S > S_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: context is %zu, must be 1 to %zu", name, s->S, S_LIMIT);
    if (s->D % s->H)
        return mf_err_set(err, EX_DATAERR, "%s: d_model %zu is not a multiple of n_heads %zu", name, s->D,
                          s->H);
    if (s->L > 10000)
        return mf_err_set(err, EX_DATAERR, "%s: n_layers is %zu, must be 1 to 10000", name, s->L);
    if (s->V * s->D > COUNT_LIMIT || s->F * s->D > COUNT_LIMIT || 3 * s->D * s->D > COUNT_LIMIT ||
        s->S * s->D > COUNT_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: dimensions too large", name);
    return 0;
}

json_t *mf_shape_json(const struct mf_shape *s) {
    json_t *object = json_object();
    for (size_t i = 0; i < COUNT(dims); i++)
        json_object_set_new(object, dims[i].name, json_integer((json_int_t)dim_of(s, i)));
    json_object_set_new(object, "position_scale", json_real(s->position_scale));
    return object;
}

int mf_shape_parse(struct mf_shape *s, const json_t *object, const char *name, struct mf_err *err) {
    for (size_t i = 0; i < COUNT(dims); i++) {
        const json_t *value = json_object_get(object, dims[i].name);
        if (!json_is_integer(value))
            return mf_err_set(err, EX_DATAERR, "%s: config has no integer '%s'", name, dims[i].name);
        json_int_t n = json_integer_value(value);
        *dim_at(s, i) = n < 0 ? 0 : (size_t)n;
    }
    const json_t *scale = json_object_get(object, "position_scale");
    s->position_scale = scale ? json_number_value(scale) : 1;
    if (scale && (!json_is_number(scale) || s->position_scale < 0 || s->position_scale > 1e6))
        return mf_err_set(err, EX_DATAERR, "%s: position_scale must be a number from 0 to 1e6", name);
    return mf_shape_check(s, name, err);
}

int mf_shape_match(const struct mf_shape *a, const char *a_name, const struct mf_shape *b, const char *b_name,
                   struct mf_err *err) {
    for (size_t i = 0; i < COUNT(dims); i++)
        if (dim_of(a, i) != dim_of(b, i))
            return mf_err_set(err, EX_DATAERR, "%s: %s is %zu, not %zu as in %s", b_name, dims[i].name,
                              dim_of(b, i), dim_of(a, i), a_name);
    if (a->position_scale != b->position_scale)
        return mf_err_set(err, EX_DATAERR, "%s: position_scale is %g, not %g as in %s", b_name,
                          b->position_scale, a->position_scale, a_name);
    return 0;
}

/* --- initial values --- */

/* NOLINTBEGIN(clang-analyzer-core.NullDereference): an analyser does not see what fields_view sets */
static void fill(float *x, size_t n, float value) {
    for (size_t i = 0; i < n; i++) x[i] = value;
}

static void fill_normal(float *x, size_t n, double deviation, struct mf_rng *rng) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(deviation * mf_rng_normal(rng));
}
/* NOLINTEND(clang-analyzer-core.NullDereference) */

/* Glorot and Bengio 2010, eq. 16. */
static void fill_xavier(float *x, size_t rows, size_t columns, struct mf_rng *rng) {
    double bound = sqrt(6.0 / (double)(rows + columns));
    for (size_t i = 0; i < rows * columns; i++) x[i] = (float)(bound * (2 * mf_rng_uniform(rng) - 1));
}

void mf_trunk_init(const struct mf_shape *s, float *trunk, double deviation, int64_t pad, uint64_t seed) {
    struct mf_rng rng;
    struct mf_trunk_ends ends = mf_trunk_ends(s, trunk);
    mf_rng_seed(&rng, mf_rng_key(seed, "trunk", 0));
    fill_normal(ends.embedding, s->V * s->D, deviation, &rng);
    if (pad >= 0) fill(ends.embedding + (size_t)pad * s->D, s->D, 0);
    for (size_t i = 0; i < s->L; i++) {
        struct mf_trunk_layer layer = mf_trunk_layer(s, trunk, i);
        fill(layer.norm_gain, s->D, 1);
        fill(layer.norm_bias, s->D, 0);
        fill_xavier(layer.qkv.data, 3 * s->D, s->D, &rng);
        fill(layer.out.data, s->D * s->D, 0);
    }
    fill(ends.out_norm_gain, s->D, 1);
    fill(ends.out_norm_bias, s->D, 0);
}

void mf_ffn_init(const struct mf_shape *s, float *ffn, uint64_t seed) {
    struct mf_rng rng;
    mf_rng_seed(&rng, mf_rng_key(seed, "ffn", 0));
    for (size_t i = 0; i < s->L; i++) {
        struct mf_ffn_layer layer = mf_ffn_layer(s, ffn, i);
        fill(layer.norm_gain, s->D, 1);
        fill(layer.norm_bias, s->D, 0);
        /* He et al. 2015, eq. 10: deviation sqrt(2 / fan in) */
        fill_normal(layer.fc1.data, s->F * s->D, sqrt(2.0 / (double)s->D), &rng);
        fill(layer.fc1_bias, s->F, 0);
        fill(layer.fc2.data, s->D * s->F, 0);
        fill(layer.fc2_bias, s->D, 0);
    }
}
