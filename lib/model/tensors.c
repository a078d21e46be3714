/* Sizes, views, descriptions and initial values, all by the tables. */
#include "model/tensors_internal.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"

static size_t dim_size(const struct mf_shape *s, enum tensor_dim dim, size_t E) {
    const struct heads heads = mf_shape_heads(s);
    switch (dim) {
    case DIM_V:
        return s->V;
    case DIM_D:
        return s->D;
    case DIM_HEAD:
        return heads.d;
    case DIM_A:
        return heads.H * heads.d;
    case DIM_KV:
        return heads.K * heads.d;
    case DIM_C:
        return heads_columns(heads);
    case DIM_F:
        return s->F;
    case DIM_E:
        return E;
    default:
        return 1;
    }
}

static size_t field_size(const struct mf_shape *s, const struct tensor_field *f) {
    return dim_size(s, f->rows, 0) * dim_size(s, f->columns, 0);
}

static size_t table_size(const struct mf_shape *s, enum mf_table table) {
    size_t total = 0;
    FOR_FIELDS(f, s, table) total += field_size(s, f);
    return total;
}

/* Sets the view's pointers (a matrix begins with its own) to consecutive parts of `base`. */
static void table_view(const struct mf_shape *s, enum mf_table table, float *base, void *view) {
    if (!base) return;
    FOR_FIELDS(f, s, table) {
        memcpy((char *)view + f->view, &base, sizeof base);
        base += field_size(s, f);
    }
}

void mf_table_point(const struct mf_shape *s, enum mf_table table, const struct mf_tensor *tensors,
                    void *view) {
    FOR_FIELDS(f, s, table) {
        memcpy((char *)view + f->view, &tensors->data, sizeof tensors->data);
        tensors++;
    }
}

size_t mf_table_vectors(const struct mf_shape *s, enum mf_table table) {
    size_t total = 0;
    FOR_FIELDS(f, s, table) total += f->columns == DIM_NONE ? field_size(s, f) : 0;
    return total;
}

void mf_table_point_narrow(const struct mf_shape *s, enum mf_table table, const struct mf_tensor *tensors,
                           float *vectors, void *view) {
    FOR_FIELDS(f, s, table) {
        const uint16_t *narrow = tensors->data;
        size_t count = mf_tensor_count(tensors);
        if (tensors->n_dims > 1)
            memcpy((char *)view + f->view + offsetof(struct mf_matrix, narrow), &narrow, sizeof narrow);
        else {
            mf_bf16_widen(vectors, narrow, count);
            memcpy((char *)view + f->view, &vectors, sizeof vectors);
            vectors += count;
        }
        tensors++;
    }
}

size_t mf_backbone_layer_size(const struct mf_shape *s) {
    return table_size(s, MF_TABLE_LAYER);
}

size_t mf_backbone_layer_offset(const struct mf_shape *s, size_t layer) {
    return table_size(s, MF_TABLE_HEAD) + layer * mf_backbone_layer_size(s);
}

size_t mf_backbone_size(const struct mf_shape *s) {
    return mf_backbone_layer_offset(s, s->L) + table_size(s, MF_TABLE_TAIL);
}

size_t mf_backbone_head_offset(const struct mf_shape *s) {
    return s->untied ? mf_backbone_size(s) - s->V * s->D : 0;
}

size_t mf_backbone_norm_size(const struct mf_shape *s) {
    return table_size(s, MF_TABLE_TAIL) - (s->untied ? s->V * s->D : 0);
}

size_t mf_ffn_size(const struct mf_shape *s) {
    return s->L * table_size(s, MF_TABLE_FFN);
}

struct mf_backbone_layer mf_backbone_layer(const struct mf_shape *s, float *base, size_t layer) {
    struct mf_backbone_layer view = {0};
    if (base) table_view(s, MF_TABLE_LAYER, base + mf_backbone_layer_offset(s, layer), &view);
    return view;
}

struct mf_backbone_ends mf_backbone_ends(const struct mf_shape *s, float *base) {
    struct mf_backbone_ends view = {0};
    table_view(s, MF_TABLE_HEAD, base, &view);
    table_view(s, MF_TABLE_TAIL, base ? base + mf_backbone_layer_offset(s, s->L) : NULL, &view);
    return view;
}

struct mf_ffn_layer mf_ffn_layer(const struct mf_shape *s, float *base, size_t layer) {
    struct mf_ffn_layer view = {0};
    table_view(s, MF_TABLE_FFN, base ? base + layer * table_size(s, MF_TABLE_FFN) : NULL, &view);
    return view;
}

/* --- names --- */

size_t mf_table_tensors(const struct mf_shape *s, enum mf_table table, enum mf_ffn_role role, size_t layer,
                        size_t expert, size_t E, struct mf_tensor tensors[MF_TABLE_MAX],
                        size_t view[MF_TABLE_MAX]) {
    size_t n = 0;
    FOR_FIELDS(f, s, table) {
        struct mf_tensor *t = &tensors[n];
        *t = (struct mf_tensor){.dtype = MF_F32, .n_dims = f->columns == DIM_NONE ? 1 : 2};
        snprintf(t->name, sizeof t->name, f->name[table == MF_TABLE_FFN ? role : 0], layer, expert);
        t->shape[0] = dim_size(s, f->rows, E);
        if (f->columns != DIM_NONE) t->shape[1] = dim_size(s, f->columns, E);
        if (view) view[n] = f->view;
        n++;
    }
    return n;
}

bool mf_is_vocabulary(const struct mf_shape *s, const char *name) {
    for (int k = 0; k < 2; k++) FOR_FIELDS(f, s, k ? MF_TABLE_TAIL : MF_TABLE_HEAD)
    if (f->rows == DIM_V && strcmp(f->name[0], name) == 0) return true;
    return false;
}

const char *mf_head_name(const struct mf_shape *s) {
    return s->arch == MF_LLAMA ? "lm_head.weight" : "shared.lm_head.weight";
}

/* Appends a table's tensors to `tensors`, if not NULL; moves *base behind them, unless it is NULL. */
static size_t describe(const struct mf_shape *s, enum mf_table table, enum mf_ffn_role role, size_t layer,
                       size_t expert, float **base, struct mf_tensor *tensors, size_t n) {
    struct mf_tensor some[MF_TABLE_MAX];
    size_t count = mf_table_tensors(s, table, role, layer, expert, 0, some, NULL);
    for (size_t i = 0; i < count && tensors; i++) {
        some[i].data = *base;
        if (*base) *base += mf_tensor_count(&some[i]);
        tensors[n + i] = some[i];
    }
    return n + count;
}

size_t mf_backbone_tensors(const struct mf_shape *s, float *base, struct mf_tensor *tensors) {
    size_t n = describe(s, MF_TABLE_HEAD, 0, 0, 0, &base, tensors, 0);
    for (size_t i = 0; i < s->L; i++) n = describe(s, MF_TABLE_LAYER, 0, i, 0, &base, tensors, n);
    return describe(s, MF_TABLE_TAIL, 0, 0, 0, &base, tensors, n);
}

size_t mf_ffn_tensors(const struct mf_shape *s, enum mf_ffn_role role, size_t expert, float *base,
                      struct mf_tensor *tensors) {
    size_t n = 0;
    for (size_t i = 0; i < s->L; i++) n = describe(s, MF_TABLE_FFN, role, i, expert, &base, tensors, n);
    return n;
}

/* --- initial values --- */

static void fill_normal(float *x, size_t n, double deviation, struct mf_rng *rng) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(deviation * mf_rng_normal(rng));
}

/* Glorot and Bengio 2010, eq. 16. */
static void fill_xavier(float *x, size_t rows, size_t columns, struct mf_rng *rng) {
    double bound = sqrt(6.0 / (double)(rows + columns));
    for (size_t i = 0; i < rows * columns; i++) x[i] = (float)(bound * (2 * mf_rng_uniform(rng) - 1));
}

/* Fills a table's tensors at `base`; returns what is behind them. */
static float *start(const struct mf_shape *s, enum mf_table table, double deviation, float *base,
                    struct mf_rng *rng) {
    FOR_FIELDS(f, s, table) {
        size_t rows = dim_size(s, f->rows, 0), columns = dim_size(s, f->columns, 0), n = rows * columns;
        for (size_t i = 0; i < n; i++) base[i] = f->start == ONE;
        if (f->start == EMBEDDING) fill_normal(base, n, deviation, rng);
        if (f->start == XAVIER) fill_xavier(base, rows, columns, rng);
        /* He et al. 2015, eq. 10: deviation sqrt(2 / fan in) */
        if (f->start == KAIMING) fill_normal(base, n, sqrt(2.0 / (double)columns), rng);
        if (f->start == FAN_IN) fill_normal(base, n, sqrt(1.0 / (double)columns), rng);
        base += n;
    }
    return base;
}

void mf_backbone_init(const struct mf_shape *s, float *backbone, double deviation, int64_t pad,
                      uint64_t seed) {
    struct mf_rng rng;
    mf_rng_seed(&rng, mf_rng_key(seed, "trunk", 0)); /* its name when models were first made */
    float *layer = start(s, MF_TABLE_HEAD, deviation, backbone, &rng);
    for (size_t d = 0; pad >= 0 && d < s->D; d++) backbone[(size_t)pad * s->D + d] = 0;
    for (size_t i = 0; i < s->L; i++) layer = start(s, MF_TABLE_LAYER, deviation, layer, &rng);
    start(s, MF_TABLE_TAIL, deviation, layer, &rng);
}

void mf_ffn_init(const struct mf_shape *s, float *ffn, uint64_t seed) {
    struct mf_rng rng;
    mf_rng_seed(&rng, mf_rng_key(seed, "ffn", 0));
    for (size_t i = 0; i < s->L; i++) ffn = start(s, MF_TABLE_FFN, 0, ffn, &rng);
}
