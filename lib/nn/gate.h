/* Choosing experts by logits, and weighing them; forward and backward, one row at a time (inside jobs). */
#ifndef MF_NN_GATE_H
#define MF_NN_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* experts [K]: the places of the K largest of logits [E], largest first (ties: the lowest place; NaN counts
 * as least). weights [K]: the softmax over theirs, or with `over_all` over all logits, the chosen ones' as
 * they are. logits are in and out: with `over_all` they become their softmax. Shazeer et al. 2017, eq. 3
 * and 5. */
void gate_forward(uint32_t *experts, float *weights, float *logits, size_t E, size_t K, bool over_all);

/* dlogits [E] out, of dweights [K] and of dshares [E], the gradient of the softmax over all logits, `shares`
 * [E]. weights and experts as gate_forward left them. The choice itself has no gradient. */
void gate_backward(float *dlogits, const float *dweights, const float *dshares, const float *shares,
                   const uint32_t *experts, const float *weights, size_t E, size_t K, bool over_all);

/* log(1 + exp(x)), the deviation of the noise on a logit (Shazeer et al. 2017, eq. 4), and its derivative. */
float softplus_forward(float x);
float softplus_backward(float x);

#endif
