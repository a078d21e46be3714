/* What both training programs do around the loop: options, inputs, and the bundle that comes out. */
#ifndef MF_CLI_TRAIN_SESSION_H
#define MF_CLI_TRAIN_SESSION_H

#include "base/arena.h"
#include "cli/options.h"
#include "config/config.h"
#include "io/bundle.h"
#include "model/component.h"
#include "train/trainer.h"

/* Options that both have. */
struct mf_train_options {
    const char *output, *validation, *metrics, *checkpoint;
    bool resume;
    int64_t keep, skip_nonfinite;
    uint64_t max_memory;
};
/* clang-format off */
#define MF_TRAIN_OPTIONS(o) \
    {"output", 'o', MF_OPT_OUTPUT, &(o).output, "FILE", \
     "write the bundle to FILE instead of standard output", 0, 0}, \
    {"validation", 'v', MF_OPT_STRING, &(o).validation, "FILE", \
     "tokens to validate on; the best weights are kept (default: none, the last are)", 0, 0}, \
    {"metrics", 0, MF_OPT_OUTPUT, &(o).metrics, "FILE", \
     "write the metrics stream, which can be followed", 0, 0}, \
    {"checkpoint", 0, MF_OPT_OUTPUT, &(o).checkpoint, "FILE", \
     "where checkpoints go (default: OUTPUT.ckpt); removed when the bundle is written", 0, 0}, \
    {"keep", 0, MF_OPT_INT, &(o).keep, "N", \
     "keep N older checkpoints beside it, as CHECKPOINT.1, CHECKPOINT.2, ... (default: 0)", 0, 1000}, \
    {"skip-nonfinite", 0, MF_OPT_INT, &(o).skip_nonfinite, "N", \
     "skip up to N steps with a non-finite loss or gradient (default: 0)", 0, 1e9}, \
    {"resume", 0, MF_OPT_FLAG, &(o).resume, NULL, "go on from the checkpoint, if there is one", 0, 0}, \
    {"max-memory", 0, MF_OPT_SIZE, &(o).max_memory, "SIZE", \
     "fit the training into SIZE, or refuse before it begins (default: no limit)", 0, 0}
/* clang-format on */

struct mf_train_session {
    const char *program; /* for progress and messages */
    const struct mf_common *common;
    struct mf_progress progress;
    struct mf_config config;
    struct mf_pool *pool;
    struct mf_data data, validation;
    json_t *identity;
    char *checkpoint; /* owned; NULL when there is none */
    struct mf_training training;
    struct mf_arena arena;
    /* All of the backbone's, the FFN's, the changes', and the expert's attention's and head's, with data:
     * first those that are frozen, then those that learn, in one array. */
    struct mf_tensor *tensors;
    size_t n_backbone, n_ffn, n_frozen, n_tensors;
    size_t n_attention, n_head; /* where those of the expert's attention begin, and of its head */
    const struct mf_bundle
        *mapped; /* frozen tensors lie in its file where they can, until it is filled; or NULL */
    struct mf_bundle_map map;
};

/* The shape that a configuration asks for, with a vocabulary of V tokens. EX_DATAERR as mf_shape_check. */
int mf_train_shape(const struct mf_config *config, size_t V, struct mf_shape *shape, struct mf_err *err);

/* Bytes that a training by the configuration plans to take, with validation: the shared one, or with `frozen`
 * an expert's. The shape is that of the bundle in the file `shared`, or where that is NULL the
 * configuration's with the largest vocabulary. Errors of mf_component_open. */
int mf_train_forecast(const struct mf_config *config, bool frozen, const char *shared, int n_threads,
                      size_t *bytes, struct mf_err *err);

/* The checkpoint, which is removed at the end, must not be a file that is read (NULL: none), also where it is
 * named for the output. EX_USAGE. */
int mf_train_check_input(const struct mf_train_options *o, const char *input, struct mf_err *err);

/* Loads config, threads and tokens (`tokens` NULL: standard input; `partition` >= 0 filters the validation),
 * with windows of S tokens (0: the config's). `stage` names the program in the config; `otherwise` is
 * mf_data_load's. EX_DATAERR also where the validation's tokenizer or special tokens are others. */
int mf_train_session_begin(struct mf_train_session *s, const char *stage, const struct mf_common *common,
                           const struct mf_train_options *options, const char *tokens, int64_t partition,
                           size_t S, const struct mf_specials *otherwise, struct mf_err *err);

/* Completes `training`, and decides on its memory (mf_train_plan). shared_hash: of the bundle an
 * expert is trained against, whose backbone is frozen, or NULL. */
int mf_train_session_plan(struct mf_train_session *s, const char *program, const struct mf_common *common,
                          const struct mf_train_options *options, const struct mf_shape *shape,
                          const struct mf_train_config *config, const char *shared_hash, struct mf_err *err);

/* Trains (mf_train), with progress and in the end one line on standard error, unless quiet. */
int mf_train_session_run(struct mf_train_session *s, struct mf_training_result *result, struct mf_err *err);

/* Memory for the planned model, of which it says how much it takes. */
int mf_train_session_model(struct mf_train_session *s, struct mf_err *err);

/* Writes the bundle: `meta` (taken over) beside the fields every component has; then removes the checkpoint.
 */
int mf_train_session_write(struct mf_train_session *s, const char *kind, const char *output, json_t *meta,
                           const struct mf_training_result *result, const struct mf_tensor *tensors,
                           size_t count, struct mf_err *err);

void mf_train_session_end(struct mf_train_session *s); /* of a zeroed one too */

#endif
