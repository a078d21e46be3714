/* Gates in closed form: from the router's inputs of labelled rows, the linear functions that tell the
 * experts' documents apart.
 *
 * A gate has no intercept, but there is a place for one: adding 1 to every element of h changes nothing for
 * the experts, whose norms take the mean away, and makes the sum of a gate's row its intercept. A fitted
 * layer has that 1 in the bias of its moe_layers.i.ffn_norm. In family llama norms have no bias and experts
 * see what the router sees: there gates have no intercept. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"
#include "nn/cholesky.h"
#include "nn/matmul.h"
#include "nn/vector.h"

/* Sums over rows, for each layer. */
struct moments {
    struct calibration *c;
    size_t D, E, L;
    bool intercept;   /* has a place: the norm's bias */
    size_t from, to;  /* the layers that are summed now */
    double *scatter;  /* [L] lower triangles, row by row, of the sum of h h^T */
    double *sums;     /* [L,E,D] sum of h of each label */
    uint64_t *counts; /* [E] rows of each label */
    float *block;     /* [D,D] of one batch */
    uint32_t *rows;   /* [N] labels of the batch */
};

static size_t triangle(size_t D) {
    return D * (D + 1) / 2;
}

static void add_rows(void *context, size_t layer, const uint32_t *experts, const float *weights,
                     const float *h, size_t N) {
    struct moments *m = context;
    size_t D = m->D;
    double *scatter = m->scatter + layer * triangle(D);
    (void)experts, (void)weights;
    if (layer < m->from || layer >= m->to) return;
    memset(m->block, 0, D * D * sizeof *m->block);
    matmul_backward_weight(m->c->pool, m->block, h, h, N, D, D);
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j <= i; j++) *scatter++ += (double)m->block[i * D + j];
    for (size_t n = 0; n < N; n++) {
        double *sum = m->sums + (layer * m->E + m->rows[n]) * D;
        for (size_t d = 0; d < D; d++) sum[d] += (double)h[n * D + d];
        if (layer == m->from) m->counts[m->rows[n]]++;
    }
}

/* The layers from `from` to `to`, of the model as it is now. */
static int gather(struct moments *m, size_t from, size_t to, struct mf_err *err) {
    struct mf_moe_hooks hooks = {.context = m, .routed = add_rows};
    m->from = from;
    m->to = to;
    memset(m->scatter + from * triangle(m->D), 0, (to - from) * triangle(m->D) * sizeof *m->scatter);
    memset(m->sums + from * m->E * m->D, 0, (to - from) * m->E * m->D * sizeof *m->sums);
    memset(m->counts, 0, m->E * sizeof *m->counts);
    return calibration_run(m->c, &hooks, m->rows, err);
}

/* gate_e h + b_e with gate_e = A^-1 (mean_e - mean), b_e = log P(e) - (mean_e + mean) gate_e / 2: the linear
 * discriminant (Fisher 1936; Hastie, Tibshirani, Friedman, eq. 4.10) where A is the covariance inside the
 * labels (`within`); with the covariance of all rows, least squares on the labels up to each row's scale, or
 * without an intercept, with their second moments. The diagonal gets `ridge` times its mean. The rows of
 * gates [E,D] include the intercept as above. -1 when A is
 * singular. a [D,D], x [2D] are scratch. */
static int layer_gates(const struct moments *m, size_t layer, bool within, double ridge, double *a, double *x,
                       float *gates) {
    size_t D = m->D, E = m->E;
    double rows = 0, trace = 0, *mean = x + D;
    memset(mean, 0, D * sizeof *mean);
    for (size_t e = 0; e < E; e++) rows += (double)m->counts[e];
    const double *scatter = m->scatter + layer * triangle(D);
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j <= i; j++) a[i * D + j] = *scatter++ / rows;
    for (size_t e = 0; e < E; e++)
        for (size_t d = 0; d < D; d++) mean[d] += m->sums[(layer * E + e) * D + d] / rows;
    for (size_t e = 0; e < E; e++) {
        const double *sum = m->sums + (layer * E + e) * D;
        if (!within || m->counts[e] == 0) continue;
        for (size_t i = 0; i < D; i++)
            for (size_t j = 0; j <= i; j++) a[i * D + j] -= sum[i] * sum[j] / ((double)m->counts[e] * rows);
    }
    for (size_t i = 0; !within && m->intercept && i < D; i++)
        for (size_t j = 0; j <= i; j++) a[i * D + j] -= mean[i] * mean[j];
    for (size_t i = 0; i < D; i++) trace += a[i * D + i];
    for (size_t i = 0; i < D; i++) a[i * D + i] += ridge * trace / (double)D + 1e-12;
    if (cholesky_factor(a, D) < 0) return -1;
    for (size_t e = 0; e < E; e++) {
        const double *sum = m->sums + (layer * E + e) * D;
        double n = (double)m->counts[e], intercept = log((n + 0.5) / rows), total = 0;
        for (size_t d = 0; d < D; d++) x[d] = n > 0 ? sum[d] / n - mean[d] : 0;
        cholesky_solve(a, x, D);
        for (size_t d = 0; d < D; d++) {
            if (n > 0) intercept -= x[d] * (sum[d] / n + mean[d]) / 2;
            total += x[d];
        }
        double each = m->intercept ? (intercept - total) / (double)D : 0;
        for (size_t d = 0; d < D; d++) gates[e * D + d] = (float)(x[d] + each);
    }
    return 0;
}

/* What the layers had, what was fitted, and what is best so far. */
struct gates {
    struct calibration *c;
    struct moments *m;
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
    double *a = calloc(g->D * g->D, sizeof *a), *x = calloc(2 * g->D, sizeof *x);
    if (!a || !x) mf_no_memory();
    int status = 0;
    for (size_t i = from; i < to && status == 0; i++)
        status = layer_gates(g->m, i, method->within, g->c->options->config->calibrate.ridge, a, x,
                             g->fitted + i * g->n);
    free(a);
    free(x);
    if (status < 0)
        calibration_note(g->c, "%s gates: the inputs' covariance is singular; raise calibrate.ridge",
                         method->name);
    return status == 0;
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
        if (changed && gather(g->m, i, i + 1, err) < 0) return -1;
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
    if (gather(g->m, 0, L, err) < 0) return -1;
    for (size_t k = 0; k < 2; k++) {
        methods[k].asked = methods[k].asked && fit(g, 0, L, &methods[k]);
        if (methods[k].asked && try_scales(g, methods[k].name, err) < 0) return -1;
    }
    if (refit(g, methods, err) < 0) return -1;
    for (size_t i = 0; i < L; i++) *any |= g->taken[i];
    return 0;
}

static int search(struct calibration *c, struct moments *m, struct mf_err *err) {
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
    const struct moments *m = NULL;
    size_t D = moe->shape.D, E = moe->router.n_experts, L = moe->shape.L;
    size_t sums = L * triangle(D) * sizeof *m->scatter + L * E * D * sizeof *m->sums +
                  D * D * sizeof *m->block + batch * moe->shape.S * sizeof *m->rows;
    size_t solving = (D * D + 2 * D) * sizeof(double), kept = L * (4 * E + 1) * D * sizeof(float);
    return sums + solving + kept;
}

int calibration_gates(struct calibration *c, struct mf_err *err) {
    const struct mf_shape *s = &c->moe->shape;
    struct moments m = {.c = c, .D = s->D, .E = c->moe->router.n_experts, .L = s->L};
    m.intercept = c->moe->layers[0].moe_bias != NULL;
    m.scatter = calloc(m.L * triangle(m.D), sizeof *m.scatter);
    m.sums = calloc(m.L * m.E * m.D, sizeof *m.sums);
    m.counts = calloc(m.E, sizeof *m.counts);
    m.block = calloc(m.D * m.D, sizeof *m.block);
    m.rows = calloc(c->options->batch * s->S, sizeof *m.rows);
    if (!m.scatter || !m.sums || !m.counts || !m.block || !m.rows) mf_no_memory();
    int status = search(c, &m, err);
    free(m.scatter);
    free(m.sums);
    free(m.counts);
    free(m.block);
    free(m.rows);
    return status;
}
