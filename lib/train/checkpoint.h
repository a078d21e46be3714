/* Where a training is: parameters, moments and a few numbers, in a bundle of kind checkpoint. */
#ifndef MF_TRAIN_CHECKPOINT_H
#define MF_TRAIN_CHECKPOINT_H

#include <jansson.h>
#include "base/err.h"
#include "io/tensor.h"

struct mf_train_state {
    int64_t step;      /* steps done */
    int64_t best_step; /* with the lowest validation loss so far; -1: none yet */
    double best_loss;  /* its loss */
    double first_loss; /* validation loss before the first step; NaN: not measured */
    int64_t skipped;   /* steps whose loss or gradient was not finite */
};

/* A tensor's moments, as large as it is; v is NULL where its optimizer keeps one only. */
struct mf_moments {
    float *m, *v;
};

/* The trained parameters with the optimizer's moments. */
struct mf_train_arrays {
    const struct mf_tensor *tensors; /* [count] */
    size_t count;
    const struct mf_moments *moments; /* [count]; NULL where only the parameters are kept (the best so far) */
};

/* Writes a checkpoint, atomically. `identity` says of which training: settings, data, tokenizer. `keep` older
 * ones stay beside it as PATH.1 (the last before it), PATH.2, ... */
int mf_checkpoint_write(const char *path, int64_t keep, const json_t *identity,
                        const struct mf_train_state *state, const struct mf_train_arrays *arrays,
                        struct mf_err *err);
void mf_checkpoint_remove(const char *path, int64_t keep);

/* Removes the file PATH + SUFFIX, if it is there. Takes no memory: the training is done and its bundle has
 * its name, so nothing may fail any more. */
void mf_checkpoint_unlink(const char *path, const char *suffix);

/* The identity of one as JSON, new; NULL where there is none that can be read. */
json_t *mf_checkpoint_identity(const char *path);

/* Reads one. EX_NOINPUT; EX_DATAERR: malformed, or of another training, naming what differs. */
int mf_checkpoint_read(const char *path, const json_t *identity, struct mf_train_state *state,
                       const struct mf_train_arrays *arrays, struct mf_err *err);

#endif
