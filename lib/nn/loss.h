/* Cross entropy of logits against target tokens, forward and gradient. */
#ifndef MF_NN_LOSS_H
#define MF_NN_LOSS_H

#include <stdint.h>
#include "nn/seqs.h"

#define LOSS_IGNORE 0u /* PAD: no loss, no gradient */

/* losses[n] = log sum_v exp(logits[n,v]) - logits[n,targets[n]] in nats; 0 where targets[n] is PAD.
 *   losses [N] out, logits [N,V] in, targets [N] in (below V) */
void cross_entropy_forward(struct mf_pool *pool, double *losses, const float *logits, const uint32_t *targets,
                           size_t N, size_t V);

/* As above, and turns `logits` into their gradient times `scale`: scale * (softmax(logits) - onehot(target)),
 * zero rows for PAD. */
void cross_entropy_backward(struct mf_pool *pool, double *losses, float *logits, const uint32_t *targets,
                            float scale, size_t N, size_t V);

#endif
