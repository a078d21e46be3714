/* Norms by matching moments: each expert was trained on rows as they are when its documents pass through it
 * alone. A norm's gain and bias are changed so that the rows of the assembled model look like that again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"

struct moments {
    size_t D, E, top_k, sites;
    double *sums, *squares; /* [sites,D] */
    uint64_t *rows;         /* [sites] */
    const uint32_t *labels; /* of the batch's rows, for routing them to their own expert */
};

static void add_rows(void *context, size_t site, const float *rows, size_t N) {
    struct moments *m = context;
    double *sum = m->sums + site * m->D, *square = m->squares + site * m->D;
    for (size_t n = 0; n < N; n++)
        for (size_t d = 0; d < m->D; d++) {
            double x = (double)rows[n * m->D + d];
            sum[d] += x;
            square[d] += x * x;
        }
    m->rows[site] += N;
}

static void route_home(void *context, size_t layer, uint32_t *experts, float *weights, size_t N) {
    const struct moments *m = context;
    (void)layer;
    for (size_t n = 0; n < N; n++)
        calibration_send(experts + n * m->top_k, weights + n * m->top_k, m->labels[n], m->top_k, m->E);
}

static int gather(struct calibration *c, struct moments *m, bool home, struct mf_err *err) {
    uint32_t *rows = calloc(c->options->batch * c->moe->shape.S, sizeof *rows);
    m->D = c->moe->shape.D;
    m->E = c->moe->router.n_experts;
    m->top_k = c->moe->router.top_k;
    m->sites = 2 * c->moe->shape.L + 1;
    m->sums = calloc(m->sites * m->D, sizeof *m->sums);
    m->squares = calloc(m->sites * m->D, sizeof *m->squares);
    m->rows = calloc(m->sites, sizeof *m->rows);
    if (!rows || !m->sums || !m->squares || !m->rows) mf_no_memory();
    m->labels = rows;
    struct mf_moe_hooks hooks = {.context = m, .normalised = add_rows, .route = home ? route_home : NULL};
    int status = calibration_run(c, &hooks, rows, err);
    free(rows);
    return status;
}

size_t calibration_norms_memory(const struct mf_moe *moe, size_t batch) {
    const struct moments *m = NULL;
    size_t sites = 2 * moe->shape.L + 1;
    return 2 * sites * moe->shape.D * (sizeof *m->sums + sizeof *m->squares) +
           batch * moe->shape.S * sizeof *m->labels;
}

static void release(struct moments *m) {
    free(m->sums);
    free(m->squares);
    free(m->rows);
}

/* The gain and bias of a site (as in mf_moe_hooks). */
static void parameters(struct mf_moe *moe, size_t site, float **gain, float **bias) {
    size_t L = moe->shape.L;
    *gain = site < L       ? moe->layers[site].attn_gain
            : site < 2 * L ? moe->layers[site - L].moe_gain
                           : moe->out_gain;
    *bias = site < L       ? moe->layers[site].attn_bias
            : site < 2 * L ? moe->layers[site - L].moe_bias
                           : moe->out_bias;
}

/* The root of the variance, or of the mean square where the norm leaves the mean in. */
static double deviation(const struct moments *m, size_t at, double rows, bool centred) {
    double mean = centred ? m->sums[at] / rows : 0;
    return sqrt(fmax(m->squares[at] / rows - mean * mean, 0) + 1e-6);
}

/* With y = gain n + bias: the same gain and bias on rows moved to the wanted mean and deviation; without bias
 * (NULL) the gain alone, to the wanted mean square. */
static void match(const struct moments *is, const struct moments *wanted, size_t site, float *gain,
                  float *bias) {
    for (size_t d = 0; d < is->D; d++) {
        size_t at = site * is->D + d;
        double rows = (double)is->rows[site], wanted_rows = (double)wanted->rows[site];
        double ratio = deviation(wanted, at, wanted_rows, bias) / deviation(is, at, rows, bias);
        double shift = wanted->sums[at] / wanted_rows - ratio * is->sums[at] / rows;
        if (bias) bias[d] = (float)((double)bias[d] + (double)gain[d] * shift);
        gain[d] = (float)((double)gain[d] * ratio);
    }
}

static int try_sites(struct calibration *c, const struct moments *is, const struct moments *wanted,
                     struct mf_err *err) {
    size_t D = is->D, L = c->moe->shape.L;
    float *old = malloc(2 * D * sizeof *old), *gain, *bias;
    if (!old) mf_no_memory();
    int status = 0;
    for (size_t order = 0; order < is->sites && status == 0; order++) {
        /* in the order of the forward pass: attention's norm, the FFN's, layer by layer */
        size_t site = order == 2 * L ? order : order / 2 + (order % 2) * L;
        char what[64];
        bool kept;
        parameters(c->moe, site, &gain, &bias);
        memcpy(old, gain, D * sizeof *old);
        if (bias) memcpy(old + D, bias, D * sizeof *old);
        match(is, wanted, site, gain, bias);
        snprintf(what, sizeof what, "norm of the %s",
                 order == 2 * L ? "output"
                 : site < L     ? "attention"
                                : "experts");
        if (order < 2 * L)
            snprintf(what + strlen(what), sizeof what - strlen(what), ", layer %zu", order / 2);
        status = calibration_try(c, what, &kept, err);
        if (status < 0 || kept) continue;
        memcpy(gain, old, D * sizeof *old);
        if (bias) memcpy(bias, old + D, D * sizeof *old);
    }
    free(old);
    return status;
}

int calibration_norms(struct calibration *c, struct mf_err *err) {
    struct moments is = {0}, wanted = {0};
    int status = gather(c, &is, false, err);
    if (status == 0) status = gather(c, &wanted, true, err);
    if (status == 0) status = try_sites(c, &is, &wanted, err);
    release(&is);
    release(&wanted);
    return status;
}
