/* Gradients of an assembled model's routers: gates and noise weights; everything else is frozen.
 *
 * One expert's layer is in memory at a time, forward and backward. Of the forward pass only the residual
 * stream before each half of a layer is kept, in a scratch file; the rest is made again on the way back. */
#ifndef MF_MODEL_MOE_TRAIN_H
#define MF_MODEL_MOE_TRAIN_H

#include "model/moe.h"

/* A batch, and what is asked of it. */
struct mf_moe_batch {
    const uint32_t *tokens, *targets; /* [N] each below V; a target LOSS_IGNORE: none */
    struct seqs seqs;                 /* each at most S rows */
    const float *token_scores;        /* [N,E] or NULL (zeros) */
    double scale;                     /* of the sum of losses in the objective */
    double balance; /* of E * sum_e f_e P_e, in each layer: f_e the share of the slots that expert e gets, P_e
                       the mean of its softmax over all logits (Fedus et al. 2021, eq. 4-6) */
    bool noisy;     /* adds normal noise to the logits, of deviation softplus(noise_weight h) (Shazeer et al.
                       2017, eq. 4) */
    uint64_t key;   /* the noise is a function of it */
};

/* Gradients, or what the optimizer keeps of them: of each layer's gate [E,D], then of its noise weights
 * [E,D]. */
size_t mf_moe_routers_size(const struct mf_moe *moe); /* floats */

/* Working memory for the passes: at most `max_rows` rows, no more than `work` (borrowed) has room for.
 * EX_OSERR; EX_CANTCREAT: no scratch file. */
struct mf_moe_tape;
int mf_moe_tape_new(struct mf_moe_tape **tape, const struct mf_moe *moe, struct mf_moe_work *work,
                    size_t max_rows, struct mf_err *err);
size_t mf_moe_tape_memory(const struct mf_moe *moe, size_t max_rows); /* its bytes */
void mf_moe_tape_free(struct mf_moe_tape *tape);                      /* accepts NULL */

/* ADDS the gradient of the objective to `gradient` [mf_moe_routers_size]. *loss: the sum of the losses in
 * nats; *balance: the sum over layers of E * sum_e f_e P_e. The model must have a router, and its noise is
 * part of both. EX_DATAERR: a token is not below V; EX_IOERR. */
int mf_moe_backward(struct mf_moe *moe, struct mf_moe_tape *tape, const struct mf_moe_batch *batch,
                    float *gradient, double *loss, double *balance, struct mf_err *err);

#endif
