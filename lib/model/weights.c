/* The cache of a model's tensors: whole tensors, counted in bytes, least recently used first out. */
#include "model/weights_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/strings.h"
#include "io/file.h"
#include "model/tensors.h"

#define LARGE_PAGE ((size_t)2 << 20)

int weights_grow(struct mf_weights *w, size_t count, struct mf_err *err) {
    struct weights_entry *grown = realloc(w->entries, (w->count + count) * sizeof *grown);
    if (!grown) return mf_err_set(err, EX_OSERR, "%s: out of memory", w->name);
    memset(grown + w->count, 0, count * sizeof *grown);
    w->entries = grown;
    w->count += count;
    return 0;
}

int mf_weights_new(struct mf_weights **out, const char *name, size_t cache_bytes, struct mf_err *err) {
    struct mf_weights *w = calloc(1, sizeof *w);
    if (!w) return mf_err_set(err, EX_OSERR, "%s: out of memory", name);
    w->name = mf_format("%s", name);
    w->capacity = cache_bytes;
    w->scratch = -1;
    *out = w;
    return 0;
}

const struct mf_safetensors *mf_weights_model(const struct mf_weights *w) {
    return w->st;
}

int mf_weights_of_model(struct mf_weights **out, struct mf_safetensors *st, size_t cache_bytes,
                        struct mf_err *err) {
    struct mf_weights *w = NULL;
    if (mf_weights_new(&w, mf_safetensors_name(st), cache_bytes, err) < 0) {
        mf_safetensors_close(st);
        return -1;
    }
    w->st = st;
    if (weights_grow(w, mf_safetensors_count(st), err) < 0) {
        mf_weights_free(w);
        return -1;
    }
    for (size_t i = 0; i < w->count; i++) {
        w->entries[i].tensor = *mf_safetensors_tensor(st, i);
        w->entries[i].tensor.data = NULL;
        w->entries[i].in_file = i;
    }
    *out = w;
    return 0;
}

/* Reads stored bytes [from, from + bytes) of a tensor that is not in memory. */
static int read_stored(const struct mf_weights *w, const struct weights_entry *e, size_t from, void *data,
                       size_t bytes, struct mf_err *err) {
    if (!e->in_scratch) return mf_safetensors_read(w->st, e->in_file, from, data, bytes, err);
    return mf_pread_all(w->scratch, data, bytes, e->in_file + from, "scratch file", err);
}

/* Reads numbers [first, first + count) of a tensor that is not in memory. */
static int read_tensor(const struct mf_weights *w, const struct weights_entry *e, size_t first, size_t count,
                       float *data, struct mf_err *err) {
    enum mf_dtype dtype = e->tensor.dtype;
    size_t size = mf_dtype_size(dtype);
    uint16_t halves[16384];
    if (dtype == MF_F32) return read_stored(w, e, first * size, data, count * size, err);
    for (size_t at = 0, n, max = sizeof halves / size; at < count; at += n) {
        n = count - at < max ? count - at : max;
        if (read_stored(w, e, (first + at) * size, halves, n * size, err) < 0) return -1;
        mf_widen(data + at, halves, n, dtype);
    }
    return 0;
}

size_t mf_weights_held_bytes(const struct mf_tensor *t) {
    return t->dtype == MF_I64 ? mf_tensor_bytes(t) : mf_tensor_count(t) * sizeof(float);
}

/* The memory for a tensor. Large ones lie on whole large pages where the system has them: weights are read
 * once a token, from end to end, and finding small pages costs as much as reading them. */
size_t mf_weights_cached_bytes(size_t bytes) {
    if (bytes < LARGE_PAGE / 2) return bytes ? bytes : 1;
    return (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
}

/* Large ones are mapped one by one: what malloc gets back of them it may keep, and then memory would exceed
 * the cache's bytes. */
static void *new_buffer(size_t capacity) {
    if (capacity < LARGE_PAGE) return aligned_alloc(64, (capacity + 63) / 64 * 64);
    char *at = mmap(NULL, capacity + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    size_t before = -(uintptr_t)at % LARGE_PAGE;
    if (before) munmap(at, before);
    munmap(at + before + capacity, LARGE_PAGE - before);
    madvise(at + before, capacity, MADV_HUGEPAGE); /* advice only */
    return at + before;
}

static void free_buffer(void *buffer, size_t capacity) {
    if (capacity < LARGE_PAGE)
        free(buffer);
    else if (buffer)
        munmap(buffer, capacity);
}

/* Takes a tensor out of memory; returns the bytes it had. */
static size_t drop(struct weights_entry *e) {
    size_t capacity = mf_weights_cached_bytes(mf_weights_held_bytes(&e->tensor));
    if (e->kept)
        free(e->tensor.data);
    else
        free_buffer(e->tensor.data, capacity);
    e->tensor.data = NULL;
    return capacity;
}

void mf_weights_free(struct mf_weights *w) {
    if (!w) return;
    for (size_t i = 0; i < w->count; i++) drop(&w->entries[i]);
    free(w->entries);
    free(w->name);
    mf_safetensors_close(w->st);
    if (w->scratch >= 0) close(w->scratch);
    free(w);
}

bool mf_weights_holds_all(const struct mf_weights *w, size_t bytes) {
    return bytes <= w->capacity;
}

/* An expert's tensors may have the names of the dense FFN's: those of the bundle added last count. */
static int64_t find_name(const struct mf_weights *w, const char *name) {
    if (w->st) return mf_safetensors_find(w->st, name);
    for (size_t i = w->count; i-- > 0;)
        if (strcmp(w->entries[i].tensor.name, name) == 0) return (int64_t)i;
    return -1;
}

bool mf_weights_has(const struct mf_weights *w, const char *name) {
    return find_name(w, name) >= 0;
}

int mf_weights_find(const struct mf_weights *w, const char *name, size_t rows, size_t columns, size_t *index,
                    struct mf_err *err) {
    int64_t at = find_name(w, name);
    if (at < 0) return mf_err_set(err, EX_DATAERR, "%s: missing tensor %s", w->name, name);
    const struct mf_tensor *t = &w->entries[at].tensor;
    if (t->dtype == MF_I64)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s is %s, not F32, BF16 or F16", w->name, name,
                          mf_dtype_name(t->dtype));
    struct mf_tensor wanted = {.n_dims = columns ? 2 : 1, .shape = {rows, columns}};
    if (t->n_dims != wanted.n_dims || t->shape[0] != rows || (columns && t->shape[1] != columns)) {
        char have[64], want[64];
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s has shape %s, not %s", w->name, name,
                          mf_tensor_shape(t, have), mf_tensor_shape(&wanted, want));
    }
    w->entries[at].known = true;
    *index = (size_t)at;
    return 0;
}

int mf_weights_check_known(const struct mf_weights *w, const char *but, struct mf_err *err) {
    for (size_t i = 0; i < w->count; i++)
        if (!w->entries[i].known && strncmp(w->entries[i].tensor.name, but, strlen(but)) != 0)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s is none of this model's", w->name,
                              w->entries[i].tensor.name);
    return 0;
}

/* Drops the least recently used tensors until `bytes` more fit. Linear in the number of tensors, beside a
 * read from disk. */
static void evict(struct mf_weights *w, size_t bytes) {
    while (w->cached && (bytes > w->capacity || w->cached > w->capacity - bytes)) {
        struct weights_entry *oldest = NULL;
        for (size_t i = 0; i < w->count; i++) {
            struct weights_entry *e = &w->entries[i];
            if (e->tensor.data && !e->kept && (!oldest || e->used < oldest->used)) oldest = e;
        }
        if (!oldest) return;
        w->cached -= drop(oldest);
    }
}

int mf_weights_get(struct mf_weights *w, size_t index, const float **data, struct mf_err *err) {
    struct weights_entry *e = &w->entries[index];
    e->used = ++w->clock;
    if (!e->tensor.data) {
        size_t capacity = mf_weights_cached_bytes(mf_weights_held_bytes(&e->tensor));
        evict(w, capacity);
        void *buffer = new_buffer(capacity);
        if (!buffer) return mf_err_set(err, EX_OSERR, "%s: no memory for tensor %s", w->name, e->tensor.name);
        if (read_tensor(w, e, 0, mf_tensor_count(&e->tensor), buffer, err) < 0) {
            free_buffer(buffer, capacity);
            return -1;
        }
        e->tensor.data = buffer;
        w->cached += capacity;
    }
    *data = e->tensor.data;
    return 0;
}

int mf_weights_matrix(const struct mf_matrix *m, struct weight *w, struct mf_err *err) {
    *w = (struct weight){m->data, m->narrow};
    return m->data || m->narrow ? 0 : mf_weights_get(m->file, m->index, &w->rows, err);
}

int mf_weights_read(const struct mf_weights *w, size_t index, size_t first, size_t count, float *data,
                    struct mf_err *err) {
    const struct weights_entry *e = &w->entries[index];
    if (e->tensor.data) {
        memcpy(data, (const float *)e->tensor.data + first, count * sizeof *data);
        return 0;
    }
    return read_tensor(w, e, first, count, data, err);
}
