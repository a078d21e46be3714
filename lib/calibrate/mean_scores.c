/* What token scores that are a mean have besides their scale and decay: a factor of each layer, the weight of
 * BOS, a prior. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"

/* --- factors of layers --- */

struct sizes {
    const struct mf_moe_work *work;
    double *sums;  /* [L] of the rows' rms */
    uint64_t rows; /* in each layer */
};

static void add_rows(void *context, size_t layer, const uint32_t *experts, const float *weights,
                     const float *h, size_t N) {
    struct sizes *s = context;
    const float *rstd = mf_moe_work_rstd(s->work);
    (void)experts, (void)weights, (void)h;
    for (size_t n = 0; n < N; n++) s->sums[layer] += 1 / (double)rstd[n];
    if (layer == 0) s->rows += N;
}

int calibration_layer_scales(struct calibration *c, double *rms, struct mf_err *err) {
    size_t L = c->moe->shape.L;
    double *scale = c->moe->router.layer_scale;
    struct sizes sizes = {.work = c->work, .sums = calloc(L, sizeof *sizes.sums)};
    if (!sizes.sums) mf_no_memory();
    struct mf_moe_hooks hooks = {.context = &sizes, .routed = add_rows};
    int status = calibration_run(c, &hooks, NULL, err);
    double total = 0;
    for (size_t i = 0; i < L; i++) total += sizes.sums[i];
    *rms = sizes.rows ? total / (double)L / (double)sizes.rows : 1;
    for (size_t i = 0; i < L && total > 0; i++) scale[i] = sizes.sums[i] * (double)L / total;
    free(sizes.sums);
    return status;
}

/* A layer that looks twice or half as closely. */
static int try_layer(struct calibration *c, size_t layer, struct mf_err *err) {
    double *scale = &c->moe->router.layer_scale[layer], old = *scale;
    bool kept = false;
    for (int half = 0; half < 2 && !kept; half++) {
        char what[64];
        *scale = half ? old / 2 : old * 2;
        snprintf(what, sizeof what, "layer %zu: layer_scale %g", layer, *scale);
        if (calibration_try(c, what, &kept, err) < 0) return -1;
    }
    if (!kept) *scale = old;
    return 0;
}

/* --- BOS and the prior --- */

/* A smaller weight of BOS, and a scale that leaves the first tokens' scores as they are: later ones count
 * less. */
static int try_weights(struct calibration *c, struct mf_err *err) {
    static const double shares[] = {0.25, 0.0625};
    struct mf_router *r = &c->moe->router;
    const double weight = r->bos_weight, scale = r->score_scale;
    double best = 1;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        char what[64];
        bool kept;
        r->bos_weight = shares[i] * weight;
        r->score_scale = shares[i] * scale;
        snprintf(what, sizeof what, "bos_weight %g", r->bos_weight);
        if (calibration_try(c, what, &kept, err) < 0) return -1;
        if (kept) best = shares[i];
    }
    r->bos_weight = best * weight;
    r->score_scale = best * scale;
    return 0;
}

/* log P(partition e), from the labels of the documents, times a number. */
static void set_prior(const struct calibration *c, double times) {
    size_t E = c->moe->router.n_experts;
    double *prior = c->moe->router.prior;
    for (size_t e = 0; e < E; e++) {
        size_t documents = 0;
        for (size_t i = 0; i < c->n_labels; i++) documents += c->labels[i] == e;
        prior[e] = times * log(((double)documents + 0.5) / ((double)c->n_labels + 0.5 * (double)E));
    }
}

/* Of tokens that are taken for independent, and of tokens that say so much less, as the scale has it. */
static int try_priors(struct calibration *c, double unit, struct mf_err *err) {
    struct mf_router *r = &c->moe->router;
    const double times[] = {1, unit / r->score_scale};
    double best = 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char what[64];
        bool kept;
        if (times[i] == best) continue;
        set_prior(c, times[i]);
        snprintf(what, sizeof what, "prior, times %g", times[i]);
        if (calibration_try(c, what, &kept, err) < 0) return -1;
        if (kept) best = times[i];
    }
    if (best != 0)
        set_prior(c, best);
    else
        memset(r->prior, 0, r->n_experts * sizeof *r->prior);
    return 0;
}

int calibration_mean(struct calibration *c, double rms, struct mf_err *err) {
    const struct mf_router *r = &c->moe->router;
    if (try_weights(c, err) < 0 || try_priors(c, r->bos_weight * rms, err) < 0) return -1;
    if (r->top_k == 1) return 0; /* one that is chosen alone weighs 1 at any temperature */
    for (size_t i = 0; i < c->moe->shape.L; i++)
        if (try_layer(c, i, err) < 0) return -1;
    return 0;
}
