/* Top-k gating of rows. */
#include "nn/gate.h"

#include <math.h>
#include "nn/vector.h"

/* The place of the largest logit that is not among the first `k` chosen. */
static uint32_t best_left(const float *logits, size_t E, const uint32_t *chosen, size_t k) {
    uint32_t best = UINT32_MAX;
    float best_logit = -INFINITY;
    for (uint32_t e = 0; e < E; e++) {
        bool taken = false;
        for (size_t j = 0; j < k; j++) taken |= chosen[j] == e;
        if (!taken && (best == UINT32_MAX || logits[e] > best_logit)) {
            best = e;
            best_logit = isnan(logits[e]) ? -INFINITY : logits[e];
        }
    }
    return best;
}

void gate_forward(uint32_t *experts, float *weights, float *logits, size_t E, size_t K, bool over_all) {
    for (size_t k = 0; k < K; k++) experts[k] = best_left(logits, E, experts, k);
    if (over_all) softmax(logits, E);
    for (size_t k = 0; k < K; k++) weights[k] = logits[experts[k]];
    if (!over_all) softmax(weights, K);
}

/* With p = softmax(z):  dz = p * (dp - sum(p dp)). */
void gate_backward(float *dlogits, const float *dweights, const float *dshares, const float *shares,
                   const uint32_t *experts, const float *weights, size_t E, size_t K, bool over_all) {
    double of_all = 0, of_chosen = 0;
    for (size_t e = 0; e < E; e++) of_all += (double)shares[e] * (double)dshares[e];
    for (size_t k = 0; k < K; k++) of_chosen += (double)weights[k] * (double)dweights[k];
    if (over_all) of_all += of_chosen; /* weights are shares, and those not chosen have no gradient */
    for (size_t e = 0; e < E; e++) dlogits[e] = (float)((double)shares[e] * ((double)dshares[e] - of_all));
    for (size_t k = 0; k < K; k++)
        dlogits[experts[k]] +=
            (float)((double)weights[k] * ((double)dweights[k] - (over_all ? 0 : of_chosen)));
}

float softplus_forward(float x) {
    return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
}

float softplus_backward(float x) {
    return x > 0 ? 1 / (1 + expf(-x)) : expf(x) / (1 + expf(x));
}
