/* A model as one file for llama.cpp and what is built on it (formats/gguf.md): its dimensions and tokenizer
 * as keys, its tensors by llama.cpp's names, in the type that is asked for. */
#ifndef MF_EXPORT_GGUF_FILE_H
#define MF_EXPORT_GGUF_FILE_H

#include <stdint.h>
#include "base/err.h"
#include "export/plain.h"
#include "io/gguf.h"

struct mf_gguf_file {
    const struct mf_plain *plain;
    const char *path;      /* NULL: standard output */
    const char *tokenizer; /* tokenizer.json, whose SHA-256 has to be the model's */
    const char *name;      /* what the model is called: general.name */
    const char *version;   /* of the program */
    enum mf_gguf_type type;
    /* found out by mf_gguf_file_write: */
    size_t tensors;
    uint64_t bytes; /* of tensors */
};

/* Writes the file, through one block of rows. EX_NOINPUT, EX_DATAERR: the tokenizer is another one, or one
 * that llama.cpp would not give the same tokens by; a model that it has no architecture for; a number too
 * large for the type. EX_CANTCREAT, EX_IOERR. When it fails, nothing is left behind. */
int mf_gguf_file_write(struct mf_gguf_file *file, struct mf_err *err);

#endif
