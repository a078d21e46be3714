/* A language model that can be trained: a backbone and one FFN a layer, forward and backward.
 *
 * This is the model of shared training (backbone and temporary FFN learn) and of an expert's (the FFN learns,
 * or changes of low rank to it, and maybe attention's queries and outputs and a head; the rest is frozen: it
 * has no gradient, and nothing is kept for one).
 * Parameters and gradients are flat arrays of model/tensors.h and belong to the caller; an mf_lm holds only
 * activations, all allocated up front. */
#ifndef MF_MODEL_LM_H
#define MF_MODEL_LM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "model/expert_attention.h"
#include "model/expert_head.h"
#include "model/layer.h"
#include "model/low_rank.h"
#include "nn/loss.h"

/* Parameters, or their gradients. */
struct mf_lm_weights {
    float *backbone;  /* mf_backbone_size floats; as gradients NULL: frozen */
    float *ffn;       /* mf_ffn_size floats; as gradients with changes NULL: frozen */
    float *changes;   /* with plan.low_rank mf_changes_size floats, else NULL */
    float *head;      /* with plan.head mf_head_size floats, else NULL */
    float *attention; /* with plan.attention mf_attention_size floats, else NULL */
    /* Parameters that are frozen may lie apart, each tensor anywhere: in the place of a `backbone` that is
     * NULL all of mf_backbone_tensors, then in the place of an `ffn` that is NULL, or with plan.anchor for
     * the anchor, all of mf_ffn_tensors.
     * Matrices are F32, or BF16 with plan.narrow; the vectors of a layer are of the same dtype, one behind
     * the other where their matrices would be one (model/tensors.h). */
    const struct mf_tensor *frozen;
};

/* Rows to predict: row n has the input tokens[n] and the target targets[n] (LOSS_IGNORE: none). */
struct mf_lm_batch {
    const uint32_t *tokens, *targets; /* [N], each below V, or LOSS_IGNORE for a target */
    struct seqs seqs;                 /* each at most S rows */
};

/* What is kept between forward and backward. */
struct mf_lm_plan {
    size_t max_rows;  /* of a batch; sequences have at most shape->S of them */
    bool frozen;      /* the backbone is never trained: nothing is kept for its gradients */
    size_t recompute; /* of so many layers, the lowest, fc1's and qkv's products are made again in the
                         backward pass: of all about a sixth more work, and less than half of the memory */
    bool narrow;      /* with frozen: what is frozen is in bf16 */
    int64_t pad;      /* the token whose row of the embedding never learns; -1: none */
    struct mf_low_rank
        low_rank; /* with frozen: of the changes to the FFN that learn while it stays as it is */
    bool anchor;  /* with frozen: each FFN's branch is the mean of its result and of the frozen FFN's */
    size_t head; /* with frozen: the rank of a head of the expert's own (model/expert_head.h), which learns */
    bool attention; /* with frozen: an expert's own (model/expert_attention.h), which learns */
    bool bf16;      /* products with operands rounded to bf16 (nn/bf16.h) */
};

struct mf_lm;

/* Allocates all activations. EX_OSERR. */
int mf_lm_new(struct mf_lm **lm, const struct mf_shape *shape, const struct mf_lm_plan *plan,
              struct mf_pool *pool, struct mf_err *err);
void mf_lm_free(struct mf_lm *lm); /* accepts NULL */

/* Bytes that mf_lm_new takes, but for those of nn/bf16.h. */
size_t mf_lm_memory(const struct mf_shape *shape, const struct mf_lm_plan *plan, int n_threads);

/* The sum of the losses of the batch's targets in nats, without dropout. */
double mf_lm_loss(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch);

/* Shows the hook the rows of every norm of the same forward, and makes no logits. */
void mf_lm_norms(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch,
                 mf_norm_hook *hook, void *context);

/* The same with dropout (each place has its own masks), and ADDS scale * d(sum of losses)/d(parameter) to the
 * gradients. */
double mf_lm_backward(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_weights *grad,
                      const struct mf_lm_batch *batch, struct dropout dropout, float scale);

#endif
