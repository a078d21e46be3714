/* The token_scores of a prefix router: how much it counts, how fast it is forgotten, and what the chosen
 * experts' weights are a softmax over. A few values each, one after the other. */
#include <stdio.h>
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

int calibration_token_scores(struct calibration *c, struct mf_err *err) {
    struct mf_router *r = &c->moe->router;
    if (!c->moe->log_likelihood || r->score_scale == 0) return 0;
    const double scales[] = {0.5, 0.2, 0.1, 0.05, 0.02, 0.01}, decays[] = {0.995, 0.98, 0.95};
    if (try_values(c, "evidence_scale", &r->score_scale, scales, 6, err) < 0) return -1;
    if (try_values(c, "decay", &r->decay, decays, 3, err) < 0) return -1;
    double s = r->score_scale;
    const double near[] = {1.5 * s, 0.7 * s, 3 * s};
    if (try_values(c, "evidence_scale", &r->score_scale, near, 3, err) < 0) return -1;
    bool kept;
    r->over_all = !r->over_all;
    if (calibration_try(c, r->over_all ? "weights over all experts" : "weights over the chosen", &kept, err) <
        0)
        return -1;
    if (!kept) r->over_all = !r->over_all;
    return 0;
}
