/* A base: a dense model of family llama that others trained, as a Hugging Face folder or a GGUF file
 * (docs/bases.md), and the shared bundle that it becomes.
 *
 * Opening reads and checks all but the numbers; those are copied tensor by tensor, block by block. What the
 * family does not have (experts, other activations, windows of attention ...) is refused by its name. */
#ifndef MF_IMPORT_BASE_H
#define MF_IMPORT_BASE_H

#include <stddef.h>
#include "base/err.h"
#include "io/file.h"
#include "model/shape.h"
#include "text/specials.h"

#define MF_BASE_CONTEXT 2048 /* tokens of the context, at most, where none is asked for */

struct mf_base;

/* Opens a folder or a GGUF file. `context` is what the bundle states; 0: the base's, at most MF_BASE_CONTEXT.
 * EX_NOINPUT; EX_DATAERR: malformed files, a model that is not wholly of family llama, tensors that are
 * missing, too many, twice there or of another shape, a context that is longer than the base's. */
int mf_base_open(struct mf_base **base, const char *path, size_t context, struct mf_err *err);
void mf_base_close(struct mf_base *base); /* accepts NULL */

const struct mf_shape *mf_base_shape(const struct mf_base *base);
const char *mf_base_class(const struct mf_base *base); /* "LlamaForCausalLM", "llama (GGUF)"; borrowed */
size_t mf_base_tensors(const struct mf_base *base);    /* number of the bundle's */

/* EX_USAGE where an output would take the place of one of a folder's files; `as` as for mf_out_check_input.
 */
int mf_base_check_output(const struct mf_base *base, const char *output, const char *as, struct mf_err *err);

/* The tokenizer that goes with a base. */
struct mf_base_tokenizer {
    char sha256[65];
    size_t size; /* of the vocabulary */
    struct mf_specials specials;
};

/* Writes the base's tokenizer.json: what is there, or made from a GGUF file's tokens and merges; with the
 * base's BOS before and its EOS behind a document, unless it puts something there itself. It is loaded to be
 * checked and `tokenizer` says what it is. EX_NOINPUT; EX_DATAERR: none, one that this project does not
 * honour, more tokens than rows of the embedding. */
int mf_base_write_tokenizer(const struct mf_base *base, struct mf_out *out,
                            struct mf_base_tokenizer *tokenizer, struct mf_err *err);

/* Writes the shared bundle. EX_IOERR; EX_DATAERR: a NaN or infinity. */
int mf_base_write(const struct mf_base *base, const struct mf_base_tokenizer *tokenizer, struct mf_out *out,
                  struct mf_err *err);

#endif
