/* The training loop, the same for the shared backbone and for an expert. */
#ifndef MF_TRAIN_TRAINER_H
#define MF_TRAIN_TRAINER_H

#include <jansson.h>
#include "model/lm.h"
#include "train/checkpoint.h"
#include "train/data.h"
#include "train/metrics.h"
#include "train/muon.h"
#include "train/ranks.h"

/* Bytes that a training takes, by what they are for. */
struct mf_train_memory {
    size_t parameters, gradients, optimizer, activations;
    size_t frozen;    /* of the parameters */
    size_t workspace; /* program, libraries, batches, ranks */
    size_t total;
    struct mf_lm_plan plan;
    struct mf_muon_memory muon; /* 0 for AdamW */
    size_t cut_rows;            /* where the whole batch of all ranks is cut: as one process would cut it */
};

/* What a training tells while it runs; each may be NULL. */
struct mf_train_hooks {
    void *context;
    void (*begin)(void *context, int64_t step); /* the loop begins, with `step` steps done before */
    void (*step)(void *context, const struct mf_metrics_record *record);
    void (*skipped)(void *context, const char *text); /* a step was passed over: one line that says why */
};

struct mf_training {
    const struct mf_train_config *config;
    struct mf_shape shape;
    double dropout;
    uint64_t seed;
    /* NULL: this process alone. Each takes config->batch windows of a batch that is as many times as large.
     */
    const struct mf_ranks *ranks;
    bool frozen;                 /* only the FFN learns, */
    bool bf16;                   /* products have operands rounded to bf16 (nn/bf16.h) */
    bool stored_bf16;            /* what is frozen is stored in BF16: it loses nothing when it is held so */
    struct mf_low_rank low_rank; /* with R > 0: or changes of low rank to it */
    bool anchor;                 /* beside the frozen FFN, each at half weight */
    size_t head;                 /* > 0: and a head of this rank (model/expert_head.h) */
    bool attention;              /* and queries and outputs of attention (model/expert_attention.h) */
    int64_t pad;                 /* as in mf_lm_plan */
    /* Initial values in, the best ones out; backbone and FFN in one array unless frozen. */
    struct mf_lm_weights weights;
    /* [count] what learns, one behind the other: the backbone's (unless frozen), the FFN's or the changes',
     * the attention's, the head's. */
    const struct mf_tensor *tensors;
    size_t count;
    const struct mf_data *data, *validation; /* validation may be NULL: then the last weights are the best */
    const json_t *identity;                  /* checkpoint.h */
    const char *checkpoint;                  /* a file, or NULL: none; rank 0 reads and writes it */
    const char *metrics;                     /* a file, or NULL: none; rank 0 writes it */
    bool resume;                             /* go on from the checkpoint if it is there */
    int64_t keep;                            /* older checkpoints */
    int64_t skip_nonfinite;                  /* steps that may be passed over */
    struct mf_train_memory memory;           /* mf_train_plan */
    struct mf_train_hooks hooks;
};

struct mf_training_result {
    struct mf_train_state state;
    double last_loss; /* of the last step done; NaN: no step was done */
    double tokens_per_s;
    int signal; /* not 0: stopped before the end by this signal, after writing a checkpoint */
};

/* Decides how much goes through the model at once; `limit` in bytes, 0: none. EX_CONFIG when no way fits into
 * the limit, with the least that does. */
int mf_train_plan(struct mf_training *training, size_t limit, int n_threads, struct mf_err *err);

/* Trains to the end, or until a signal comes (mf_signals_catch). On return the checkpoint is still there;
 * mf_train_clean removes it. All ranks return alike; the best weights are rank 0's alone. EX_SOFTWARE when
 * the training diverges: the message names the step and where the first non-finite value appeared.
 * EX_DATAERR for a checkpoint of another training, and for ranks of different ones. */
int mf_train(const struct mf_training *training, struct mf_pool *pool, struct mf_training_result *result,
             struct mf_err *err);
void mf_train_clean(const struct mf_training *training);

#endif
