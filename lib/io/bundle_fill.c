/* A bundle's tensors into memory that is there already. */
#include <stdbool.h>
#include <string.h>
#include "io/bundle.h"

static const struct mf_tensor *find(const struct mf_tensor *tensors, size_t count, const char *name) {
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
    return same_shape(there, wanted) &&
           (there->dtype == wanted->dtype || (there->dtype == MF_F32 && wanted->dtype == MF_BF16));
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

/* The current tensor, F32, rounded to BF16 chunk by chunk. */
static int read_rounded(struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    float chunk[4096];
    size_t count = mf_tensor_count(t), most = sizeof chunk / sizeof *chunk;
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < most ? count - at : most;
        if (mf_bundle_read(b, chunk, n * sizeof *chunk, err) < 0) return -1;
        mf_bf16_round((uint16_t *)t->data + at, chunk, n);
    }
    return 0;
}

int mf_bundle_fill(struct mf_bundle *b, const struct mf_tensor *tensors, size_t count, struct mf_err *err) {
    size_t index;
    int more;
    if (mf_bundle_expect(b, tensors, count, err) < 0) return -1;
    while ((more = mf_bundle_next(b, &index, err)) > 0) {
        const struct mf_tensor *there = mf_bundle_tensor(b, index), *t = find(tensors, count, there->name);
        if (!t) continue;
        int status = t->dtype == there->dtype ? mf_bundle_read(b, t->data, mf_tensor_bytes(t), err)
                                              : read_rounded(b, t, err);
        if (status < 0) return -1;
    }
    return more;
}
