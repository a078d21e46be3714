/* What reading a folder (folder*.c) and a GGUF file (gguf_base.c) share with base.c. */
#ifndef MF_IMPORT_BASE_INTERNAL_H
#define MF_IMPORT_BASE_INTERNAL_H

#include <jansson.h>
#include "import/base.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "io/tensor.h"

/* Where a tensor of the bundle is. */
struct base_place {
    bool there;
    size_t file, index; /* which of the folder's files; the tensor in it */
    size_t head;        /* GGUF: columns of a head whose rows are in llama.cpp's order; 0: as here */
};

struct mf_base {
    char *path;
    const char *class;
    char name[128]; /* what the files call the model; "" */
    struct mf_shape shape;
    int64_t bos, eos;              /* by the model's settings; -1: not said, then maybe: */
    char *bos_token, *eos_token;   /* their spelling; or NULL */
    struct mf_safetensors **files; /* of a folder */
    size_t n_files;
    struct mf_gguf *gguf;      /* or NULL */
    struct mf_tensor *tensors; /* of the bundle, in its order; token_counts last */
    struct base_place *places; /* of all but token_counts */
    size_t count;              /* with token_counts */
};

/* Reads a folder's config.json: class, shape, special tokens. `context` as for mf_base_open. */
int base_read_config(struct mf_base *b, size_t context, struct mf_err *err);

/* A folder's special tokens, by its config and the files beside it. EX_IOERR, EX_NOINPUT. */
int base_read_specials(struct mf_base *b, const json_t *config, struct mf_err *err);

/* Opens a folder's files of tensors; finds each of the bundle's in them. */
int base_open_files(struct mf_base *b, struct mf_err *err);

/* The same of a GGUF file: keys, then tensors. */
int base_read_keys(struct mf_base *b, size_t context, struct mf_err *err);
int base_find_tensors(struct mf_base *b, struct mf_err *err);

/* The next bytes of tensor i of a GGUF file, as the bundle stores them, from the beginning of row `first` on,
 * into `buffer` [BASE_BLOCK or a row]; `raw`, of the same size, is for stored ones. Returns their number in
 * *size. */
int base_gguf_rows(const struct mf_base *b, size_t i, size_t first, void *buffer, void *raw, size_t *size,
                   struct mf_err *err);

/* The context that the bundle states: what is asked for, or (0) the base's, at most MF_BASE_CONTEXT. Refuses
 * one that is longer than `max`. */
int base_context(struct mf_base *b, size_t asked, int64_t max, struct mf_err *err);

/* Refuses a base, by what it has: EX_DATAERR, "PATH: WHAT". */
int base_refuse(const struct mf_base *b, struct mf_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define base_refuse(...) (base_refuse(__VA_ARGS__), mf_err_failed())

/* Lists the tensors that the bundle has by the shape, all without a place. */
void base_list(struct mf_base *b);

/* EX_DATAERR unless each tensor has a place. */
int base_check_places(const struct mf_base *b, struct mf_err *err);

/* --- the tokenizer --- */

/* A tokenizer.json out of a GGUF file's keys; new bytes, with a zero behind them. */
int base_gguf_words(const struct mf_base *b, unsigned char **bytes, size_t *size, struct mf_err *err);

#define BASE_BLOCK ((size_t)1 << 20)  /* bytes that are handled at once, or one row */
#define BASE_JSON  ((size_t)16 << 20) /* the largest file of settings */

#endif
