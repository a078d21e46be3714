/* A bundle's tensors into memory that is there already. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include "io/bundle.h"
#include "io/bundle_internal.h"

static struct mf_tensor *find(struct mf_tensor *tensors, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    return NULL;
}

static bool same_shape(const struct mf_tensor *a, const struct mf_tensor *b) {
    if (a->n_dims != b->n_dims) return false;
    for (int d = 0; d < a->n_dims; d++)
        if (a->shape[d] != b->shape[d]) return false;
    return true;
}

static bool fits(const struct mf_tensor *there, const struct mf_tensor *wanted) {
    return same_shape(there, wanted) && (there->dtype == MF_I64) == (wanted->dtype == MF_I64);
}

int mf_bundle_expect(const struct mf_bundle *b, const struct mf_tensor *tensors, size_t count,
                     struct mf_err *err) {
    char have[64], want[64];
    for (size_t i = 0; i < count; i++) {
        const struct mf_tensor *there = NULL, *t = &tensors[i];
        for (size_t j = 0; j < mf_bundle_count(b) && !there; j++)
            if (strcmp(mf_bundle_tensor(b, j)->name, t->name) == 0) there = mf_bundle_tensor(b, j);
        if (!there) return mf_err_set(err, EX_DATAERR, "%s: missing tensor %s", mf_bundle_name(b), t->name);
        if (!fits(there, t))
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s is %s %s, not %s %s", mf_bundle_name(b),
                              t->name, mf_dtype_name(there->dtype), mf_tensor_shape(there, have),
                              mf_dtype_name(t->dtype), mf_tensor_shape(t, want));
    }
    return 0;
}

#define CHUNK ((size_t)8192) /* numbers at a time */

int mf_bundle_read_floats(struct mf_bundle *b, float *to, size_t count, struct mf_err *err) {
    enum mf_dtype dtype = mf_bundle_tensor(b, b->next - 1)->dtype;
    uint16_t halves[CHUNK];
    if (dtype == MF_F32) return mf_bundle_read(b, to, count * sizeof *to, err);
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < CHUNK ? count - at : CHUNK;
        if (mf_bundle_read(b, halves, n * sizeof *halves, err) < 0) return -1;
        mf_widen(to + at, halves, n, dtype);
    }
    return 0;
}

static int refuse_unless(bool finite, const struct mf_bundle *b, struct mf_err *err) {
    if (finite) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds a NaN or infinity", mf_bundle_name(b),
                      mf_bundle_tensor(b, b->next - 1)->name);
}

int mf_bundle_read_finite(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err) {
    if (mf_bundle_read(b, buffer, size, err) < 0) return -1;
    enum mf_dtype dtype = mf_bundle_tensor(b, b->next - 1)->dtype;
    return refuse_unless(dtype == MF_I64 || mf_finite_stored(buffer, size / mf_dtype_size(dtype), dtype), b,
                         err);
}

int mf_bundle_read_finite_floats(struct mf_bundle *b, float *to, size_t count, struct mf_err *err) {
    if (mf_bundle_read_floats(b, to, count, err) < 0) return -1;
    return refuse_unless(mf_finite(to, count), b, err);
}

/* The current tensor rounded to BF16 chunk by chunk. */
static int read_rounded(struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    float chunk[CHUNK];
    size_t count = mf_tensor_count(t);
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < CHUNK ? count - at : CHUNK;
        if (mf_bundle_read_floats(b, chunk, n, err) < 0) return -1;
        mf_bf16_round((uint16_t *)t->data + at, chunk, n);
    }
    return 0;
}

/* The current tensor into `t`. */
static int read_into(struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    if (t->dtype == mf_bundle_tensor(b, b->next - 1)->dtype)
        return mf_bundle_read(b, t->data, mf_tensor_bytes(t), err);
    return t->dtype == MF_F32 ? mf_bundle_read_floats(b, t->data, mf_tensor_count(t), err)
                              : read_rounded(b, t, err);
}

static int map_bundle(const struct mf_bundle *b, struct mf_bundle_map *map, struct mf_err *err) {
    return map->at ? 0 : mf_in_map(b->in, &map->at, &map->size, err);
}

/* The current tensor where it lies. All of it is read for its hash, and must be what is mapped. */
static int take_mapped(struct mf_bundle *b, struct mf_tensor *t, struct mf_bundle_map *map,
                       struct mf_err *err) {
    unsigned char chunk[16384];
    if (map_bundle(b, map, err) < 0) return -1;
    const unsigned char *at = (const unsigned char *)map->at + bundle_place(b);
    size_t bytes = mf_tensor_bytes(t);
    bool same = bundle_place(b) <= map->size && bytes <= map->size - bundle_place(b);
    for (size_t done = 0, n; done < bytes && same; done += n) {
        n = bytes - done < sizeof chunk ? bytes - done : sizeof chunk;
        if (mf_bundle_read(b, chunk, n, err) < 0) return -1;
        same = memcmp(chunk, at + done, n) == 0;
    }
    if (!same) return mf_err_set(err, EX_DATAERR, "%s: changed while it was read", mf_bundle_name(b));
    t->data = (void *)(uintptr_t)at;
    return 0;
}

/* map NULL: there are data for all. */
static int fill(struct mf_bundle *b, struct mf_tensor *tensors, size_t count, struct mf_bundle_map *map,
                struct mf_err *err) {
    size_t index;
    int more;
    if (mf_bundle_expect(b, tensors, count, err) < 0) return -1;
    while ((more = mf_bundle_next(b, &index, err)) > 0) {
        struct mf_tensor *t = find(tensors, count, mf_bundle_tensor(b, index)->name);
        if (t && (map && !t->data ? take_mapped(b, t, map, err) : read_into(b, t, err)) < 0) return -1;
    }
    return more;
}

int mf_bundle_fill(struct mf_bundle *b, const struct mf_tensor *tensors, size_t count, struct mf_err *err) {
    return fill(b, (struct mf_tensor *)(uintptr_t)tensors, count, NULL, err);
}

int mf_bundle_fill_map(struct mf_bundle *b, struct mf_tensor *tensors, size_t count,
                       struct mf_bundle_map *map, struct mf_err *err) {
    return fill(b, tensors, count, map, err);
}

void mf_bundle_unmap(struct mf_bundle_map *map) {
    if (map->at) munmap(map->at, map->size);
    *map = (struct mf_bundle_map){0};
}
