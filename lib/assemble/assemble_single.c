/* Models with one FFN, to compare a mixture with: the shared bundle's dense one, or the mean of all experts.
 *
 * The mean is made in the scratch file, expert by expert, so memory does not grow with their number. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "assemble/assemble_internal.h"

/* Floats that are added at once. */
#define CHUNK ((size_t)32 << 10)

static struct mf_tensor *tensors_of(const struct mf_assembly *a, enum mf_ffn_role role, size_t *count) {
    *count = mf_ffn_tensors(&a->shape, role, 0, NULL, NULL);
    struct mf_tensor *t = calloc(*count, sizeof *t);
    if (!t) mf_no_memory();
    mf_ffn_tensors(&a->shape, role, 0, NULL, t);
    return t;
}

int mf_single_add(struct mf_assembly *a, struct mf_err *err) {
    size_t count;
    struct mf_tensor *t = tensors_of(a, MF_FFN_MOE, &count);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        status = mf_assembly_add(a, t[i].name, t[i].shape[0], t[i].n_dims > 1 ? t[i].shape[1] : 0, err);
    free(t);
    return status;
}

/* Adds the bundle's current tensor, times `scale`, to the scratch file's floats from `at` on. */
static int add(struct mf_assembly *a, struct mf_bundle *b, const struct mf_tensor *t, size_t at, float scale,
               bool first, struct mf_err *err) {
    float *fresh = (float *)a->buffer, *sum = fresh + CHUNK;
    size_t count = mf_tensor_count(t);
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < CHUNK ? count - done : CHUNK;
        size_t bytes = n * sizeof *sum, offset = (at + done) * sizeof *sum;
        if (mf_assembly_read(b, t, fresh, bytes, err) < 0) return -1;
        if (!first && mf_pread_all(a->scratch, sum, bytes, offset, "scratch file", err) < 0) return -1;
        for (size_t i = 0; i < n; i++) sum[i] = (first ? 0 : sum[i]) + scale * fresh[i];
        if (mf_scratch_write(a->scratch, sum, bytes, offset, err) < 0) return -1;
    }
    return 0;
}

/* Adds all tensors of a component's FFN, in the order of `role`'s list. */
static int add_piece(struct mf_assembly *a, struct mf_component *p, enum mf_ffn_role role, float scale,
                     bool first, struct mf_err *err) {
    size_t count, index;
    struct mf_tensor *t = tensors_of(a, role, &count);
    int more;
    while ((more = mf_bundle_next(p->bundle, &index, err)) > 0) {
        const struct mf_tensor *there = mf_bundle_tensor(p->bundle, index);
        size_t i = 0, at = 0;
        for (; i < count && strcmp(t[i].name, there->name) != 0; i++) at += mf_tensor_count(&t[i]);
        if (i < count && add(a, p->bundle, there, at, scale, first, err) < 0) {
            more = -1;
            break;
        }
    }
    free(t);
    return more;
}

static int add_one(struct mf_assembly *a, const char *path, const char *kind, const char *hash,
                   enum mf_ffn_role role, float scale, bool first, struct mf_err *err) {
    struct mf_component p;
    if (mf_assembly_reopen(&p, path, kind, hash, err) < 0) return -1;
    int status = add_piece(a, &p, role, scale, first, err);
    mf_component_close(&p);
    return status;
}

int mf_single_write(struct mf_assembly *a, struct mf_out *out, struct mf_err *err) {
    int status = 0;
    if (a->kind == MF_ASSEMBLE_DENSE)
        status = add_one(a, a->shared_path, "shared", a->shared_hash, MF_FFN_DENSE, 1, true, err);
    for (size_t e = 0; e < a->n_experts && status == 0 && a->kind == MF_ASSEMBLE_AVERAGE; e++)
        status = add_one(a, a->experts[e].path, "expert", a->experts[e].hash, MF_FFN_EXPERT,
                         1 / (float)a->n_experts, e == 0, err);
    size_t left = mf_ffn_size(&a->shape) * sizeof(float);
    for (uint64_t at = 0; left > 0 && status == 0;) {
        size_t n = left < CHUNK ? left : CHUNK;
        status = mf_pread_all(a->scratch, a->buffer, n, at, "scratch file", err);
        if (status == 0) status = mf_out_write(out, a->buffer, n, err);
        at += n;
        left -= n;
    }
    return status;
}
