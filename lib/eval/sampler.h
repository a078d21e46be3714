/* Choosing the next token from logits: a pure function of them, the settings and a sequence of random
 * numbers. */
#ifndef MF_EVAL_SAMPLER_H
#define MF_EVAL_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "base/rng.h"

/* Temperatures below this are greedy too: the most likely token's probability would round to 1 anyway. */
#define MF_COLDEST 1e-6

/* The steps, in this order; what is left is drawn by probability.
 *   repetition_penalty  r > 0: the logit of each recent token is divided by r where positive, else
 *                       multiplied (Keskar et al. 2019, section 4.1); 1 changes nothing
 *   temperature         T >= 0: p = softmax(logits / T); below MF_COLDEST the highest logit is taken, the
 *                       lowest id where several are equal, whatever the settings below
 *   top_k               only the k most likely stay (ties: lowest id); 0 or at least V: all
 *   top_p               only the fewest of the most likely whose probabilities reach p stay (Holtzman et
 *                       al. 2020); never less than one; 1 or more: all
 *   min_p               only those with at least min_p times the probability of the most likely stay; 0:
 *                       all; above 1: as 1 */
struct mf_sampling {
    double temperature, top_p, min_p, repetition_penalty;
    uint64_t top_k;
};

/* What the settings are when nothing is asked for: plain sampling at temperature 1. */
struct mf_sampling mf_sampling_default(void);

struct mf_candidate {
    double p;
    uint32_t token;
};

/* Divides or multiplies logits [V] of the distinct tokens in recent [n]. */
void mf_penalise(float *logits, size_t V, const uint32_t *recent, size_t n, double penalty);

/* Draws a token from logits [V], whose penalties are in already. -INFINITY marks what must not be drawn; NaN
 * counts as -INFINITY. `scratch` [V] is overwritten. Returns V when nothing can be drawn. Takes one random
 * number unless greedy. */
uint32_t mf_sample(const struct mf_sampling *s, const float *logits, size_t V, struct mf_rng *rng,
                   struct mf_candidate *scratch);

#endif
