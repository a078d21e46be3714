/* Gates in closed form: from the router's inputs of labelled rows, the linear functions that tell the
 * experts' documents apart.
 *
 * A gate has no intercept, but there is a place for one: adding 1 to every element of h changes nothing for
 * the experts, whose norms take the mean away, and makes the sum of a gate's row its intercept. A fitted
 * layer has that 1 in the bias of its moe_layers.i.ffn_norm. In family llama norms have no bias and experts
 * see what the router sees: there gates have no intercept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"
#include "nn/cholesky.h"
#include "nn/matmul.h"

static size_t triangle(size_t D) {
    return D * (D + 1) / 2;
}

static void add_rows(void *context, size_t layer, const uint32_t *experts, const float *weights,
                     const float *h, size_t N) {
    struct calibration_moments *m = context;
    size_t D = m->D;
    double *scatter = m->scatter + layer * triangle(D);
    (void)experts, (void)weights;
    if (layer < m->from || layer >= m->to) return;
    memset(m->block, 0, D * D * sizeof *m->block);
    matmul_backward_weight(products_fp32(m->c->pool), m->block, h, h, N, D, D);
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j <= i; j++) *scatter++ += (double)m->block[i * D + j];
    for (size_t n = 0; n < N; n++) {
        double *sum = m->sums + (layer * m->E + m->rows[n]) * D;
        for (size_t d = 0; d < D; d++) sum[d] += (double)h[n * D + d];
        if (layer == m->from) m->counts[m->rows[n]]++;
    }
}

int calibration_gather(struct calibration_moments *m, size_t from, size_t to, struct mf_err *err) {
    struct mf_moe_hooks hooks = {.context = m, .routed = add_rows};
    m->from = from;
    m->to = to;
    memset(m->scatter + from * triangle(m->D), 0, (to - from) * triangle(m->D) * sizeof *m->scatter);
    memset(m->sums + from * m->E * m->D, 0, (to - from) * m->E * m->D * sizeof *m->sums);
    memset(m->counts, 0, m->E * sizeof *m->counts);
    return calibration_run(m->c, &hooks, m->rows, err);
}

/* The lower triangle of the covariance inside the labels (`within`) or of all rows, or of the second moments
 * where gates have no intercept, in a [D,D]; their mean [D]. Returns the number of rows. */
static double covariance(const struct calibration_moments *m, size_t layer, bool within, double *a,
                         double *mean) {
    size_t D = m->D, E = m->E;
    double rows = 0;
    const double *scatter = m->scatter + layer * triangle(D), *sums = m->sums + layer * E * D;
    for (size_t e = 0; e < E; e++) rows += (double)m->counts[e];
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j <= i; j++) a[i * D + j] = *scatter++ / rows;
    memset(mean, 0, D * sizeof *mean);
    for (size_t e = 0; e < E; e++)
        for (size_t d = 0; d < D; d++) mean[d] += sums[e * D + d] / rows;
    for (size_t e = 0; within && e < E; e++) {
        const double *sum = sums + e * D, of_all = (double)m->counts[e] * rows;
        for (size_t i = 0; m->counts[e] && i < D; i++)
            for (size_t j = 0; j <= i; j++) a[i * D + j] -= sum[i] * sum[j] / of_all;
    }
    for (size_t i = 0; !within && m->intercept && i < D; i++)
        for (size_t j = 0; j <= i; j++) a[i * D + j] -= mean[i] * mean[j];
    return rows;
}

/* gate_e h + b_e with gate_e = A^-1 (mean_e - mean), b_e = log P(e) - (mean_e + mean) gate_e / 2: the linear
 * discriminant (Fisher 1936; Hastie, Tibshirani, Friedman, eq. 4.10) where A is the covariance inside the
 * labels; with that of all rows, least squares on the labels up to each row's scale. The diagonal gets
 * calibrate.ridge times its mean. The rows of gates [E,D] include the intercept as above. -1 when A is
 * singular. a [D,D], x [2D] are scratch. */
static int layer_gates(const struct calibration_moments *m, size_t layer, bool within, double *a, double *x,
                       float *gates) {
    size_t D = m->D, E = m->E;
    double ridge = m->c->options->config->calibrate.ridge, trace = 0, *mean = x + D;
    double rows = covariance(m, layer, within, a, mean);
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

int calibration_fit(const struct calibration_moments *m, size_t from, size_t to, bool within, float *gates) {
    double *a = calloc(m->D * m->D, sizeof *a), *x = calloc(2 * m->D, sizeof *x);
    if (!a || !x) mf_no_memory();
    int status = 0;
    for (size_t i = from; i < to && status == 0; i++)
        status = layer_gates(m, i, within, a, x, gates + i * m->E * m->D);
    free(a);
    free(x);
    return status;
}

size_t calibration_moments_memory(const struct mf_moe *moe, size_t batch) {
    const struct calibration_moments *m = NULL;
    size_t D = moe->shape.D, E = moe->router.n_experts, L = moe->shape.L;
    return L * triangle(D) * sizeof *m->scatter + L * E * D * sizeof *m->sums + D * D * sizeof *m->block +
           batch * moe->shape.S * sizeof *m->rows + (D * D + 2 * D) * sizeof(double);
}

void calibration_moments_begin(struct calibration_moments *m, struct calibration *c) {
    const struct mf_shape *s = &c->moe->shape;
    *m = (struct calibration_moments){.c = c, .D = s->D, .E = c->moe->router.n_experts, .L = s->L};
    m->intercept = c->moe->layers[0].moe_bias != NULL;
    m->scatter = calloc(m->L * triangle(m->D), sizeof *m->scatter);
    m->sums = calloc(m->L * m->E * m->D, sizeof *m->sums);
    m->counts = calloc(m->E, sizeof *m->counts);
    m->block = calloc(m->D * m->D, sizeof *m->block);
    m->rows = calloc(c->options->batch * s->S, sizeof *m->rows);
    if (!m->scatter || !m->sums || !m->counts || !m->block || !m->rows) mf_no_memory();
}

void calibration_moments_end(struct calibration_moments *m) {
    free(m->scatter);
    free(m->sums);
    free(m->counts);
    free(m->block);
    free(m->rows);
}
