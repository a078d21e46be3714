/* The tensors of a model on disk: large ones read when needed into a cache of bounded size, small ones kept.
 * BF16 and F16 are widened to F32 when they are read. */
#ifndef MF_MODEL_WEIGHTS_H
#define MF_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "io/bundle.h"
#include "io/safetensors.h"
#include "nn/bf16.h"

#define MF_WEIGHTS_KEPT ((size_t)64 << 10) /* tensors of a bundle up to this size always stay in memory */

struct mf_weights;

/* On a model: takes `st` over (closed by mf_weights_free, also when this fails). The cache holds at most
 * `cache_bytes`, or one tensor if that is more; the least recently used goes first. */
int mf_weights_of_model(struct mf_weights **w, struct mf_safetensors *st, size_t cache_bytes,
                        struct mf_err *err);

/* That model; borrowed. NULL for bundles. */
const struct mf_safetensors *mf_weights_model(const struct mf_weights *w);

/* An empty set to which bundles are added: every tensor of theirs is read and checked. What is small or fits
 * into half of `cache_bytes` is kept; the rest goes to a scratch file, with its dtype, and is read from there
 * as from a model. EX_CANTCREAT: no scratch file. */
int mf_weights_new(struct mf_weights **w, const char *name, size_t cache_bytes, struct mf_err *err);
int mf_weights_add_bundle(struct mf_weights *w, struct mf_bundle *bundle, struct mf_err *err);

/* Adds one tensor, whose bytes `read` gives in order. Of two with one name the one added last counts. */
typedef int mf_weights_source(void *from, void *buffer, size_t bytes, struct mf_err *err);
int mf_weights_add(struct mf_weights *w, const struct mf_tensor *tensor, mf_weights_source *read, void *from,
                   struct mf_err *err);

void mf_weights_free(struct mf_weights *w); /* accepts NULL */

/* The bytes of a stored tensor in memory: its numbers are F32 there. */
size_t mf_weights_held_bytes(const struct mf_tensor *tensor);

/* What a tensor of `bytes` takes in the cache. */
size_t mf_weights_cached_bytes(size_t bytes);

/* May `bytes` stay in the cache together? */
bool mf_weights_holds_all(const struct mf_weights *w, size_t bytes);

/* The index of the tensor `name` of exactly this shape (columns 0: a vector). EX_DATAERR: missing, another
 * shape, I64. */
int mf_weights_find(const struct mf_weights *w, const char *name, size_t rows, size_t columns, size_t *index,
                    struct mf_err *err);
bool mf_weights_has(const struct mf_weights *w, const char *name);

/* Was every tensor found by now, but those whose names begin with `but`? One that was not, such as a
 * misspelled one of those that a model may lack, would be left out in silence. EX_DATAERR. */
int mf_weights_check_known(const struct mf_weights *w, const char *but, struct mf_err *err);

/* The numbers of a tensor, borrowed until the next call of this function. EX_IOERR. Not thread-safe. */
int mf_weights_get(struct mf_weights *w, size_t index, const float **data, struct mf_err *err);

/* The same of a matrix (model/tensors.h), which may be in memory. */
struct mf_matrix;
int mf_weights_matrix(const struct mf_matrix *matrix, struct weight *w, struct mf_err *err);

/* Copies floats [first, first + count) of a tensor into `data`, without the cache. */
int mf_weights_read(const struct mf_weights *w, size_t index, size_t first, size_t count, float *data,
                    struct mf_err *err);

#endif
