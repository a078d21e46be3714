/* Opening a GGUF file: the header is checked against the file's size before anything in it is believed. */
#include "io/gguf_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define KEY_LIMIT    ((uint64_t)65535)    /* bytes of a key's name, as in the format's description */
#define STRING_LIMIT ((uint64_t)64 << 20) /* bytes of a value */
#define ALIGN_LIMIT  ((uint64_t)1 << 20)

/* --- keys --- */

/* A name of up to `limit` bytes of printable ASCII into `name`, which has room for them and a zero. */
static int take_name(struct gguf_cursor *c, const char *what, char *name, uint64_t limit,
                     struct mf_err *err) {
    uint64_t size, at = c->at;
    if (gguf_take_number(c, 8, &size, err) < 0) return -1;
    if (size == 0 || size > limit)
        return mf_err_set(err, EX_DATAERR, "%s: byte %llu: a %s of %llu bytes, must be 1 to %llu", c->g->name,
                          (unsigned long long)at, what, (unsigned long long)size, (unsigned long long)limit);
    if (gguf_take(c, name, size, err) < 0) return -1;
    name[size] = 0;
    for (uint64_t i = 0; i < size; i++)
        if (name[i] < 0x20 || name[i] > 0x7e)
            return mf_err_set(err, EX_DATAERR, "%s: byte %llu: a %s that is not printable ASCII", c->g->name,
                              (unsigned long long)at, what);
    return 0;
}

static int take_value_type(struct gguf_cursor *c, const char *key, enum mf_gguf_value *type,
                           struct mf_err *err) {
    uint64_t number;
    if (gguf_take_number(c, 4, &number, err) < 0) return -1;
    if (number >= MF_GGUF_VALUES)
        return mf_err_set(err, EX_DATAERR, "%s: key %s: unknown type %llu", c->g->name, key,
                          (unsigned long long)number);
    *type = (enum mf_gguf_value)number;
    return 0;
}

static int pass_string(struct gguf_cursor *c, const char *key, struct mf_err *err) {
    uint64_t size;
    if (gguf_take_number(c, 8, &size, err) < 0) return -1;
    if (size > STRING_LIMIT && size <= c->g->size)
        return mf_err_set(err, EX_DATAERR, "%s: key %s: a string of %llu bytes is too large", c->g->name, key,
                          (unsigned long long)size);
    return gguf_take(c, NULL, size, err);
}

static int pass_bool(struct gguf_cursor *c, const char *key, struct mf_err *err) {
    uint64_t value;
    if (gguf_take_number(c, 1, &value, err) < 0) return -1;
    if (value <= 1) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: key %s: a bool is %llu, not 0 or 1", c->g->name, key,
                      (unsigned long long)value);
}

/* Passes over the values, each of which is checked. */
static int pass_values(struct gguf_cursor *c, const struct mf_gguf_key *key, struct mf_err *err) {
    size_t size = gguf_value_size(key->type);
    uint64_t min = size ? size : 8; /* a string has its length */
    if (key->count > (c->g->size - c->at) / min)
        return mf_err_set(err, EX_DATAERR, "%s: key %s: %llu values do not fit into the file", c->g->name,
                          key->name, (unsigned long long)key->count);
    int result = 0;
    if (size && key->type != MF_GGUF_BOOL) return gguf_take(c, NULL, key->count * size, err);
    for (uint64_t i = 0; i < key->count && result == 0; i++)
        result = key->type == MF_GGUF_BOOL ? pass_bool(c, key->name, err) : pass_string(c, key->name, err);
    return result;
}

static int take_key(struct gguf_cursor *c, struct mf_gguf_key *key, struct mf_err *err) {
    char name[KEY_LIMIT + 1];
    if (take_name(c, "key", name, KEY_LIMIT, err) < 0) return -1;
    key->name = strdup(name);
    if (!key->name) mf_no_memory();
    if (take_value_type(c, name, &key->type, err) < 0) return -1;
    key->count = 1;
    key->list = key->type == MF_GGUF_LIST;
    if (key->list) {
        if (take_value_type(c, name, &key->type, err) < 0 || gguf_take_number(c, 8, &key->count, err) < 0)
            return -1;
        if (key->type == MF_GGUF_LIST)
            return mf_err_set(err, EX_DATAERR, "%s: key %s: a list of lists", c->g->name, name);
    }
    key->offset = c->at;
    return pass_values(c, key, err);
}

/* --- tensors --- */

static int take_shape(struct gguf_cursor *c, struct mf_gguf_tensor *t, struct mf_err *err) {
    uint64_t n_dims, type;
    if (gguf_take_number(c, 4, &n_dims, err) < 0) return -1;
    if (n_dims > MF_GGUF_DIMS)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %llu dimensions, more than %d", c->g->name,
                          t->name, (unsigned long long)n_dims, MF_GGUF_DIMS);
    t->n_dims = (int)n_dims;
    for (int i = t->n_dims; i-- > 0;)
        if (gguf_take_number(c, 8, &t->shape[i], err) < 0) return -1;
    if (gguf_take_number(c, 4, &type, err) < 0) return -1;
    t->type = (uint32_t)type;
    const struct mf_gguf_block *block = mf_gguf_block(t->type);
    if (!block)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: unknown type %u", c->g->name, t->name, t->type);
    char shape[64];
    if (mf_gguf_tensor_size(t) < 0)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %s cannot have the shape %s", c->g->name, t->name,
                          block->name, mf_gguf_shape(t, shape));
    return 0;
}

static int take_tensor(struct gguf_cursor *c, struct mf_gguf_tensor *t, struct mf_err *err) {
    if (take_name(c, "tensor's name", t->name, MF_GGUF_NAME, err) < 0 || take_shape(c, t, err) < 0) return -1;
    return gguf_take_number(c, 8, &t->offset, err);
}

/* Each tensor must begin where the one before ends, padded, and the file end behind the last, padded or not.
 */
static int check_places(struct mf_gguf *g, uint64_t header, struct mf_err *err) {
    uint64_t data = gguf_padded(header, g->align), at = 0, end = header;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct mf_gguf_tensor *t = &g->tensors[i];
        if (t->offset != at)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s: begins at %llu, must at %llu", g->name,
                              t->name, (unsigned long long)t->offset, (unsigned long long)at);
        if (data > g->size || t->offset > g->size - data || t->bytes > g->size - data - t->offset)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %llu bytes at %llu, the file has %llu",
                              g->name, t->name, (unsigned long long)t->bytes,
                              (unsigned long long)(data + t->offset), (unsigned long long)g->size);
        t->offset += data;
        end = t->offset + t->bytes;
        at = gguf_padded(end - data, g->align);
    }
    if (g->size <= gguf_padded(end, g->align)) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: %llu bytes after the last tensor", g->name,
                      (unsigned long long)(g->size - end));
}

/* --- the header --- */

static int check_names(struct mf_gguf *g, struct mf_err *err) {
    g->keys_by_name = mf_names_sort(g->keys, g->n_keys, gguf_key_name);
    g->tensors_by_name = mf_names_sort(g->tensors, g->n_tensors, gguf_tensor_name);
    const size_t *k = g->keys_by_name, *t = g->tensors_by_name;
    for (size_t i = 1; i < g->n_keys; i++)
        if (strcmp(g->keys[k[i - 1]].name, g->keys[k[i]].name) == 0)
            return mf_err_set(err, EX_DATAERR, "%s: the key %s is there twice", g->name, g->keys[k[i]].name);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (strcmp(g->tensors[t[i - 1]].name, g->tensors[t[i]].name) == 0)
            return mf_err_set(err, EX_DATAERR, "%s: the tensor %s is there twice", g->name,
                              g->tensors[t[i]].name);
    return 0;
}

/* One more item in a list of n: its memory grows with what was really there. New items are zero. */
static void *grow(void *items, size_t n, size_t size) {
    if (n & (n - 1)) return items; /* room up to the next power of two */
    size_t capacity = n ? 2 * n : 1;
    unsigned char *larger = reallocarray(items, capacity, size);
    if (!larger) mf_no_memory();
    memset(larger + n * size, 0, (capacity - n) * size);
    return larger;
}

static int read_align(struct gguf_cursor *c, struct mf_gguf *g, struct mf_err *err) {
    int64_t i = mf_gguf_find_key(g, "general.alignment");
    if (i < 0) return 0;
    const struct mf_gguf_key *key = &g->keys[i];
    c->at = key->offset;
    if (key->type != MF_GGUF_U32 || key->list)
        return mf_err_set(err, EX_DATAERR, "%s: general.alignment is not of type u32", g->name);
    if (gguf_take_number(c, 4, &g->align, err) < 0) return -1;
    if (g->align > 0 && g->align <= ALIGN_LIMIT && (g->align & (g->align - 1)) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: general.alignment is %llu, must be a power of two up to %llu",
                      g->name, (unsigned long long)g->align, (unsigned long long)ALIGN_LIMIT);
}

static int read_lists(struct gguf_cursor *c, struct mf_gguf *g, uint64_t keys, uint64_t tensors,
                      struct mf_err *err) {
    for (uint64_t i = 0; i < keys; i++) {
        g->keys = grow(g->keys, g->n_keys, sizeof *g->keys);
        if (take_key(c, &g->keys[g->n_keys++], err) < 0) return -1;
    }
    for (uint64_t i = 0; i < tensors; i++) {
        g->tensors = grow(g->tensors, g->n_tensors, sizeof *g->tensors);
        if (take_tensor(c, &g->tensors[g->n_tensors++], err) < 0) return -1;
    }
    uint64_t end = c->at;
    if (check_names(g, err) < 0 || read_align(c, g, err) < 0) return -1;
    return check_places(g, end, err);
}

static int read_header(struct mf_gguf *g, struct mf_err *err) {
    struct gguf_cursor c = {.g = g};
    unsigned char magic[4];
    uint64_t version, keys, tensors;
    if (g->size == 0) return mf_err_set(err, EX_DATAERR, "%s: empty, not a GGUF file", g->name);
    if (gguf_take(&c, magic, 4, err) < 0) return -1;
    if (!mf_gguf_begins(magic, 4)) return mf_err_set(err, EX_DATAERR, "%s: not a GGUF file", g->name);
    if (gguf_take_number(&c, 4, &version, err) < 0) return -1;
    if (version != 2 && version != 3)
        return mf_err_set(err, EX_DATAERR, "%s: GGUF version %llu, must be 2 or 3%s", g->name,
                          (unsigned long long)version, version & 0xffff ? "" : " (big-endian?)");
    if (gguf_take_number(&c, 8, &tensors, err) < 0 || gguf_take_number(&c, 8, &keys, err) < 0) return -1;
    if (keys > g->size || tensors > g->size)
        return mf_err_set(err, EX_DATAERR, "%s: %llu keys and %llu tensors do not fit into %llu bytes",
                          g->name, (unsigned long long)keys, (unsigned long long)tensors,
                          (unsigned long long)g->size);
    return read_lists(&c, g, keys, tensors, err);
}

int mf_gguf_open(struct mf_gguf **gguf, const char *path, struct mf_err *err) {
    struct mf_gguf *g = calloc(1, sizeof *g);
    if (!g) mf_no_memory();
    g->align = GGUF_ALIGN;
    g->fd = mf_open_by_position(path, &g->name, &g->size, err);
    int result = g->fd < 0 ? -1 : read_header(g, err);
    if (result < 0) {
        mf_gguf_close(g);
        return -1;
    }
    *gguf = g;
    return 0;
}
