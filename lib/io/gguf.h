/* GGUF: the model file of llama.cpp (formats/gguf.md). Keys with values, a list of tensors, and the tensors'
 * bytes.
 *
 * Writing is one pass: keys are collected in memory, the header follows from them and from names, types and
 * shapes alone, then every tensor's bytes are appended in order. Reading is by position; the header is
 * checked in full against the file's size before any tensor is touched. */
#ifndef MF_IO_GGUF_H
#define MF_IO_GGUF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/file.h"

/* --- types --- */

/* Types of values, by their numbers in the file. */
enum mf_gguf_value {
    MF_GGUF_U8,
    MF_GGUF_I8,
    MF_GGUF_U16,
    MF_GGUF_I16,
    MF_GGUF_U32,
    MF_GGUF_I32,
    MF_GGUF_FLOAT,
    MF_GGUF_BOOL,
    MF_GGUF_STRING,
    MF_GGUF_LIST,
    MF_GGUF_U64,
    MF_GGUF_I64,
    MF_GGUF_DOUBLE,
    MF_GGUF_VALUES
};
const char *mf_gguf_value_name(enum mf_gguf_value type); /* "u32" */

/* Types of tensors that we write, by their numbers in the file. Others are listed, but not decoded. */
enum mf_gguf_type { MF_GGUF_F32 = 0, MF_GGUF_F16 = 1, MF_GGUF_Q4_0 = 2, MF_GGUF_Q8_0 = 8, MF_GGUF_BF16 = 30 };

/* Numbers are stored in blocks along a row: `values` of them in `bytes`. Rows are whole blocks. */
struct mf_gguf_block {
    const char *name; /* "Q8_0" */
    uint32_t values, bytes;
};
const struct mf_gguf_block *mf_gguf_block(uint32_t type);          /* NULL: an unknown type */
int mf_gguf_type_parse(const char *name, enum mf_gguf_type *type); /* "q8_0"; -1: none that we write */

#define MF_GGUF_NAME 64 /* bytes of a tensor's name, at most */
#define MF_GGUF_DIMS 4

struct mf_gguf_tensor {
    char name[MF_GGUF_NAME + 1];
    uint32_t type;
    int n_dims;
    uint64_t shape[MF_GGUF_DIMS]; /* slowest first, as everywhere here; the file has the fastest first */
    uint64_t count, bytes;        /* numbers; without padding */
    uint64_t offset;              /* of a tensor that was read: in the file */
};

/* Fills count and bytes from type and shape. -1 when the type is unknown, a row is not whole blocks, or the
 * size does not fit into 63 bits. */
int mf_gguf_tensor_size(struct mf_gguf_tensor *t);

const char *mf_gguf_shape(const struct mf_gguf_tensor *t, char text[64]); /* "[512,2048]"; returns text */

/* --- reading --- */

struct mf_gguf;

/* Opens a file and checks its header. NULL or "-" is standard input, which must be a file. EX_NOINPUT;
 * EX_DATAERR with what is wrong. */
int mf_gguf_open(struct mf_gguf **g, const char *path, struct mf_err *err);
bool mf_gguf_begins(const unsigned char *bytes, size_t n); /* is this the start of a GGUF file? */
void mf_gguf_close(struct mf_gguf *g);                     /* accepts NULL */

/* Keys and tensors in file order; borrowed. */
struct mf_gguf_key {
    char *name;
    enum mf_gguf_value type; /* of the value, or of each value of a list */
    bool list;
    uint64_t count;  /* values; 1 where it is no list */
    uint64_t offset; /* of the first one, in the file */
};
size_t mf_gguf_key_count(const struct mf_gguf *g);
const struct mf_gguf_key *mf_gguf_key(const struct mf_gguf *g, size_t i);
size_t mf_gguf_tensor_count(const struct mf_gguf *g);
const struct mf_gguf_tensor *mf_gguf_tensor(const struct mf_gguf *g, size_t i);

/* The index of a name, or -1. */
int64_t mf_gguf_find_key(const struct mf_gguf *g, const char *name);
int64_t mf_gguf_find_tensor(const struct mf_gguf *g, const char *name);

/* Hands the first `limit` values of a key to `take`, one after the other: numbers, booleans or strings
 * (U+FFFD for what is no UTF-8), borrowed. EX_IOERR, or what `take` fails with. */
typedef int mf_gguf_take(void *context, const json_t *value, struct mf_err *err);
int mf_gguf_values(const struct mf_gguf *g, const struct mf_gguf_key *key, uint64_t limit, mf_gguf_take *take,
                   void *context, struct mf_err *err);

/* Reads `size` bytes of tensor i from its byte `offset` on; inside the tensor, or it is a bug of ours.
 * EX_IOERR. May be called from several threads. */
int mf_gguf_read(const struct mf_gguf *g, size_t i, uint64_t offset, void *buffer, size_t size,
                 struct mf_err *err);

/* --- writing --- */

/* The keys so far, as they are in the file; zeroed at first. */
struct mf_gguf_keys {
    unsigned char *bytes;
    size_t size, capacity;
    uint64_t count;
};
void mf_gguf_put_u32(struct mf_gguf_keys *keys, const char *name, uint32_t value);
void mf_gguf_put_float(struct mf_gguf_keys *keys, const char *name, float value);
void mf_gguf_put_bool(struct mf_gguf_keys *keys, const char *name, bool value);
void mf_gguf_put_string(struct mf_gguf_keys *keys, const char *name, const char *text);

/* A list: its name, type and length, then each of its values. */
void mf_gguf_put_list(struct mf_gguf_keys *keys, const char *name, enum mf_gguf_value type, uint64_t count);
void mf_gguf_add_i32(struct mf_gguf_keys *keys, int32_t value);
void mf_gguf_add_float(struct mf_gguf_keys *keys, float value);
void mf_gguf_add_string(struct mf_gguf_keys *keys, const char *bytes, size_t size);
void mf_gguf_keys_free(struct mf_gguf_keys *keys);

/* Writes the header of a file that begins here, with an alignment of 32 bytes. The caller then writes each
 * tensor's bytes in order, with mf_gguf_pad behind every one. Fills the tensors' offsets. */
int mf_gguf_header(struct mf_out *out, const struct mf_gguf_keys *keys, struct mf_gguf_tensor *tensors,
                   size_t count, struct mf_err *err);

/* Zeros up to the next multiple of the alignment, behind `bytes` bytes of a tensor. */
int mf_gguf_pad(struct mf_out *out, uint64_t bytes, struct mf_err *err);

#endif
