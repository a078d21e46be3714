/* Cross entropy of logits against target tokens, forward and gradient. */
#ifndef MF_NN_LOSS_H
#define MF_NN_LOSS_H

#include <stdint.h>
#include "nn/seqs.h"

#define LOSS_IGNORE UINT32_MAX /* a target that is no token: no loss, no gradient */

/* Cross entropy over the vocabulary in chunks, so that logits never exist whole: what is known of each row so
 * far. With exp(logits) of a chunk times the embedding summed up in `mixed`, the gradient of the head's input
 * follows without a second look at any chunk (the running softmax of Milakov & Gimelshein 2018). */
struct online_softmax {
    float *maximum, *at_target; /* [N], [N] */
    double *sum;                /* [N] of exp(logit - maximum) */
};

/* Takes in `logits` [N,P], those of the tokens v to v+P-1; chunks come in order, from v = 0 on. They become
 * exp(logit - maximum), zero in rows whose target is LOSS_IGNORE.
 *   targets [N] in, mixed [N,D] rescaled to the new maximum (NULL: none; not read at v = 0) */
void cross_entropy_chunk(struct mf_pool *pool, const struct online_softmax *l, float *logits,
                         const uint32_t *targets, size_t v, size_t N, size_t P, float *mixed, size_t D);

/* After the last chunk: logits [N,P] of the tokens v to v+P-1, made again, become their gradient times
 * `scale`: scale * (softmax(logits) - onehot(target)), zero in rows whose target is LOSS_IGNORE. */
void cross_entropy_chunk_backward(struct mf_pool *pool, const struct online_softmax *l, float *logits,
                                  const uint32_t *targets, float scale, size_t v, size_t N, size_t P);

/* losses[n] = log sum_v exp(logits[n,v]) - logits[n,targets[n]] in nats; 0 where targets[n] is LOSS_IGNORE.
 */
void cross_entropy_losses(const struct online_softmax *l, double *losses, const uint32_t *targets, size_t N);

/* mixed [N,D], the sum over all chunks of exp(logit - maximum) embedding[v], becomes the gradient of the
 * head's input times `scale`: scale * sum_v (softmax(logits)[v] - onehot(target)[v]) embedding[v], zero for
 * LOSS_IGNORE.
 *   targets [N] in, rows [N] in: where in `table` [*,D] the targets' embeddings are */
void cross_entropy_input(struct mf_pool *pool, const struct online_softmax *l, float *mixed,
                         const uint32_t *targets, const float *table, const uint32_t *rows, float scale,
                         size_t N, size_t D);

/* Losses of whole rows, whose `logits` [N,V] become their gradient times `scale`:
 * scale * (softmax(logits) - onehot(target)), zero rows for LOSS_IGNORE. */
void cross_entropy_backward(struct mf_pool *pool, double *losses, float *logits, const uint32_t *targets,
                            float scale, size_t N, size_t V);

#endif
