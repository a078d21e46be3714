/* Continuing a prompt, token by token. */
#ifndef MF_EVAL_GENERATE_H
#define MF_EVAL_GENERATE_H

#include "base/strings.h"
#include "eval/sampler.h"
#include "model/moe.h"
#include "text/tokenizer.h"

enum mf_generate_end { MF_END_LENGTH, MF_END_EOS, MF_END_STOP, MF_END_HALTED };

struct mf_generate_options {
    struct mf_sampling sampling;
    size_t max_tokens;           /* new ones at most */
    const struct mf_strs *stops; /* texts that end the continuation and are not part of it, or NULL */
    bool experts;                /* note the top expert of every token */
    void *context;
    bool (*halted)(void *context); /* asked before each token: true ends the text; may be NULL */
    /* Called with the settled text of the continuation, whole UTF-8 characters; may be NULL. */
    int (*text)(void *context, const char *bytes, size_t size, struct mf_err *err);
};

/* One continuation; release with mf_generated_clear. */
struct mf_generated {
    struct mf_ids ids; /* BOS, the prompt's tokens, the new tokens (EOS too when it came) */
    size_t n_begin;    /* of them before the prompt: 1 for BOS, 0 where the model has none */
    size_t n_prompt;   /* of them before the first new one, BOS included */
    char *text;        /* the continuation, valid UTF-8; `size` bytes */
    size_t size;
    enum mf_generate_end end;
    bool slid; /* the context was full and the older half was forgotten */
    /* As many as ids, or none without options->experts: where token i was fed, the expert with the highest
     * weight summed over layers; UINT32_MAX else. */
    struct mf_ids experts;
};

struct mf_generator;

/* Memory for one sequence at a time; borrows the model, a work for at least S rows, and the tokenizer. */
int mf_generator_new(struct mf_generator **generator, struct mf_moe *moe, struct mf_moe_work *work,
                     const struct mf_tokenizer *tokenizer, struct mf_err *err);
void mf_generator_free(struct mf_generator *generator); /* accepts NULL */
size_t mf_generator_memory(const struct mf_moe *moe);   /* bytes of one, with its cache and encoder */

/* Continues `prompt` [size] (may be empty; any bytes) with random numbers that follow from `key` alone. Ends
 * at EOS, at a stop text, after max_tokens or when halted. What the model never predicts (text/specials.h)
 * and <unk> are not drawn. A model without BOS begins with the prompt, and an empty one with EOS; EX_DATAERR
 * where there is none either. When the context S is full, the model goes on from the last S / 2 tokens. The
 * penalty looks at the last S tokens. EX_IOERR; EX_SOFTWARE when the logits are not numbers; whatever `text`
 * returns. On failure nothing is to be cleared.
 */
int mf_generate(struct mf_generator *generator, const char *prompt, size_t size, uint64_t key,
                const struct mf_generate_options *options, struct mf_generated *result, struct mf_err *err);
void mf_generated_clear(struct mf_generated *result);

#endif
