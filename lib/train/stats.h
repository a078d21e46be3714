/* What an expert sees: mean and mean square of the plain-normalised rows at every norm, over its own
 * documents. */
#ifndef MF_TRAIN_STATS_H
#define MF_TRAIN_STATS_H

#include "io/stream.h"
#include "model/lm.h"
#include "train/data.h"

#define MF_STATS_ROWS ((uint64_t)32768) /* rows looked at, evenly spread over the data */

struct mf_stats {
    struct mf_shape shape;
    size_t sites; /* 2L + 1, numbered as in mf_norm_hook */
    uint64_t rows;
    float *mean, *square; /* [sites,D] */
    double *sums;         /* [2,sites,D] */
};

/* Runs the model, as it was trained by `trained`, over its data. Freed by mf_stats_free, also after a
 * failure. */
int mf_stats_gather(struct mf_stats *stats, const struct mf_shape *shape, const struct mf_lm_plan *trained,
                    const struct mf_lm_weights *weights, const struct mf_data *data, struct mf_pool *pool,
                    struct mf_err *err);
void mf_stats_free(struct mf_stats *stats);

/* The tensors stats.SITE.mean and stats.SITE.square of a bundle; returns their number (NULL: only counts).
 * Sites are called attn_in.i, ffn_in.i, out_in. */
size_t mf_stats_tensors(const struct mf_stats *stats, struct mf_tensor *tensors);

/* Writes the FFNs' sites as a stream of kind stats. */
int mf_stats_write(const struct mf_stats *stats, const char *path, struct mf_err *err);

#endif
