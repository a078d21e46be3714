/* The token scores of a prefix router: how much they count, how fast they are forgotten, and what the chosen
 * experts' weights are a softmax over; or what a mean has. A few values each, one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"

/* Tries values of one setting; the best one stays. */
static int try_values(struct calibration *c, const char *name, double *setting, const double *values,
                      size_t count, struct mf_err *err) {
    double best = *setting;
    for (size_t i = 0; i < count; i++) {
        char what[64];
        bool kept;
        if (values[i] == best) continue;
        *setting = values[i];
        snprintf(what, sizeof what, "%s %g", name, values[i]);
        if (calibration_try(c, what, &kept, err) < 0) return -1;
        if (kept) best = values[i];
        *setting = best;
    }
    return 0;
}

static int try_softmax(struct calibration *c, struct mf_err *err) {
    struct mf_router *r = &c->moe->router;
    bool kept;
    r->over_all = !r->over_all;
    if (calibration_try(c, r->over_all ? "weights over all experts" : "weights over the chosen", &kept, err) <
        0)
        return -1;
    if (!kept) r->over_all = !r->over_all;
    return 0;
}

/* Scales are nats of logits for a nat of the token scores' sum, in units of the scale that keeps them so. */
static int try_scales(struct calibration *c, double unit, const double *scales, size_t count,
                      struct mf_err *err) {
    double values[8];
    for (size_t i = 0; i < count; i++) values[i] = unit * scales[i];
    return try_values(c, "evidence_scale", &c->moe->router.score_scale, values, count, err);
}

/* The first scales; of a mean with the factors of layers, which go unless one of the scales is kept. */
static int try_first(struct calibration *c, double *unit, double *rms, struct mf_err *err) {
    static const double scales[] = {0.5, 0.2, 0.1, 0.05, 0.02, 0.01};
    struct mf_router *r = &c->moe->router;
    size_t L = c->moe->shape.L;
    const double loss = c->loss;
    double *before = malloc(L * sizeof *before);
    if (!before) mf_no_memory();
    memcpy(before, r->layer_scale, L * sizeof *before);
    int status = r->mean ? calibration_layer_scales(c, rms, err) : 0;
    if (r->mean) *unit = r->bos_weight * *rms;
    if (status == 0) status = try_scales(c, *unit, scales, sizeof scales / sizeof *scales, err);
    if (c->loss == loss) memcpy(r->layer_scale, before, L * sizeof *before);
    free(before);
    return status;
}

int calibration_token_scores(struct calibration *c, struct mf_err *err) {
    static const double decays[] = {0.95, 0.98, 0.9, 0.995}, near[] = {1.5, 0.7, 3};
    struct mf_router *r = &c->moe->router;
    double unit = 1, rms = 1;
    if (!c->moe->log_likelihood || r->score_scale == 0) return 0;
    if (try_first(c, &unit, &rms, err) < 0) return -1;
    if (try_values(c, "decay", &r->decay, decays, 4, err) < 0) return -1;
    if (try_scales(c, r->score_scale, near, 3, err) < 0) return -1;
    return r->mean ? calibration_mean(c, rms, err) : try_softmax(c, err);
}
