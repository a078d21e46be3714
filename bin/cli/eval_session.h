/* What every command of mf-eval begins with: the config, the threads, an opened model and what it is measured
 * on. */
#ifndef MF_CLI_EVAL_SESSION_H
#define MF_CLI_EVAL_SESSION_H

#include <jansson.h>
#include "cli/options.h"
#include "eval/dataset.h"
#include "io/file.h"
#include "config/config.h"
#include "model/moe.h"

/* Memory for large tensors when nothing else is asked for, in bytes: a pass over many rows meets each tensor
 * once, so more would not help. With it, measuring the default model stays under 100 MB. */
#define MF_SESSION_CACHE ((uint64_t)16 << 20)

/* Half of this machine's memory: what generation may keep of a model that is to be fast. */
uint64_t mf_session_half_memory(void);

/* What a command that measures was asked for. */
struct mf_session_request {
    const char *model, *expert, *tokenizer, *output;
    const char *tokens; /* NULL: standard input */
    int64_t batch;      /* windows in one pass; 0: the config's */
    int64_t max_tokens; /* of a sample; 0 or less: all */
    uint64_t seed;      /* of its hashes */
    uint64_t memory;    /* --max-memory; 0: no limit */
    /* Bytes that it takes beside the model, the tokens and the tokenizer. */
    size_t (*beside)(const void *context, const struct mf_moe *moe, size_t windows);
    const void *context;
    bool routed; /* only a model that has a router will do */
};

/* Rows of options for it. */
/* clang-format off */
#define MF_MODEL_OPTION(r, help) {"model", 'm', MF_OPT_STRING, &(r).model, "FILE", help, 0, 0}
#define MF_MODEL_OPTIONS(r) \
    MF_MODEL_OPTION(r, "the model or shared bundle"), \
    {"expert", 'e', MF_OPT_STRING, &(r).expert, "FILE", \
     "an expert bundle, instead of the shared dense FFN", 0, 0}
#define MF_MEMORY_OPTION(r) \
    {"max-memory", 0, MF_OPT_SIZE, &(r).memory, "SIZE", \
     "fit into SIZE, or refuse before it begins (default: keep 16M of weights at a time)", 0, 0}
#define MF_BATCH_OPTION(r) \
    {"batch", 0, MF_OPT_INT, &(r).batch, "N", "windows in one pass (default: eval.batch)", 1, 65536}
/* clang-format on */

struct mf_session {
    struct mf_session_request request;
    struct mf_config config;
    struct mf_pool *pool;
    struct bf16 *bf16; /* with eval.precision */
    size_t batch;      /* windows in one forward pass; under the budget's limit, of the model opened last */
    struct mf_moe_budget
        budget;                 /* of the models to be opened; the caller may set limit, cache and the rest */
    struct mf_moe *moe;         /* the model opened last, or NULL */
    struct mf_moe_work *work;   /* for it: batch * S rows */
    struct mf_dataset *dataset; /* or NULL */
};

/* Takes the operand for the tokens. EX_USAGE: no model, or more than one operand. */
int mf_session_check(struct mf_session *s, const struct mf_strs *operands, struct mf_err *err);

/* Loads the config as `stage` reads it and starts the threads. `batch` 0 takes the config's. The budget is
 * MF_SESSION_CACHE without a limit; under one a single window may run at a time. EX_CONFIG and others as the
 * config's. */
int mf_session_begin(struct mf_session *s, const char *stage, const struct mf_common *common, int64_t batch,
                     struct mf_err *err);

/* Opens a model, closing the one before (model/moe.h), with working memory for `batch` windows of
 * its context. EX_OSERR when there is none. */
int mf_session_model(struct mf_session *s, const char *path, const char *expert, struct mf_err *err);

/* Bytes that loading a tokenizer.json may take; 0 for NULL. */
size_t mf_session_tokenizer_memory(const char *path);

void mf_session_end(struct mf_session *s); /* of a zeroed session too */

/* Opens the tokens stream to measure the session's model on; with max_tokens > 0 a sample of that size. */
int mf_session_source(struct mf_session *s, const char *path, int64_t max_tokens, struct mf_err *err);

/* Opens the request's model, under its limit of memory, and its tokens. The session has begun. A document of
 * more than half a million tokens takes more than the limit counts. EX_DATAERR: no router where one is asked
 * for, said before tokens are read. */
int mf_session_open(struct mf_session *s, struct mf_err *err);

/* Writes `json` (taken over) as text with a line end to `path` (NULL: standard output). */
int mf_session_write(const char *path, json_t *json, struct mf_err *err);

/* What an assembled model's metadata says of its experts: a list, new, or NULL when it says nothing, as of
 * bundles. */
json_t *mf_session_entries(const struct mf_moe *moe);

/* The names of an assembled model's experts, from its metadata: a JSON list of n strings; new. Of other
 * files: their number alone. */
json_t *mf_session_experts(const struct mf_moe *moe);

#endif
