/* A language model that can be trained: a trunk and one FFN a layer, forward and backward.
 *
 * This is the model of shared training (trunk and temporary FFN learn) and of an expert's (only the FFN
 * learns; the trunk is frozen: it has no gradient, and nothing is kept for one). Parameters and gradients are
 * flat arrays of model/shape.h and belong to the caller; an mf_lm holds only activations, all allocated up
 * front. */
#ifndef MF_MODEL_LM_H
#define MF_MODEL_LM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "model/shape.h"
#include "nn/seqs.h"

/* Parameters, or their gradients. */
struct mf_lm_weights {
    float *trunk; /* mf_trunk_size floats; as gradients NULL: frozen */
    float *ffn;   /* mf_ffn_size floats */
};

/* Rows to predict: row n has the input tokens[n] and the target targets[n] (PAD: none). */
struct mf_lm_batch {
    const uint32_t *tokens, *targets; /* [N], each below V */
    struct seqs seqs;                 /* each at most S rows */
};

/* Dropout of one pass. The masks are a function of `key` alone. */
struct mf_lm_dropout {
    float p;
    uint64_t key;
};

/* Plain-normalised rows before a norm's gain and bias: site i < L: attn_norm i; L <= i < 2L: the FFN's norm
 * of layer i-L; 2L: output_norm. rows [N,D]. */
typedef void mf_lm_watch(void *context, size_t site, const float *rows, size_t N);

struct mf_lm;

/* Activations for at most max_rows rows in sequences of at most shape->S. `frozen`: the trunk is never
 * trained. EX_OSERR. */
int mf_lm_new(struct mf_lm **lm, const struct mf_shape *shape, size_t max_rows, bool frozen,
              struct mf_pool *pool, struct mf_err *err);
void mf_lm_free(struct mf_lm *lm); /* accepts NULL */
size_t mf_lm_memory(const struct mf_shape *shape, size_t max_rows, bool frozen, int n_threads); /* bytes */

/* The sum of the losses of the batch's targets in nats, without dropout. `watch` may be NULL. */
double mf_lm_loss(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch,
                  mf_lm_watch *watch, void *context);

/* The same with dropout, and ADDS scale * d(sum of losses)/d(parameter) to the gradients. */
double mf_lm_backward(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_weights *grad,
                      const struct mf_lm_batch *batch, struct mf_lm_dropout dropout, float scale);

#endif
