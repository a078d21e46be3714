/* A model to be measured: an assembled mixture of experts, or a shared bundle with its dense FFN or one
 * expert.
 *
 * Small tensors (norms, biases, gates, token token_scores) stay in memory and may be changed by calibration;
 * large ones (qkv, out_proj, fc1, fc2, rows of the embedding) are read from the file when needed and kept in
 * a cache of bounded size, least recently used first out. Nothing here needs the whole model in memory. */
#ifndef MF_MODEL_MOE_H
#define MF_MODEL_MOE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "model/layer.h"
#include "text/specials.h"

#define MF_BOS_WEIGHT 4096.0 /* where a model does not say another */

/* How a token's experts are chosen (metadata `router`, formats/model.md):
 *   logits_e = score_scale * score_e * f + gate_scale * (gate h)_e;  w = softmax over the top_k largest
 * (ties: lowest index)
 * sum_e is the running sum over the document's tokens so far, this one included, of log P(token |
 * partition e), each step multiplied by `decay` first. Kind `hidden` has score_scale 0 and gate_scale 1;
 * kind `prefix` starts with 1 and 0. Token scores are of one of two forms:
 *   the sum   score_e = sum_e, and f = 1
 *   the mean  score_e = (prior_e + sum_e) / (bos_weight + s), and f = layer_scale of the layer / rms of the
 * row that goes into the FFN's norm: what a head of attention makes of a document that begins with BOS. s is
 * the running sum of ones, decayed alike; of family llama only.
 * Attention of experts' own is chosen by the scores alone, with the rms of the row that goes into its norm.
 */
struct mf_router {
    char kind[16];           /* "hidden", "prefix", "single" (one FFN, nothing to choose) */
    size_t n_experts, top_k; /* top_k may be lowered or raised (to at most n_experts) by the caller */
    double score_scale, gate_scale, decay;
    bool over_all;     /* w = softmax over all experts, the chosen ones' kept as they are (metadata weights
                          "all"); not with the mean */
    bool mean;         /* the form (metadata token_scores "mean") */
    double bos_weight; /* above 0 */
    double *layer_scale, *prior; /* [L], [E]; owned by the model; with the sum ones and zeros */
};

/* The small tensors; all writable, owned by the model. A llama has no biases (NULL), and its moe_gain is the
 * backbone's: of kind "single" too, and the experts see what it makes. */
struct mf_moe_layer {
    float *attn_gain, *attn_bias; /* [D] attn_norm */
    float *moe_gain, *moe_bias;   /* [D] of the router's input; of a reference NULL for kind "single" */
    float *gate;                  /* [E,D]; NULL for kind "single" */
    float *noise; /* [E,D] router.noise_weight, used in training only; zero when the file has none */
};

struct mf_moe {
    struct mf_shape shape; /* untied where one expert's own head takes the place of the embedding */
    struct mf_router router;
    struct mf_moe_layer *layers; /* [L] */
    float *out_gain, *out_bias;  /* [D] output_norm */
    float *log_likelihood;       /* [E,V] log P(token | partition), or NULL when the file has none */
    char tokenizer_sha256[65];
    char shared_sha256[65], expert_sha256[65]; /* bundles' names, where it was opened from bundles; else "" */
    struct mf_specials specials;
    char *name;               /* the file, for messages; owned */
    struct mf_moe_file *file; /* the large tensors and their cache; opaque */
};

/* The memory that a model may take. Zeroed: no limit, and of large tensors one at a time. */
struct mf_moe_budget {
    size_t cache;       /* without a limit: bytes of large tensors kept in memory (SIZE_MAX: all) */
    size_t limit;       /* bytes that the whole program may take, of which the cache gets the rest; 0: none */
    size_t windows;     /* of the context that run at once; under a limit lowered until they fit */
    size_t min_windows; /* ... but not below this */
    struct mf_pool *pool; /* under a limit: the threads that will run the model */
    /* Under a limit: bytes that the caller takes beside the model and its working memory, with so many
     * windows at once; may be NULL. `moe` has its shape and router, but no tensors yet. */
    size_t (*beside)(const void *context, const struct mf_moe *moe, size_t windows);
    const void *context;
};

/* Opens `path`: a model (safetensors) or a shared bundle (tar; then `expert` is NULL for its dense FFN or an
 * expert bundle). EX_NOINPUT; EX_DATAERR: not such a file, a tensor missing or misshapen, metadata malformed,
 * expert of another shared bundle; EX_CONFIG: the budget's limit is below the least, which is named. */
int mf_moe_open(struct mf_moe **moe, const char *path, const char *expert, struct mf_moe_budget *budget,
                struct mf_err *err);
void mf_moe_close(struct mf_moe *moe); /* accepts NULL */

/* The file of an assembled model, still open; borrowed. NULL for bundles. */
const struct mf_safetensors *mf_moe_model(const struct mf_moe *moe);

/* Have some of its experts heads of their own, or attention of their own? */
bool mf_moe_has_heads(const struct mf_moe *moe);
bool mf_moe_has_attention(const struct mf_moe *moe);

/* All its tensors; borrowed. */
const struct mf_weights *mf_moe_weights(const struct mf_moe *moe);

/* Runs over one document in order: state [E+1] has sum_e and s so far (zeros before the first token), and
 * token_scores [n,E] becomes score_e at each token, up to a constant of the row. BOS is passed over, with the
 * sum PAD too; with the mean PAD is a token that says nothing. With no log_likelihood every sum is 0. */
void mf_moe_token_scores(const struct mf_moe *moe, double *state, const uint32_t *tokens, size_t n,
                         float *token_scores);

/* What a forward pass lets the caller see and change; any may be NULL. */
struct mf_moe_hooks {
    void *context;
    /* After routing in a layer: the chosen experts [N,top_k], highest weight first, their weights [N,top_k],
     * and the router's input h [N,D]. */
    void (*routed)(void *context, size_t layer, const uint32_t *experts, const float *weights, const float *h,
                   size_t N);
    mf_norm_hook *normalised; /* the sites of FFNs: moe_gain */
    /* Overrides the choice: fill experts and weights [N,top_k] for this layer yourself (oracle routing);
     * where experts have attention of their own, once for it and once for the FFNs. */
    void (*route)(void *context, size_t layer, uint32_t *experts, float *weights, size_t N);
};

/* Working memory for at most N rows in sequences of at most S rows; sized here, reused by every call. */
struct mf_moe_work;
int mf_moe_work_new(struct mf_moe_work **work, const struct mf_moe *moe, size_t max_rows,
                    struct products products, struct mf_err *err);
size_t mf_moe_work_memory(const struct mf_moe *moe, size_t max_rows, struct mf_pool *pool); /* its bytes */
void mf_moe_work_free(struct mf_moe_work *work);                                            /* accepts NULL */

/* For the hooks: [N] 1 / rms of the rows that went into the last FFN's norm (of a LayerNorm 1 / deviation).
 */
const float *mf_moe_work_rstd(const struct mf_moe_work *work);

/* The hidden rows after the last layer and the output norm: *hidden [N,D], borrowed from `work` until its
 * next use. tokens [N] (EX_DATAERR when one is not below V), seqs (each at most S rows), token_scores [N,E]
 * or NULL (zeros). EX_IOERR when the file cannot be read any more. */
int mf_moe_forward(struct mf_moe *moe, struct mf_moe_work *work, const uint32_t *tokens,
                   const struct seqs *seqs, const float *token_scores, const struct mf_moe_hooks *hooks,
                   const float **hidden, struct mf_err *err);

/* Cross entropy of the next token for each row, in nats: losses [N]; 0 where targets[n] is LOSS_IGNORE
 * (nn/loss.h). Logits are made in blocks. `hidden` and N are those of the last pass: where experts have heads
 * of their own its last layer's choice counts. */
int mf_moe_losses(struct mf_moe *moe, struct mf_moe_work *work, const float *hidden, const uint32_t *targets,
                  size_t N, double *losses, struct mf_err *err);

/* Logits [V] of one of its rows. */
int mf_moe_logits(struct mf_moe *moe, struct mf_moe_work *work, const float *hidden, float *logits,
                  struct mf_err *err);

/* Generation: one sequence of up to S tokens, with cached keys and values. */
struct mf_moe_cache;
int mf_moe_cache_new(struct mf_moe_cache **cache, const struct mf_moe *moe, struct mf_err *err);
size_t mf_moe_cache_memory(const struct mf_moe *moe); /* its bytes */
void mf_moe_cache_free(struct mf_moe_cache *cache);
size_t mf_moe_cache_length(const struct mf_moe_cache *cache);
void mf_moe_cache_clear(struct mf_moe_cache *cache); /* what follows is another text */

/* Adds n tokens: to an empty cache any number that it and the work have room for, else one. Gives their
 * hidden rows [n,D] after the output norm. The router's token_scores goes on from the tokens before. `hooks`
 * may be NULL. */
int mf_moe_fill(struct mf_moe *moe, struct mf_moe_work *work, struct mf_moe_cache *cache,
                const uint32_t *tokens, size_t n, const struct mf_moe_hooks *hooks, const float **hidden,
                struct mf_err *err);

/* Tokens before those that will fill an empty cache: all that stays of them is the router's token_scores. */
void mf_moe_skip(const struct mf_moe *moe, struct mf_moe_cache *cache, const uint32_t *tokens, size_t n);

/* Makes room: of the tokens in the cache only the last n stay, which are given once more, in places 0 to n-1.
 * They are routed by the token_scores they were routed by before. */
int mf_moe_slide(struct mf_moe *moe, struct mf_moe_work *work, struct mf_moe_cache *cache,
                 const uint32_t *tokens, size_t n, struct mf_err *err);

#endif
