/* The JSON that manifests and safetensors headers share: a tensor's dtype and shape. */
#ifndef MF_IO_JSON_TENSOR_H
#define MF_IO_JSON_TENSOR_H

#include <jansson.h>
#include "base/err.h"
#include "io/tensor.h"

/* Fills `t` from a name and from the fields `dtype` and `shape` of `entry`. EX_DATAERR, naming file and
 * tensor: an empty or too long name, an unknown dtype, a shape that is no list of at most MF_TENSOR_DIMS
 * sizes or overflows. */
int mf_tensor_from_json(struct mf_tensor *t, const char *name, const json_t *entry, const char *file,
                        struct mf_err *err);

/* [512,2048] as a new JSON list. */
json_t *mf_tensor_shape_json(const struct mf_tensor *t);

/* Parses an object that is all of `bytes`. On failure the message says what is wrong in `what`
 * ("manifest.json", "the header"); a key that is there twice in the object itself is named. Owned by the
 * caller (json_decref). */
json_t *mf_json_object(const char *bytes, size_t size, const char *file, const char *what,
                       struct mf_err *err);

#endif
