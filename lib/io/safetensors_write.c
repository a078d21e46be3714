/* Writing safetensors files. */
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "io/json_tensor.h"

#define ALIGN 64 /* of the first tensor */

int mf_safetensors_header(struct mf_out *out, const json_t *metadata, const struct mf_tensor *tensors,
                          size_t count, struct mf_err *err) {
    json_t *header = json_object();
    if (metadata && json_object_size(metadata) > 0)
        json_object_set(header, "__metadata__", (json_t *)(uintptr_t)metadata);
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mf_tensor *t = &tensors[i];
        uint64_t end = at + mf_tensor_bytes(t);
        json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", mf_dtype_name(t->dtype), "shape",
                                  mf_tensor_shape_json(t), "data_offsets", (json_int_t)at, (json_int_t)end);
        if (!entry || json_object_get(header, t->name)) abort(); /* two tensors of one name: a bug of ours */
        json_object_set_new(header, t->name, entry);
        at = end;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text) return mf_err_set(err, EX_DATAERR, "%s: the metadata are not valid UTF-8", mf_out_name(out));
    size_t size = strlen(text), pad = (ALIGN - (8 + size) % ALIGN) % ALIGN;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)(size + pad) >> (8 * i));
    int result = mf_out_write(out, length, 8, err);
    if (result == 0) result = mf_out_write(out, text, size, err);
    if (result == 0) result = mf_out_printf(out, err, "%*s", (int)pad, "");
    free(text);
    return result;
}

void mf_metadata_set_json(json_t *metadata, const char *key, json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT);
    json_object_set_new(metadata, key, json_string(text ? text : ""));
    free(text);
    json_decref(value);
}
