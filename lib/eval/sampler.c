/* Temperature, top-k, top-p, min-p and the repetition penalty. */
#include "eval/sampler.h"

#include <math.h>
#include <stdlib.h>

struct mf_sampling mf_sampling_default(void) {
    return (struct mf_sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

void mf_penalise(float *logits, size_t V, const uint32_t *recent, size_t n, double penalty) {
    if (penalty == 1) return;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < i && recent[j] != recent[i]) j++; /* once for each token, however often it came */
        if (j < i || recent[i] >= V) continue;
        float *logit = &logits[recent[i]];
        *logit = (float)(*logit > 0 ? *logit / penalty : *logit * penalty);
    }
}

/* The index of the highest logit, the lowest where several are equal; V when none can be drawn. */
static uint32_t highest(const float *logits, size_t V) {
    size_t best = V;
    for (size_t i = 0; i < V; i++)
        if (logits[i] > -INFINITY && (best == V || logits[i] > logits[best])) best = i;
    return (uint32_t)best;
}

static int likelier(const void *a, const void *b) {
    const struct mf_candidate *x = a, *y = b;
    if (x->p != y->p) return x->p > y->p ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* How many of the candidates, likeliest first, stay. */
static size_t cut(const struct mf_sampling *s, const struct mf_candidate *c, size_t n) {
    if (s->top_k > 0 && s->top_k < n) n = (size_t)s->top_k;
    if (s->top_p < 1) {
        double total = 0, sum = 0;
        for (size_t i = 0; i < n; i++) total += c[i].p;
        size_t kept = 0;
        do sum += c[kept++].p;
        while (kept < n && sum < s->top_p * total);
        n = kept;
    }
    if (s->min_p > 0) {
        double min = (s->min_p < 1 ? s->min_p : 1) * c[0].p;
        while (n > 1 && c[n - 1].p < min) n--;
    }
    return n;
}

uint32_t mf_sample(const struct mf_sampling *s, const float *logits, size_t V, struct mf_rng *rng,
                   struct mf_candidate *scratch) {
    uint32_t best = highest(logits, V);
    if (best == V || s->temperature < MF_COLDEST) return best;
    if (isinf(logits[best])) return best; /* +INFINITY outweighs all */
    size_t n = 0;
    for (size_t i = 0; i < V; i++) { /* relative to the highest: no overflow, and the sum is at least 1 */
        double p = exp(((double)logits[i] - (double)logits[best]) / s->temperature);
        if (p > 0) scratch[n++] = (struct mf_candidate){p, (uint32_t)i};
    }
    if ((s->top_k > 0 && s->top_k < n) || s->top_p < 1 || s->min_p > 0) {
        qsort(scratch, n, sizeof *scratch, likelier);
        n = cut(s, scratch, n);
    }
    double total = 0;
    for (size_t i = 0; i < n; i++) total += scratch[i].p;
    double at = mf_rng_uniform(rng) * total;
    for (size_t i = 0; i + 1 < n; i++) {
        at -= scratch[i].p;
        if (at < 0) return scratch[i].token;
    }
    return scratch[n - 1].token;
}
