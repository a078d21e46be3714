/* The order of things: label, then the token_scores's scale, the gates, their training, the norms; and
 * measuring each change. */
#include "calibrate/calibrate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "calibrate/internal.h"
#include "eval/perplexity.h"
#include "eval/routing.h"
#include "io/utf8.h"

struct measuring {
    struct calibration *c;
    size_t document;
};

static void note_document(void *context, const char *id, size_t id_size, size_t domain,
                          const struct mf_measure *m) {
    struct measuring *measuring = context;
    (void)id, (void)id_size, (void)domain;
    if (measuring->document < measuring->c->n_held) measuring->c->tried[measuring->document++] = m->nats;
}

/* Loss per token on the held-out half, and its documents' in c->tried. */
static int measure(struct calibration *c, double *loss, struct mf_err *err) {
    struct measuring measuring = {c, 0};
    struct mf_perplexity_options o = {
        .batch = c->options->batch, .context = &measuring, .document = note_document};
    struct mf_perplexity p = {0};
    mf_dataset_select(c->dataset, MF_DATASET_OTHER_HALF);
    if (mf_perplexity(c->moe, c->work, c->dataset, &o, &p, err) < 0) return -1;
    *loss = mf_measure_loss(&p.all); /* NaN when nothing is scored */
    mf_perplexity_clear(&p);
    return 0;
}

/* Is the sum of the documents' differences below 0 by more than chance makes it? A change that helps one
 * document and hurts others is chance as likely as not, and of a single document nobody can say. */
static bool is_better(const struct calibration *c) {
    double sum = 0, squares = 0, n = (double)c->n_held;
    for (size_t i = 0; i < c->n_held; i++) {
        double d = c->tried[i] - c->held[i];
        sum += d;
        squares += d * d;
    }
    double error = sqrt(fmax(squares - sum * sum / n, 0) * n / (n - 1));
    return sum < -CALIBRATE_ERRORS * error;
}

int calibration_try(struct calibration *c, const char *what, bool *kept, struct mf_err *err) {
    double loss;
    if (measure(c, &loss, err) < 0) return -1;
    *kept = loss < c->loss * (1 - CALIBRATE_GAIN) && is_better(c);
    json_array_append_new(c->changes, json_pack("{ss,sf,sb}", "what", what, "loss", loss, "kept", *kept));
    if (c->options->tried) c->options->tried(c->options->context, what, loss, *kept);
    if (!*kept) return 0;
    c->loss = loss;
    memcpy(c->held, c->tried, c->n_held * sizeof *c->held);
    return 0;
}

void calibration_note(struct calibration *c, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(c->notes, json_string(text));
}

int calibration_run(struct calibration *c, const struct mf_moe_hooks *hooks, uint32_t *rows,
                    struct mf_err *err) {
    struct mf_windows *windows;
    const struct mf_batch *batch;
    const float *hidden;
    size_t document = 0;
    int got;
    mf_dataset_select(c->dataset, MF_DATASET_HALF);
    if (mf_windows_new(&windows, c->moe, c->dataset, c->options->batch, 0, NULL, err) < 0) return -1;
    while ((got = mf_windows_next(windows, &batch, err)) > 0) {
        for (size_t i = 0; i < batch->seqs.count; i++) {
            for (size_t n = batch->seqs.start[i]; rows && n < batch->seqs.start[i + 1]; n++)
                rows[n] = c->labels[document];
            document += batch->windows[i].last;
        }
        got = mf_moe_forward(c->moe, c->work, batch->tokens, &batch->seqs, batch->token_scores, hooks,
                             &hidden, err);
        if (got < 0) break;
    }
    mf_windows_free(windows);
    return got;
}

/* Experts that got no token of the held-out half. */
static int report_idle(struct calibration *c, struct mf_err *err) {
    struct mf_routing r;
    mf_dataset_select(c->dataset, MF_DATASET_OTHER_HALF);
    if (mf_routing(c->moe, c->work, c->dataset, c->options->batch, &r, err) < 0) return -1;
    for (size_t i = 0; i < r.L; i++)
        for (size_t e = 0; e < r.E; e++)
            if (r.slots[i * r.E + e] == 0)
                calibration_note(c, "layer %zu: expert %zu still gets no token", i, e);
    mf_routing_clear(&r);
    return 0;
}

/* Measures the model as it is, on what is held out. */
static int begin(struct calibration *c, struct mf_err *err) {
    struct mf_token_doc doc;
    mf_dataset_mix(c->dataset, c->moe->shape.S, c->options->config->calibrate.changes);
    mf_dataset_select(c->dataset, MF_DATASET_OTHER_HALF);
    while (mf_dataset_next(c->dataset, &doc, err) > 0) c->n_held += doc.n >= 2;
    c->held = calloc(2 * c->n_held + 1, sizeof *c->held);
    if (!c->held) mf_no_memory();
    c->tried = c->held + c->n_held;
    if (measure(c, &c->loss, err) < 0) return -1;
    memcpy(c->held, c->tried, c->n_held * sizeof *c->held);
    if (c->n_held == 1)
        calibration_note(c,
                         "one document is held out: no change could be told from chance, so none is tried");
    return 0;
}

static int fit(struct calibration *c, struct mf_err *err) {
    const struct mf_config *config = c->options->config;
    if (c->n_held < 2) return report_idle(c, err);
    if (calibration_label(c, err) < 0 || calibration_token_scores(c, err) < 0) return -1;
    if (config->calibrate.router != MF_CALIBRATE_KEEP && calibration_gates(c, err) < 0) return -1;
    if (config->calibrate.router == MF_CALIBRATE_TRAIN && calibration_train(c, err) < 0) return -1;
    if (config->calibrate.norms && calibration_norms(c, err) < 0) return -1;
    return report_idle(c, err);
}

/* Nothing to fit to or to hold out: the model stays as it is. */
static void note_too_little(struct calibration *c, enum mf_dataset_halves halves) {
    calibration_note(
        c,
        "not calibrated: %s: too few tokens to fit to one half and measure on the other; a larger %s helps",
        mf_dataset_name(c->dataset), halves == MF_DATASET_CUT ? "calibrate.max_tokens" : "docs.val_fraction");
}

size_t mf_calibrate_memory(const struct mf_moe *moe, const struct mf_calibrate_options *o, size_t tokens) {
    size_t max = calibration_gates_memory(moe, o->batch), other = calibration_norms_memory(moe, o->batch);
    if (other > max) max = other;
    if (o->config->calibrate.router == MF_CALIBRATE_TRAIN)
        other = calibration_train_memory(moe, o->batch, tokens);
    if (other > max) max = other;
    return max + mf_windows_memory(moe, o->batch) + mf_routing_memory(moe);
}

int mf_calibrate(struct mf_moe *moe, struct mf_moe_work *work, struct mf_dataset *dataset,
                 struct mf_pool *pool, const struct mf_calibrate_options *options, json_t **report,
                 struct mf_err *err) {
    if (options->config->calibrate.router == MF_CALIBRATE_TRAIN && mf_moe_has_attention(moe))
        return mf_err_set(
            err, EX_DATAERR,
            "%s: its experts have attention of their own, through which no gates can be trained "
            "(calibrate.router=best tries others)",
            moe->name);
    struct calibration c = {.moe = moe, .work = work, .dataset = dataset, .pool = pool, .options = options};
    c.changes = json_array();
    c.notes = json_array();
    c.loss = NAN;
    enum mf_dataset_halves halves = mf_dataset_halve(dataset, moe->shape.S);
    int status = halves == MF_DATASET_HALVES ? begin(&c, err) : 0;
    double before = c.loss;
    if (status == 0 && isnan(before)) note_too_little(&c, halves);
    if (status == 0 && !isnan(before)) status = fit(&c, err);
    if (status == 0)
        *report =
            json_pack("{sb,so,so,sO,sO}", "calibrated", !isnan(before), "loss_before", mf_real_json(before),
                      "loss_after", mf_real_json(c.loss), "changes", c.changes, "notes", c.notes);
    json_decref(c.changes);
    json_decref(c.notes);
    free(c.labels);
    free(c.held);
    return status;
}
