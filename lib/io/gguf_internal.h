/* What opening a GGUF file (gguf_open.c), reading on in it (gguf_cursor.c) and using it (gguf.c) share. */
#ifndef MF_IO_GGUF_INTERNAL_H
#define MF_IO_GGUF_INTERNAL_H

#include "io/gguf.h"
#include "io/names.h"

#define GGUF_ALIGN ((uint64_t)32) /* of tensors in files that we write, and in those that do not say */

struct mf_gguf {
    int fd;
    char *name;
    uint64_t size, align; /* bytes of the file; tensors begin at multiples of align */
    struct mf_gguf_key *keys;
    struct mf_gguf_tensor *tensors;
    size_t n_keys, n_tensors;
    size_t *keys_by_name, *tensors_by_name; /* indices in the order of names */
};

/* Names in lists of keys and of tensors (io/names.h). */
const char *gguf_key_name(const void *keys, size_t i);
const char *gguf_tensor_name(const void *tensors, size_t i);

/* Bytes of a value of fixed size; 0 of strings and lists. */
size_t gguf_value_size(enum mf_gguf_value type);

uint64_t gguf_padded(uint64_t size, uint64_t align);

/* --- gguf_cursor.c --- */

/* A place in the file that moves on, with what comes next in a buffer. */
struct gguf_cursor {
    const struct mf_gguf *g;
    uint64_t at;          /* of the next byte */
    uint64_t from, until; /* the buffer's bytes, in the file */
    unsigned char buffer[16384];
};

/* Takes `size` bytes; the file has them, or EX_DATAERR. NULL `to` passes over them. */
int gguf_take(struct gguf_cursor *c, void *to, uint64_t size, struct mf_err *err);

/* A little-endian number of `size` bytes. */
int gguf_take_number(struct gguf_cursor *c, size_t size, uint64_t *value, struct mf_err *err);

#endif
