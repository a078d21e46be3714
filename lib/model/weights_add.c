/* Tensors that come once, in the order of a bundle: kept in memory, or put aside in a scratch file. */
#include "model/weights_internal.h"

#include <stdlib.h>
#include "base/memory.h"
#include "io/file.h"

#define BLOCK ((size_t)512 << 10) /* of a copy into the scratch file */

/* Copies a tensor into the scratch file, block by block. */
static int put_aside(struct mf_weights *w, struct weights_entry *e, mf_weights_source *read, void *from,
                     size_t bytes, struct mf_err *err) {
    if (w->scratch < 0 && (w->scratch = mf_scratch_open(err)) < 0) return -1;
    unsigned char *block = malloc(BLOCK);
    if (!block) mf_no_memory();
    int status = 0;
    for (size_t done = 0, n; done < bytes && status == 0; done += n) {
        n = bytes - done < BLOCK ? bytes - done : BLOCK;
        status = read(from, block, n, err);
        if (status == 0) status = mf_scratch_write(w->scratch, block, n, w->scratch_size + done, err);
    }
    free(block);
    e->in_file = w->scratch_size;
    e->in_scratch = true;
    w->scratch_size += bytes;
    return status;
}

/* Reads a tensor into memory, for good. */
static int keep(struct mf_weights *w, struct weights_entry *e, mf_weights_source *read, void *from,
                size_t bytes, struct mf_err *err) {
    e->kept = true;
    e->tensor.data = malloc(bytes ? bytes : 1);
    if (!e->tensor.data)
        return mf_err_set(err, EX_OSERR, "%s: no memory for tensor %s", w->name, e->tensor.name);
    w->cached += bytes;
    return read(from, e->tensor.data, bytes, err);
}

/* Does a tensor that comes once stay in memory? */
static bool stays(const struct mf_weights *w, const struct mf_tensor *t) {
    size_t bytes = mf_weights_held_bytes(t), half = w->capacity / 2;
    return bytes <= MF_WEIGHTS_KEPT || (w->cached <= half && bytes <= half - w->cached);
}

/* Takes a tensor whose bytes come in order: as F32 where it stays. */
static int take(struct mf_weights *w, struct weights_entry *e, const struct mf_tensor *t,
                mf_weights_source *read, void *from, struct mf_err *err) {
    size_t bytes = mf_tensor_bytes(t);
    e->tensor = *t;
    e->tensor.data = NULL;
    return stays(w, t) ? keep(w, e, read, from, bytes, err) : put_aside(w, e, read, from, bytes, err);
}

int mf_weights_add(struct mf_weights *w, const struct mf_tensor *t, mf_weights_source *read, void *from,
                   struct mf_err *err) {
    if (weights_grow(w, 1, err) < 0) return -1;
    return take(w, &w->entries[w->count - 1], t, read, from, err);
}

static int read_bundle(void *from, void *buffer, size_t bytes, struct mf_err *err) {
    return mf_bundle_read_finite(from, buffer, bytes, err);
}

static int read_bundle_floats(void *from, void *buffer, size_t bytes, struct mf_err *err) {
    return mf_bundle_read_finite_floats(from, buffer, bytes / sizeof(float), err);
}

int mf_weights_add_bundle(struct mf_weights *w, struct mf_bundle *bundle, struct mf_err *err) {
    size_t first = w->count, index;
    if (weights_grow(w, mf_bundle_count(bundle), err) < 0) return -1;
    int more;
    while ((more = mf_bundle_next(bundle, &index, err)) > 0) {
        struct mf_tensor t = *mf_bundle_tensor(bundle, index);
        bool floats = t.dtype != MF_I64 && stays(w, &t);
        if (floats) t.dtype = MF_F32;
        if (take(w, &w->entries[first + index], &t, floats ? read_bundle_floats : read_bundle, bundle, err) <
            0)
            return -1;
    }
    return more;
}
