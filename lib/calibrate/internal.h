/* What the steps of a calibration share. */
#ifndef MF_CALIBRATE_INTERNAL_H
#define MF_CALIBRATE_INTERNAL_H

#include "calibrate/calibrate.h"
#include "eval/windows.h"

/* A change must lower the held-out loss by this share of it: less could be rounding. */
#define CALIBRATE_GAIN 1e-5

/* ... and by this many standard errors of the documents' differences. Some thirty changes are tried, and
 * chance alone is beyond two errors once in forty of them, beyond two and a half once in a hundred and sixty.
 */
#define CALIBRATE_ERRORS 2.5

struct calibration {
    struct mf_moe *moe;
    struct mf_moe_work *work;
    struct mf_dataset *dataset;
    struct mf_pool *pool;
    const struct mf_calibrate_options *options;
    uint32_t *labels; /* of the first half's documents with two tokens or more, in order: the expert that
                         should have it */
    size_t n_labels;
    double loss;          /* per token on the held-out half, of the model as it is */
    double *held, *tried; /* [n_held] nats of its documents: of the model as it is, and of the last trial */
    size_t n_held;
    json_t *changes, *notes;
};

/* The model was changed: keeps the change's loss when it is lower, by more than rounding and by more than the
 * standard error of the difference over documents, and says so. The caller undoes it when *kept is false. */
int calibration_try(struct calibration *c, const char *what, bool *kept, struct mf_err *err);
void calibration_note(struct calibration *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs the first half through the model with `hooks`; before each batch `rows` [N] (may be NULL) gets the
 * labels of its rows, for the hooks's callbacks. */
int calibration_run(struct calibration *c, const struct mf_moe_hooks *hooks, uint32_t *rows,
                    struct mf_err *err);

/* --- labels.c --- */

/* Labels the first half's documents: c->labels. */
int calibration_label(struct calibration *c, struct mf_err *err);

/* Fills one row's places [top_k]: all weight on `expert`, the other places with others that weigh nothing. */
void calibration_send(uint32_t *experts, float *weights, size_t expert, size_t top_k, size_t E);

/* --- the steps --- */

int calibration_token_scores(struct calibration *c, struct mf_err *err);
int calibration_gates(struct calibration *c, struct mf_err *err);
int calibration_train(struct calibration *c, struct mf_err *err);
int calibration_norms(struct calibration *c, struct mf_err *err);

/* Parts of the first, where token scores are a mean. The factors of the layers become their rows' mean rms,
 * in units of their mean, which is *rms: then a scale of bos_weight * rms makes the first scores count as a
 * sum's do. The rest is tried after the scale and the decay. */
int calibration_layer_scales(struct calibration *c, double *rms, struct mf_err *err);
int calibration_mean(struct calibration *c, double rms, struct mf_err *err);

/* --- gates in closed form (gates_fit.c) --- */

/* Sums over rows of the router's inputs, for each layer. */
struct calibration_moments {
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

void calibration_moments_begin(struct calibration_moments *m, struct calibration *c);
void calibration_moments_end(struct calibration_moments *m);
size_t calibration_moments_memory(const struct mf_moe *moe, size_t batch); /* bytes, with those of a fit */

/* Sums the layers from `from` to `to`, of the model as it is now. */
int calibration_gather(struct calibration_moments *m, size_t from, size_t to, struct mf_err *err);

/* Fits their gates [L,E,D]: discriminants with the covariance inside the labels (`within`), or by ridge
 * regression. -1, without a message, where the covariance is singular. */
int calibration_fit(const struct calibration_moments *m, size_t from, size_t to, bool within, float *gates);

/* Bytes that calibration_gates, _train and _norms take. */
size_t calibration_gates_memory(const struct mf_moe *moe, size_t batch);
size_t calibration_train_memory(const struct mf_moe *moe, size_t batch, size_t tokens);
size_t calibration_norms_memory(const struct mf_moe *moe, size_t batch);

#endif
