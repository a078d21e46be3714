/* Safetensors files: a header that is checked against the file before any tensor is believed. */
#include "io/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/gguf.h"
#include "io/json_file.h"
#include "io/json_tensor.h"
#include "io/names.h"

#define HEADER_LIMIT ((uint64_t)100 << 20) /* bytes of JSON, as in the format's description */

struct place {
    struct mf_tensor tensor;
    uint64_t begin, end; /* in the data part */
};

struct mf_safetensors {
    int fd;
    char *name;
    json_t *metadata;
    struct mf_tensor *tensors; /* in file order */
    uint64_t *offsets;         /* of each tensor in the file */
    size_t count;
    size_t *by_name; /* indices sorted by name */
};

static int by_begin(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

static int check_metadata(const struct mf_safetensors *st, struct mf_err *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(st->metadata))
        return mf_err_set(err, EX_DATAERR, "%s: __metadata__ is not an object", st->name);
    json_object_foreach(st->metadata, key, value) {
        if (!json_is_string(value))
            return mf_err_set(err, EX_DATAERR, "%s: metadata '%s' is not a string", st->name, key);
    }
    return 0;
}

static int read_place(const struct mf_safetensors *st, const char *name, const json_t *entry,
                      uint64_t data_size, struct place *p, struct mf_err *err) {
    if (mf_tensor_from_json(&p->tensor, name, entry, st->name, err) < 0) return -1;
    const json_t *offsets = json_object_get(entry, "data_offsets"), *begin = json_array_get(offsets, 0),
                 *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < 0)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: data_offsets are not two positions", st->name,
                          name);
    p->begin = (uint64_t)json_integer_value(begin);
    p->end = (uint64_t)json_integer_value(end);
    if (p->end < p->begin)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: ends at %llu before it begins at %llu", st->name,
                          name, (unsigned long long)p->end, (unsigned long long)p->begin);
    char shape[64];
    if (p->end - p->begin != mf_tensor_bytes(&p->tensor))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %llu bytes for %s %s, which has %zu", st->name,
                          name, (unsigned long long)(p->end - p->begin), mf_dtype_name(p->tensor.dtype),
                          mf_tensor_shape(&p->tensor, shape), mf_tensor_bytes(&p->tensor));
    if (p->end > data_size)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: ends at %llu, the file has %llu bytes of data",
                          st->name, name, (unsigned long long)p->end, (unsigned long long)data_size);
    return 0;
}

/* Sorted by position, each tensor must begin where the one before ends. */
static int check_places(const struct mf_safetensors *st, const struct place *places, size_t count,
                        uint64_t data_size, struct mf_err *err) {
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct place *p = &places[i];
        if (p->begin < at)
            return mf_err_set(err, EX_DATAERR, "%s: tensors %s and %s overlap", st->name,
                              places[i - 1].tensor.name, p->tensor.name);
        if (p->begin > at)
            return mf_err_set(err, EX_DATAERR, "%s: a hole of %llu bytes before tensor %s", st->name,
                              (unsigned long long)(p->begin - at), p->tensor.name);
        at = p->end;
    }
    if (at != data_size)
        return mf_err_set(err, EX_DATAERR, "%s: %llu bytes after the last tensor", st->name,
                          (unsigned long long)(data_size - at));
    return 0;
}

static int read_places(struct mf_safetensors *st, const json_t *header, uint64_t data_start,
                       uint64_t data_size, struct mf_err *err) {
    size_t capacity = json_object_size(header), n = 0;
    struct place *places = calloc(capacity ? capacity : 1, sizeof *places);
    if (!places) return mf_err_set(err, EX_OSERR, "%s: no memory for %zu tensors", st->name, capacity);
    const char *key;
    json_t *value;
    int result = 0;
    json_object_foreach((json_t *)(uintptr_t)header, key, value) {
        if (strcmp(key, "__metadata__") == 0) continue;
        result = read_place(st, key, value, data_size, &places[n++], err);
        if (result < 0) break;
    }
    if (result == 0) {
        qsort(places, n, sizeof *places, by_begin);
        result = check_places(st, places, n, data_size, err);
    }
    st->tensors = calloc(n ? n : 1, sizeof *st->tensors);
    st->offsets = calloc(n ? n : 1, sizeof *st->offsets);
    if (!st->tensors || !st->offsets) mf_no_memory();
    st->count = n;
    for (size_t i = 0; i < n; i++) {
        st->tensors[i] = places[i].tensor;
        st->offsets[i] = data_start + places[i].begin;
    }
    st->by_name = mf_names_sort(st->tensors, n, mf_tensor_name_of);
    free(places);
    return result;
}

static int read_header(struct mf_safetensors *st, uint64_t size, struct mf_err *err) {
    unsigned char length[8];
    uint64_t n = 0;
    if (size == 0) return mf_err_set(err, EX_DATAERR, "%s: empty, not a model", st->name);
    if (size < 8) return mf_err_set(err, EX_DATAERR, "%s: too short for a model", st->name);
    if (mf_pread_all(st->fd, length, 8, 0, st->name, err) < 0) return -1;
    if (mf_gguf_begins(length, 8))
        return mf_err_set(err, EX_DATAERR, "%s: a GGUF file, where safetensors are read", st->name);
    for (int i = 7; i >= 0; i--) n = n << 8 | length[i];
    if (n > size - 8)
        return mf_err_set(err, EX_DATAERR,
                          "%s: not a model: the header's length %llu is larger than the file", st->name,
                          (unsigned long long)n);
    if (n > HEADER_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: a header of %llu bytes is too large", st->name,
                          (unsigned long long)n);
    char *text = malloc(n + 1);
    if (!text) return mf_err_set(err, EX_OSERR, "%s: no memory for its header", st->name);
    int result = mf_pread_all(st->fd, text, n, 8, st->name, err);
    if (result == 0 && n > 0 && *text != '{')
        result = mf_err_set(err, EX_DATAERR,
                            "%s: the header is not a JSON object: it does not begin with '{'", st->name);
    json_t *header = result == 0 ? mf_json_object(text, n, st->name, "the header", err) : NULL;
    free(text);
    if (!header) return -1;
    st->metadata = json_incref(json_object_get(header, "__metadata__"));
    if (!st->metadata) st->metadata = json_object();
    result = check_metadata(st, err);
    if (result == 0) result = read_places(st, header, 8 + n, size - 8 - n, err);
    json_decref(header);
    return result;
}

int mf_safetensors_open(struct mf_safetensors **model, const char *path, struct mf_err *err) {
    struct mf_safetensors *st = calloc(1, sizeof *st);
    if (!st) mf_no_memory();
    uint64_t size;
    st->fd = mf_open_by_position(path, &st->name, &size, err);
    int result = st->fd < 0 ? -1 : read_header(st, size, err);
    if (result < 0) {
        mf_safetensors_close(st);
        return -1;
    }
    *model = st;
    return 0;
}

const char *mf_safetensors_name(const struct mf_safetensors *st) {
    return st->name;
}

const json_t *mf_safetensors_metadata(const struct mf_safetensors *st) {
    return st->metadata;
}

size_t mf_safetensors_count(const struct mf_safetensors *st) {
    return st->count;
}

const struct mf_tensor *mf_safetensors_tensor(const struct mf_safetensors *st, size_t i) {
    return &st->tensors[i];
}

int64_t mf_safetensors_find(const struct mf_safetensors *st, const char *name) {
    return mf_names_find(st->by_name, st->count, st->tensors, mf_tensor_name_of, name);
}

int mf_safetensors_read(const struct mf_safetensors *st, size_t i, uint64_t offset, void *buffer, size_t size,
                        struct mf_err *err) {
    uint64_t bytes = i < st->count ? mf_tensor_bytes(&st->tensors[i]) : 0;
    if (offset > bytes || size > bytes - offset) abort();
    return mf_pread_all(st->fd, buffer, size, st->offsets[i] + offset, st->name, err);
}

void mf_safetensors_close(struct mf_safetensors *st) {
    if (!st) return;
    if (st->fd >= 0) close(st->fd);
    json_decref(st->metadata);
    free(st->tensors);
    free(st->offsets);
    free(st->by_name);
    free(st->name);
    free(st);
}

json_t *mf_metadata_json(const json_t *metadata, const char *key) {
    const json_t *text = json_object_get(metadata, key);
    if (!json_is_string(text)) return NULL;
    return mf_json_parse(json_string_value(text), json_string_length(text), 0, MF_JSON_SMALL, NULL);
}
