/* GGUF files: types, names, values, bytes of tensors. */
#include "io/gguf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "io/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- types --- */

static const struct {
    const char *name;
    size_t size;
} values[MF_GGUF_VALUES] = {
    [MF_GGUF_U8] = {"u8", 1},      [MF_GGUF_I8] = {"i8", 1},     [MF_GGUF_U16] = {"u16", 2},
    [MF_GGUF_I16] = {"i16", 2},    [MF_GGUF_U32] = {"u32", 4},   [MF_GGUF_I32] = {"i32", 4},
    [MF_GGUF_FLOAT] = {"f32", 4},  [MF_GGUF_BOOL] = {"bool", 1}, [MF_GGUF_STRING] = {"string", 0},
    [MF_GGUF_LIST] = {"list", 0},  [MF_GGUF_U64] = {"u64", 8},   [MF_GGUF_I64] = {"i64", 8},
    [MF_GGUF_DOUBLE] = {"f64", 8},
};

const char *mf_gguf_value_name(enum mf_gguf_value type) {
    return values[type].name;
}

size_t gguf_value_size(enum mf_gguf_value type) {
    return values[type].size;
}

/* By their numbers in the file; those that llama.cpp dropped have no name. */
static const struct mf_gguf_block blocks[] = {
    [0] = {"F32", 1, 4},         [1] = {"F16", 1, 2},         [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},      [6] = {"Q5_0", 32, 22},      [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},      [9] = {"Q8_1", 32, 36},      [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},   [12] = {"Q4_K", 256, 144},   [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},   [15] = {"Q8_K", 256, 292},   [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},  [18] = {"IQ3_XXS", 256, 98}, [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},   [21] = {"IQ3_S", 256, 110},  [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136}, [24] = {"I8", 1, 1},         [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},        [27] = {"I64", 1, 8},        [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},   [30] = {"BF16", 1, 2},       [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},   [39] = {"MXFP4", 32, 17},
};

const struct mf_gguf_block *mf_gguf_block(uint32_t type) {
    return type < COUNT(blocks) && blocks[type].name ? &blocks[type] : NULL;
}

int mf_gguf_type_parse(const char *name, enum mf_gguf_type *type) {
    static const enum mf_gguf_type ours[] = {MF_GGUF_F32, MF_GGUF_F16, MF_GGUF_BF16, MF_GGUF_Q8_0,
                                             MF_GGUF_Q4_0};
    for (size_t i = 0; i < COUNT(ours); i++) {
        if (strcasecmp(name, blocks[ours[i]].name) != 0) continue;
        *type = ours[i];
        return 0;
    }
    return -1;
}

int mf_gguf_tensor_size(struct mf_gguf_tensor *t) {
    const struct mf_gguf_block *block = mf_gguf_block(t->type);
    uint64_t row = t->n_dims ? t->shape[t->n_dims - 1] : 1, bound = 1;
    if (!block || row % block->values != 0) return -1;
    t->count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        uint64_t dim = t->shape[i] ? t->shape[i] : 1; /* a zero must not hide an overflow beside it */
        if (__builtin_mul_overflow(bound, dim, &bound)) return -1;
        t->count *= t->shape[i];
    }
    if (bound > (uint64_t)INT64_MAX / block->bytes) return -1;
    t->bytes = t->count / block->values * block->bytes;
    return 0;
}

const char *mf_gguf_shape(const struct mf_gguf_tensor *t, char text[64]) {
    size_t n = (size_t)snprintf(text, 64, "[");
    for (int i = 0; i < t->n_dims && n < 64; i++)
        n += (size_t)snprintf(text + n, 64 - n, "%s%llu", i ? "," : "", (unsigned long long)t->shape[i]);
    if (n < 64) snprintf(text + n, 64 - n, "]");
    return text;
}

uint64_t gguf_padded(uint64_t size, uint64_t align) {
    return (size + align - 1) / align * align;
}

/* --- names --- */

bool mf_gguf_begins(const unsigned char *bytes, size_t n) {
    return n >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

size_t mf_gguf_key_count(const struct mf_gguf *g) {
    return g->n_keys;
}

const struct mf_gguf_key *mf_gguf_key(const struct mf_gguf *g, size_t i) {
    return &g->keys[i];
}

size_t mf_gguf_tensor_count(const struct mf_gguf *g) {
    return g->n_tensors;
}

const struct mf_gguf_tensor *mf_gguf_tensor(const struct mf_gguf *g, size_t i) {
    return &g->tensors[i];
}

const char *gguf_key_name(const void *keys, size_t i) {
    return ((const struct mf_gguf_key *)keys)[i].name;
}

const char *gguf_tensor_name(const void *tensors, size_t i) {
    return ((const struct mf_gguf_tensor *)tensors)[i].name;
}

int64_t mf_gguf_find_key(const struct mf_gguf *g, const char *name) {
    return mf_names_find(g->keys_by_name, g->n_keys, g->keys, gguf_key_name, name);
}

int64_t mf_gguf_find_tensor(const struct mf_gguf *g, const char *name) {
    return mf_names_find(g->tensors_by_name, g->n_tensors, g->tensors, gguf_tensor_name, name);
}

/* --- values --- */

static int read_string(struct gguf_cursor *c, json_t **value, struct mf_err *err) {
    uint64_t size;
    if (gguf_take_number(c, 8, &size, err) < 0) return -1;
    if (size > c->g->size)
        return mf_err_set(err, EX_DATAERR, "%s: was changed while it was read", c->g->name);
    char *bytes = malloc(size + 1);
    if (!bytes) return mf_err_set(err, EX_OSERR, "%s: no memory for a string", c->g->name);
    int result = gguf_take(c, bytes, size, err);
    if (result == 0) *value = mf_utf8_json(bytes, size);
    free(bytes);
    return result;
}

static json_t *number(uint64_t bits, enum mf_gguf_value type) {
    float f;
    double d;
    uint32_t word = (uint32_t)bits;
    memcpy(&f, &word, sizeof f);
    memcpy(&d, &bits, sizeof d);
    switch (type) {
    case MF_GGUF_FLOAT:
        return mf_real_json((double)f);
    case MF_GGUF_DOUBLE:
        return mf_real_json(d);
    case MF_GGUF_BOOL:
        return json_boolean(bits);
    case MF_GGUF_I8:
        return json_integer((int8_t)bits);
    case MF_GGUF_I16:
        return json_integer((int16_t)bits);
    case MF_GGUF_I32:
        return json_integer((int32_t)bits);
    default: /* JSON's integers are ours: a u64 above 2^63 is a real */
        return bits > (uint64_t)INT64_MAX && type == MF_GGUF_U64 ? json_real((double)bits)
                                                                 : json_integer((json_int_t)bits);
    }
}

static int read_value(struct gguf_cursor *c, enum mf_gguf_value type, json_t **value, struct mf_err *err) {
    uint64_t bits;
    if (type == MF_GGUF_STRING) return read_string(c, value, err);
    if (gguf_take_number(c, gguf_value_size(type), &bits, err) < 0) return -1;
    *value = number(bits, type);
    return 0;
}

int mf_gguf_values(const struct mf_gguf *g, const struct mf_gguf_key *key, uint64_t limit, mf_gguf_take *take,
                   void *context, struct mf_err *err) {
    struct gguf_cursor c = {.g = g, .at = key->offset};
    int result = 0;
    for (uint64_t i = 0; i < key->count && i < limit && result == 0; i++) {
        json_t *value = NULL;
        result = read_value(&c, key->type, &value, err);
        if (result == 0) result = take(context, value, err);
        json_decref(value);
    }
    return result;
}

int mf_gguf_read(const struct mf_gguf *g, size_t i, uint64_t offset, void *buffer, size_t size,
                 struct mf_err *err) {
    uint64_t bytes = i < g->n_tensors ? g->tensors[i].bytes : 0;
    if (offset > bytes || size > bytes - offset) abort();
    return mf_pread_all(g->fd, buffer, size, g->tensors[i].offset + offset, g->name, err);
}

void mf_gguf_close(struct mf_gguf *g) {
    if (!g) return;
    if (g->fd >= 0) close(g->fd);
    for (size_t i = 0; i < g->n_keys; i++) free(g->keys[i].name);
    free(g->keys);
    free(g->tensors);
    free(g->keys_by_name);
    free(g->tensors_by_name);
    free(g->name);
    free(g);
}
