/* Which expert should have a document of the first half: its partition's, or the one that predicts it best.
 */
#include <math.h>
#include <stdlib.h>
#include "base/memory.h"
#include "calibrate/internal.h"
#include "eval/perplexity.h"

void calibration_send(uint32_t *experts, float *weights, size_t expert, size_t top_k, size_t E) {
    for (size_t k = 0; k < top_k; k++) {
        experts[k] = (uint32_t)((expert + k) % E);
        weights[k] = k == 0;
    }
}

/* Every row goes to the one expert that is being looked at. */
struct forced {
    size_t expert, top_k, E;
    double *losses; /* [documents] the lowest so far */
    uint32_t *labels;
    size_t document;
};

static void force(void *context, size_t layer, uint32_t *experts, float *weights, size_t N) {
    const struct forced *f = context;
    (void)layer;
    for (size_t n = 0; n < N; n++)
        calibration_send(experts + n * f->top_k, weights + n * f->top_k, f->expert, f->top_k, f->E);
}

static void note_loss(void *context, const char *id, size_t id_size, size_t domain,
                      const struct mf_measure *m) {
    struct forced *f = context;
    (void)id, (void)id_size, (void)domain;
    if (m->nats < f->losses[f->document]) {
        f->losses[f->document] = m->nats;
        f->labels[f->document] = (uint32_t)f->expert;
    }
    f->document++;
}

/* The expert that predicts each document best. */
static int label_by_loss(struct calibration *c, struct mf_err *err) {
    struct forced f = {.top_k = c->moe->router.top_k, .E = c->moe->router.n_experts, .labels = c->labels};
    struct mf_moe_hooks hooks = {.context = &f, .route = force};
    struct mf_perplexity_options o = {
        .batch = c->options->batch, .hooks = &hooks, .context = &f, .document = note_loss};
    struct mf_perplexity p = {0};
    int status = 0;
    f.losses = malloc((c->n_labels + 1) * sizeof *f.losses);
    if (!f.losses) mf_no_memory();
    for (size_t i = 0; i < c->n_labels; i++) f.losses[i] = INFINITY;
    for (f.expert = 0; f.expert < f.E && status == 0; f.expert++) {
        f.document = 0;
        mf_dataset_select(c->dataset, MF_DATASET_HALF);
        status = mf_perplexity(c->moe, c->work, c->dataset, &o, &p, err);
        if (status == 0) mf_perplexity_clear(&p);
    }
    free(f.losses);
    return status;
}

/* Labels from the documents' partitions; false when one of them is no expert's. */
static bool label_by_partition(struct calibration *c, struct mf_err *err) {
    struct mf_token_doc doc;
    size_t n = 0, E = c->moe->router.n_experts;
    mf_dataset_select(c->dataset, MF_DATASET_HALF);
    while (mf_dataset_next(c->dataset, &doc, err) > 0) {
        if (doc.n < 2) continue;
        size_t e = 0;
        while (e < E && (!c->options->partition_of || c->options->partition_of[e] != doc.partition)) e++;
        if (e == E) return false;
        c->labels[n++] = (uint32_t)e;
    }
    return true;
}

int calibration_label(struct calibration *c, struct mf_err *err) {
    struct mf_token_doc doc;
    mf_dataset_select(c->dataset, MF_DATASET_HALF);
    while (mf_dataset_next(c->dataset, &doc, err) > 0) c->n_labels += doc.n >= 2;
    c->labels = calloc(c->n_labels + 1, sizeof *c->labels);
    if (!c->labels) mf_no_memory();
    if (label_by_partition(c, err)) return 0;
    calibration_note(c, "documents are labelled by the expert that predicts them best");
    return label_by_loss(c, err);
}
