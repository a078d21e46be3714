/* The copy: tensors in the file's order through one buffer, the small ones from memory. */
#include "model/moe_save.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/safetensors.h"
#include "model/moe_internal.h"

#define BUFFER ((size_t)256 << 10)

/* The numbers that take the place of a tensor's, or NULL. */
static const float *replaced(const struct mf_moe *m, const char *name) {
    for (size_t i = 0; i < m->shape.L; i++) {
        struct mf_tensor small[MOE_SMALL];
        size_t count = moe_small_tensors(m, i, small);
        for (size_t k = 0; k < count; k++)
            if (strcmp(name, small[k].name) == 0) return small[k].data;
    }
    return NULL;
}

static json_t *metadata_of(const struct mf_moe *m, const struct mf_safetensors *st,
                           const json_t *calibration) {
    json_t *metadata = json_deep_copy(mf_safetensors_metadata(st));
    mf_metadata_set_json(metadata, "router", moe_router_json(m));
    if (calibration) mf_metadata_set_json(metadata, "calibration", json_deep_copy(calibration));
    return metadata;
}

static int copy_tensors(const struct mf_moe *m, const struct mf_safetensors *st, struct mf_out *out,
                        unsigned char *buffer, struct mf_err *err) {
    for (size_t i = 0; i < mf_safetensors_count(st); i++) {
        const struct mf_tensor *t = mf_safetensors_tensor(st, i);
        const float *data = replaced(m, t->name);
        size_t bytes = mf_tensor_bytes(t);
        if (data && mf_out_write(out, data, mf_tensor_count(t) * sizeof *data, err) < 0) return -1;
        for (size_t at = 0, n; !data && at < bytes; at += n) {
            n = bytes - at < BUFFER ? bytes - at : BUFFER;
            if (mf_safetensors_read(st, i, at, buffer, n, err) < 0 || mf_out_write(out, buffer, n, err) < 0)
                return -1;
        }
    }
    return 0;
}

int mf_moe_save(const struct mf_moe *m, struct mf_out *out, const json_t *calibration, struct mf_err *err) {
    const struct mf_safetensors *st = mf_moe_model(m);
    if (!st) return mf_err_set(err, EX_DATAERR, "%s: not an assembled model", m->name);
    json_t *metadata = metadata_of(m, st, calibration);
    struct mf_tensor *tensors = calloc(mf_safetensors_count(st), sizeof *tensors);
    unsigned char *buffer = malloc(BUFFER);
    if (!tensors || !buffer) mf_no_memory();
    for (size_t i = 0; i < mf_safetensors_count(st); i++) {
        tensors[i] = *mf_safetensors_tensor(st, i);
        if (replaced(m, tensors[i].name)) tensors[i].dtype = MF_F32;
    }
    int status = mf_safetensors_header(out, metadata, tensors, mf_safetensors_count(st), err);
    if (status == 0) status = copy_tensors(m, st, out, buffer, err);
    json_decref(metadata);
    free(tensors);
    free(buffer);
    return status;
}
