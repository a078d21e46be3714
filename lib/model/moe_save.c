/* The copy: tensors in the file's order through one buffer, the small ones from memory. */
#include "model/moe_save.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/safetensors.h"
#include "model/moe_internal.h"

#define BUFFER ((size_t)256 << 10)

/* The numbers in memory of a tensor of the file, or NULL. */
static float *in_memory(const struct mf_moe *m, const char *name) {
    for (size_t i = 0; i < m->shape.L; i++) {
        struct mf_tensor small[MOE_SMALL];
        size_t count = moe_small_tensors(m, i, small);
        for (size_t k = 0; k < count; k++)
            if (strcmp(name, small[k].name) == 0) return small[k].data;
    }
    return NULL;
}

/* Are they what the file has at tensor i? */
static int is_stored(const struct mf_moe *m, size_t i, const struct mf_tensor *t, bool *same,
                     struct mf_err *err) {
    size_t count = mf_tensor_count(t);
    float *stored = malloc(count * sizeof *stored);
    if (!stored) mf_no_memory();
    int status = mf_weights_read(m->file->weights, i, 0, count, stored, err);
    *same = status == 0 && memcmp(stored, t->data, count * sizeof *stored) == 0;
    free(stored);
    return status;
}

/* The tensors of the new file: as they are stored, or with `data` that takes their place, F32. New. */
static int list(const struct mf_moe *m, const struct mf_safetensors *st, struct mf_tensor **tensors,
                struct mf_err *err) {
    size_t count = mf_safetensors_count(st);
    int status = 0;
    *tensors = calloc(count, sizeof **tensors);
    if (!*tensors) mf_no_memory();
    for (size_t i = 0; i < count && status == 0; i++) {
        struct mf_tensor *t = &(*tensors)[i];
        bool same = true;
        *t = *mf_safetensors_tensor(st, i);
        t->data = in_memory(m, t->name);
        if (t->data) status = is_stored(m, i, t, &same, err);
        if (same) t->data = NULL;
        if (t->data) t->dtype = MF_F32;
    }
    return status;
}

static json_t *metadata_of(const struct mf_moe *m, const struct mf_safetensors *st,
                           const json_t *calibration) {
    json_t *metadata = json_deep_copy(mf_safetensors_metadata(st));
    mf_metadata_set_json(metadata, "router", moe_router_json(m));
    if (calibration) mf_metadata_set_json(metadata, "calibration", json_deep_copy(calibration));
    return metadata;
}

static int copy_tensor(const struct mf_safetensors *st, size_t i, struct mf_out *out, unsigned char *buffer,
                       struct mf_err *err) {
    size_t bytes = mf_tensor_bytes(mf_safetensors_tensor(st, i));
    for (size_t at = 0, n; at < bytes; at += n) {
        n = bytes - at < BUFFER ? bytes - at : BUFFER;
        if (mf_safetensors_read(st, i, at, buffer, n, err) < 0 || mf_out_write(out, buffer, n, err) < 0)
            return -1;
    }
    return 0;
}

static int write_tensors(const struct mf_safetensors *st, const struct mf_tensor *tensors, struct mf_out *out,
                         struct mf_err *err) {
    unsigned char *buffer = malloc(BUFFER);
    int status = 0;
    if (!buffer) mf_no_memory();
    for (size_t i = 0; i < mf_safetensors_count(st) && status == 0; i++)
        status = tensors[i].data ? mf_out_write(out, tensors[i].data, mf_tensor_bytes(&tensors[i]), err)
                                 : copy_tensor(st, i, out, buffer, err);
    free(buffer);
    return status;
}

int mf_moe_save(const struct mf_moe *m, struct mf_out *out, const json_t *calibration, struct mf_err *err) {
    const struct mf_safetensors *st = mf_moe_model(m);
    if (!st) return mf_err_set(err, EX_DATAERR, "%s: not an assembled model", m->name);
    json_t *metadata = metadata_of(m, st, calibration);
    struct mf_tensor *tensors;
    int status = list(m, st, &tensors, err);
    if (status == 0) status = mf_safetensors_header(out, metadata, tensors, mf_safetensors_count(st), err);
    if (status == 0) status = write_tensors(st, tensors, out, err);
    json_decref(metadata);
    free(tensors);
    return status;
}
