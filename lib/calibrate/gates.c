/* Which gates are kept: the old ones at other temperatures, those that gates_fit.c fits to all layers at once
 * and then to one after the other; each only where the held-out loss falls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"
#include "nn/vector.h"

/* What the layers had, what was fitted, and what is best so far. */
struct gates {
    struct calibration *c;
    struct calibration_moments *m;
    size_t n, D;           /* E * D */
    float *old, *old_bias; /* [L,E,D], [L,D] */
    float *fitted, *best;  /* [L,E,D] */
    bool *taken;           /* [L] the best of this layer is a fitted one */
    float scale;           /* of the fitted ones that were taken last */
};

static void put_old(struct gates *g, size_t layer) {
    struct mf_moe_layer *l = &g->c->moe->layers[layer];
    memcpy(l->gate, g->old + layer * g->n, g->n * sizeof *l->gate);
    if (l->moe_bias) memcpy(l->moe_bias, g->old_bias + layer * g->D, g->D * sizeof *l->moe_bias);
}

static void put_fitted(struct gates *g, size_t layer, const float *from, float scale) {
    struct mf_moe_layer *l = &g->c->moe->layers[layer];
    for (size_t i = 0; i < g->n; i++) l->gate[i] = scale * from[layer * g->n + i];
    for (size_t d = 0; l->moe_bias && d < g->D; d++) l->moe_bias[d] = g->old_bias[layer * g->D + d] + 1;
}

static void put_best(struct gates *g, size_t layer) {
    if (g->taken[layer])
        put_fitted(g, layer, g->best, 1);
    else
        put_old(g, layer);
}

static void take(struct gates *g, size_t layer) {
    memcpy(g->best + layer * g->n, g->c->moe->layers[layer].gate, g->n * sizeof *g->best);
    g->taken[layer] = true;
}

/* The old gates times a number, which is what a softmax's temperature is: *any when one is better. */
static int try_temperatures(struct gates *g, bool *any, struct mf_err *err) {
    const float scales[] = {0.3f, 0.1f, 3};
    size_t count = g->c->moe->shape.L * g->n;
    float best = 1;
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        char what[64];
        bool kept;
        for (size_t i = 0; i < g->c->moe->shape.L; i++) {
            put_old(g, i);
            vector_scale(g->c->moe->layers[i].gate, scales[s], g->n);
        }
        snprintf(what, sizeof what, "old gates, scale %g", (double)scales[s]);
        if (calibration_try(g->c, what, &kept, err) < 0) return -1;
        if (kept) best = scales[s];
    }
    vector_scale(g->old, best, count);
    for (size_t i = 0; i < g->c->moe->shape.L; i++) put_old(g, i);
    *any = best != 1;
    return 0;
}

/* A way to fit, when calibrate.router asks for it and it can be done. */
struct method {
    const char *name;
    bool within, asked;
};

/* Fits the layers from `from` to `to`; false, with a note, when it cannot be done. */
static bool fit(struct gates *g, size_t from, size_t to, const struct method *method) {
    if (calibration_fit(g->m, from, to, method->within, g->fitted) == 0) return true;
    calibration_note(g->c, "%s gates: the inputs' covariance is singular; raise calibrate.ridge",
                     method->name);
    return false;
}

/* Tries the fitted gates in all layers at once, at several scales. */
static int try_scales(struct gates *g, const char *method, struct mf_err *err) {
    const float scales[] = {1, 0.3f, 2};
    size_t L = g->c->moe->shape.L;
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        char what[64];
        bool kept;
        for (size_t i = 0; i < L; i++) put_fitted(g, i, g->fitted, scales[s]);
        snprintf(what, sizeof what, "%s gates, scale %g", method, (double)scales[s]);
        if (calibration_try(g->c, what, &kept, err) < 0) return -1;
        for (size_t i = 0; kept && i < L; i++) take(g, i);
        if (kept) g->scale = scales[s];
    }
    for (size_t i = 0; i < L; i++) put_best(g, i);
    return 0;
}

/* Tries one layer's fitted gate, or its old one (`fitted` NULL). */
static int try_layer(struct gates *g, size_t layer, const char *fitted, struct mf_err *err) {
    char what[64];
    bool kept;
    if (fitted)
        put_fitted(g, layer, g->fitted, g->scale);
    else
        put_old(g, layer);
    snprintf(what, sizeof what, "layer %zu: %s gate", layer, fitted ? fitted : "old");
    if (calibration_try(g->c, what, &kept, err) < 0) return -1;
    if (kept && fitted)
        take(g, layer);
    else if (kept)
        g->taken[layer] = false;
    put_best(g, layer);
    return 0;
}

/* Layer by layer from the bottom: what is routed in one changes the inputs of those above, so each above a
 * fitted one is fitted anew to the inputs that it has by now. Where a fitted gate does not lower the loss,
 * the old one comes back. */
static int refit(struct gates *g, const struct method methods[2], struct mf_err *err) {
    bool changed = false; /* the inputs */
    for (size_t i = 0; i < g->c->moe->shape.L; i++) {
        if (changed && calibration_gather(g->m, i, i + 1, err) < 0) return -1;
        bool anew = changed || !g->taken[i];
        for (size_t k = 0; k < 2; k++)
            if (anew && methods[k].asked && fit(g, i, i + 1, &methods[k]) &&
                try_layer(g, i, methods[k].name, err) < 0)
                return -1;
        if (g->taken[i] && try_layer(g, i, NULL, err) < 0) return -1;
        changed |= g->taken[i];
    }
    return 0;
}

/* With the gates counting fully; those that did not count before are as good as zero. */
static int try_all(struct gates *g, bool *any, struct mf_err *err) {
    struct mf_router *r = &g->c->moe->router;
    int wanted = g->c->options->config->calibrate.router;
    bool fits = wanted != MF_CALIBRATE_TEMPERATURE;
    struct method methods[2] = {{"discriminant", true, fits && wanted != MF_CALIBRATE_RIDGE},
                                {"ridge", false, fits && wanted != MF_CALIBRATE_DISCRIMINANT}};
    size_t L = g->c->moe->shape.L;
    vector_scale(g->old, (float)r->gate_scale, L * g->n);
    /* one that is chosen alone weighs 1 at any temperature */
    bool tempered = r->gate_scale != 0 && (r->top_k > 1 || r->over_all);
    r->gate_scale = 1;
    if (tempered && try_temperatures(g, any, err) < 0) return -1;
    if (!fits) return 0;
    if (calibration_gather(g->m, 0, L, err) < 0) return -1;
    for (size_t k = 0; k < 2; k++) {
        methods[k].asked = methods[k].asked && fit(g, 0, L, &methods[k]);
        if (methods[k].asked && try_scales(g, methods[k].name, err) < 0) return -1;
    }
    if (refit(g, methods, err) < 0) return -1;
    for (size_t i = 0; i < L; i++) *any |= g->taken[i];
    return 0;
}

static int search(struct calibration *c, struct calibration_moments *m, struct mf_err *err) {
    size_t n = m->E * m->D;
    bool any = false;
    struct gates g = {.c = c, .m = m, .n = n, .D = m->D, .scale = 1};
    double gate_scale = c->moe->router.gate_scale;
    float *memory = calloc(m->L * (4 * n + m->D), sizeof *memory), *given = memory;
    g.taken = calloc(m->L, sizeof *g.taken);
    if (!memory || !g.taken) mf_no_memory();
    g.old = given + m->L * n;
    g.fitted = g.old + m->L * n;
    g.best = g.fitted + m->L * n;
    g.old_bias = g.best + m->L * n;
    for (size_t i = 0; i < m->L; i++) {
        memcpy(given + i * n, c->moe->layers[i].gate, n * sizeof *given);
        memcpy(g.old + i * n, c->moe->layers[i].gate, n * sizeof *given);
        const float *bias = c->moe->layers[i].moe_bias;
        if (bias) memcpy(g.old_bias + i * m->D, bias, m->D * sizeof *given);
    }
    int status = try_all(&g, &any, err);
    if (!any) { /* also the gates that do not count come back */
        for (size_t i = 0; i < m->L; i++) memcpy(c->moe->layers[i].gate, given + i * n, n * sizeof *given);
        c->moe->router.gate_scale = gate_scale;
        bool last = c->options->config->calibrate.router != MF_CALIBRATE_TRAIN;
        calibration_note(
            c, last ? "no other gate lowers the loss: the gates stay as they were"
                    : "no gate in closed form lowers the loss: training begins with what was there");
    }
    free(memory);
    free(g.taken);
    return status;
}

size_t calibration_gates_memory(const struct mf_moe *moe, size_t batch) {
    size_t D = moe->shape.D, E = moe->router.n_experts, L = moe->shape.L;
    return calibration_moments_memory(moe, batch) + L * (4 * E + 1) * D * sizeof(float);
}

int calibration_gates(struct calibration *c, struct mf_err *err) {
    struct calibration_moments m;
    calibration_moments_begin(&m, c);
    int status = search(c, &m, err);
    calibration_moments_end(&m);
    return status;
}
