/* What the training loop (trainer.c) shares with its parts: the best parameters (trainer_best.c), what the
 * processes of a training divide and exchange (trainer_ranks.c), and the search for non-finite values
 * (trainer_nonfinite.c). */
#ifndef MF_TRAIN_TRAINER_INTERNAL_H
#define MF_TRAIN_TRAINER_INTERNAL_H

#include "base/arena.h"
#include "train/trainer.h"

struct training_loop {
    const struct mf_training *t;
    struct mf_pool *pool;
    struct mf_lm *lm;
    struct mf_arena arena;
    float *gradient, *m; /* [n] */
    float *v;            /* [n_v] of the tensors that AdamW trains */
    float *muon;         /* scratch */
    size_t n, n_v;
    struct mf_lm_weights gradients; /* views of `gradient` */
    struct mf_moments *moments;     /* [count] */
    struct mf_train_arrays arrays;
    struct mf_window_batch batch, validation; /* this process's windows */
    struct mf_train_state state;
    const char *checkpoint; /* NULL: none, or another process writes it */
    int scratch;            /* the best parameters when there is no checkpoint, or -1 */
    struct mf_metrics *metrics;
    double began;
    uint64_t rows; /* trained on in this run */
};

/* --- trainer_best.c --- */

/* Keeps the parameters in PATH.best or in the scratch file. EX_CANTCREAT, EX_IOERR. */
int training_keep_best(struct training_loop *l, struct mf_err *err);

/* Reads them back. EX_IOERR; EX_DATAERR when the file is of another step. */
int training_take_best(struct training_loop *l, struct mf_err *err);

void training_remove_best(const char *checkpoint);

/* --- trainer_ranks.c: all that depends on how many processes train together --- */

/* Does this process read and write the files of the training? */
bool training_writes(const struct training_loop *l);

/* mf_ranks_agree. */
int training_agree(const struct training_loop *l, int status, struct mf_err *err);

/* The sums over all processes of a few values, and of the gradient. */
void training_sum(const struct training_loop *l, double *values, size_t n);
void training_sum_gradient(const struct training_loop *l);

/* The smallest place, and the signal that any process was sent (0: none). */
int64_t training_first(const struct training_loop *l, int64_t place);
int training_signal(const struct training_loop *l);

/* Makes sure that all processes are of one training, and gives them what the first begins with or read.
 * EX_DATAERR. */
int training_align(struct training_loop *l, struct mf_err *err);

/* Where a process's windows begin in a step's whole batch. */
struct training_place {
    uint64_t slice;
    size_t rows; /* before it in the slice */
};

/* Reads this process's windows: of the validation, once, evenly spread over its data; of a step. EX_IOERR. */
int training_read_validation(struct training_loop *l, struct mf_err *err);
int training_read_step(struct training_loop *l, int64_t step, struct training_place *place,
                       struct mf_err *err);

/* --- trainer_nonfinite.c --- */

/* Names where the first non-finite value is: in what enters a layer's attention or FFN, in what enters the
 * output norm, in a tensor's gradient. */
void training_name_nonfinite(struct training_loop *l, char *text, size_t size);

#endif
