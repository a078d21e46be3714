/* A folder as Hugging Face's transformers and what is built on it read it (formats/hf.md): config.json,
 * model.safetensors or shards of it with an index, tokenizer.json, tokenizer_config.json,
 * generation_config.json, and a model card README.md. */
#ifndef MF_EXPORT_HF_H
#define MF_EXPORT_HF_H

#include <jansson.h>
#include <stdint.h>
#include "base/err.h"
#include "export/plain.h"
#include "io/tensor.h"

struct mf_hf {
    const struct mf_plain *plain;
    const char *folder;    /* to be made; one that mf_hf_write made before is replaced */
    const char *tokenizer; /* tokenizer.json, whose SHA-256 has to be the model's */
    const json_t *report;  /* for the model card: the object of report.json, or NULL */
    const char *version;   /* of the program, which config.json names */
    uint64_t shard;        /* bytes of tensors in a file at most; a tensor is never cut */
    enum mf_dtype type;    /* of matrices: F32, BF16 or F16 */
    /* found out by mf_hf_write: */
    size_t shards;
    uint64_t bytes; /* of tensors */
};

/* Writes the folder, through one block of rows. EX_NOINPUT, EX_DATAERR: the tokenizer is another one; a model
 * that transformers has no class for; a number too large for F16. EX_CANTCREAT: the folder holds what was not
 * written here; EX_IOERR. When it fails, nothing is left behind. */
int mf_hf_write(struct mf_hf *hf, struct mf_err *err);

#endif
