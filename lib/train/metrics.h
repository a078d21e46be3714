/* The metrics stream of a training, written while it runs so that others can follow it. */
#ifndef MF_TRAIN_METRICS_H
#define MF_TRAIN_METRICS_H

#include <stdint.h>
#include "base/err.h"

struct mf_metrics_record {
    int64_t step;
    double loss, lr, grad_norm;
    double val_loss; /* NaN: no validation in this step */
    double tokens_per_s;
};

struct mf_metrics;

/* Starts the stream; the records of an older one in the same place up to `keep_until` (0: none) come first,
 * so that after a resume each step is there once. EX_CANTCREAT. */
int mf_metrics_open(struct mf_metrics **metrics, const char *path, int64_t keep_until, struct mf_err *err);

/* Appends a record and hands it to the system. */
int mf_metrics_add(struct mf_metrics *metrics, const struct mf_metrics_record *record, struct mf_err *err);

/* Ends the stream with its trailer. Frees. */
int mf_metrics_finish(struct mf_metrics *metrics, struct mf_err *err);
void mf_metrics_drop(struct mf_metrics *metrics); /* leaves it unfinished; accepts NULL */

#endif
