/* Calibration: an assembled model's router and norms are fitted to a sample of documents, in closed form, by
 * trying a few values or, where asked for, by training the gates; the experts stay as they are.
 *
 * The sample is cut in two (mf_dataset_halve). One half is fitted to; on the other each change is measured,
 * and only one that lowers the loss there is kept. So the calibrated model is never worse on documents it was
 * not fitted to. */
#ifndef MF_CALIBRATE_CALIBRATE_H
#define MF_CALIBRATE_CALIBRATE_H

#include <jansson.h>
#include "eval/dataset.h"
#include "config/config.h"
#include "model/moe.h"

struct mf_calibrate_options {
    const struct mf_config *config; /* calibrate.* */
    size_t batch;                   /* windows in one forward pass */
    /* The experts' partitions: partition_of[e] is the number in the documents' field `partition` that belongs
     * to expert e, [E]; NULL: documents are labelled by the expert that predicts them best. */
    const int64_t *partition_of;
    void *context;
    void (*tried)(void *context, const char *what, double loss,
                  bool kept); /* after each trial; may be NULL */
};

/* Changes `moe` in memory (mf_moe_save writes it). `dataset` must be a sample (mf_dataset_sample); `work` has
 * room for batch * S rows. *report: {"calibrated", "loss_before", "loss_after", "changes": [{"what", "loss",
 * "kept"}], "notes": [...]}; new. Where a half of the sample holds nothing to predict, the model stays as it
 * is: "calibrated" is false, the losses are null, and the note says what helps. Errors as for reading and
 * running the model. */
int mf_calibrate(struct mf_moe *moe, struct mf_moe_work *work, struct mf_dataset *dataset,
                 struct mf_pool *pool, const struct mf_calibrate_options *options, json_t **report,
                 struct mf_err *err);

/* Bytes that it takes beside the model, `work` and the sample of documents, which holds `tokens` tokens. */
size_t mf_calibrate_memory(const struct mf_moe *moe, const struct mf_calibrate_options *options,
                           size_t tokens);

#endif
