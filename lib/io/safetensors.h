/* Safetensors: an 8-byte length, a JSON header, and the tensors' bytes (formats/model.md).
 *
 * Writing is one pass: the header follows from names and shapes alone, then every tensor's bytes are appended
 * in order. Reading is by position; the header is checked in full (lengths, order, holes, overlaps, doubled
 * names) before any tensor is touched. */
#ifndef MF_IO_SAFETENSORS_H
#define MF_IO_SAFETENSORS_H

#include <jansson.h>
#include "base/err.h"
#include "io/file.h"
#include "io/tensor.h"

/* Writes length and header for `tensors` in file order; `metadata` is an object of strings (borrowed). The
 * header is padded with spaces so that data start at a multiple of 64. The caller then writes each tensor's
 * bytes in order. */
int mf_safetensors_header(struct mf_out *out, const json_t *metadata, const struct mf_tensor *tensors,
                          size_t count, struct mf_err *err);

struct mf_safetensors;

/* Opens a model and checks its header against the file's size. NULL or "-" is standard input, which must be a
 * file. EX_NOINPUT; EX_DATAERR with what is wrong. */
int mf_safetensors_open(struct mf_safetensors **st, const char *path, struct mf_err *err);

const char *mf_safetensors_name(const struct mf_safetensors *st);

/* An object of strings, maybe empty; borrowed. */
const json_t *mf_safetensors_metadata(const struct mf_safetensors *st);

/* A metadata value that holds JSON text, parsed; new, or NULL when it is absent or no JSON. */
json_t *mf_metadata_json(const json_t *metadata, const char *key);

/* Sets a metadata value to the JSON text of `value` (taken over). */
void mf_metadata_set_json(json_t *metadata, const char *key, json_t *value);

/* Tensors in file order, without data; borrowed. */
size_t mf_safetensors_count(const struct mf_safetensors *st);
const struct mf_tensor *mf_safetensors_tensor(const struct mf_safetensors *st, size_t i);

/* The index of a name, or -1. */
int64_t mf_safetensors_find(const struct mf_safetensors *st, const char *name);

/* Reads `size` bytes of tensor i from its byte `offset` on; inside the tensor, or it is a bug of ours.
 * EX_IOERR. May be called from several threads. */
int mf_safetensors_read(const struct mf_safetensors *st, size_t i, uint64_t offset, void *buffer, size_t size,
                        struct mf_err *err);

void mf_safetensors_close(struct mf_safetensors *st); /* accepts NULL */

#endif
