/* AdamW, the clipping of gradients, and the learning rate's schedule. */
#ifndef MF_TRAIN_OPTIMIZER_H
#define MF_TRAIN_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>
#include "base/pool.h"
#include "io/tensor.h"
#include "config/config.h"

/* The learning rate of step t = 1 .. steps: linear up to config->lr at step `warmup`, then down to min_lr at
 * the last step. MF_COSINE: by half a cosine (Loshchilov and Hutter 2017, eq. 5). MF_WSD, "warmup, stable,
 * decay": steady, and linear over the last 30% of the steps after the warmup (Hägele et al. 2024, "Scaling
 * laws and compute-optimal training beyond fixed training durations", section 3). */
double mf_learning_rate(const struct mf_train_config *config, int64_t step);

/* The global norm of n gradients: a sum in double, in an order fixed by the number of threads. */
double mf_gradient_norm(struct mf_pool *pool, const float *gradient, size_t n);

/* Sets n gradients to 0. */
void mf_gradient_clear(struct mf_pool *pool, float *gradient, size_t n);

/* What a gradient of this norm is multiplied by, so that its norm is at most `clip` (0: any). */
double mf_clip_scale(double clip, double norm);

/* One step of AdamW on all tensors (Loshchilov and Hutter 2019, algorithm 2, as frameworks have it: the decay
 * is multiplied by the learning rate).
 *   tensors         [count]  in, out  their data are the parameters, one behind the other; a tensor of one
 *                                     dimension is not decayed
 *   gradient, m, v  [total]  in; the moments out; in the same order
 *   scale                    in       multiplies the gradient first (clipping)
 *   step                     in       1, 2, ... for the correction of the bias */
void mf_adamw(struct mf_pool *pool, const struct mf_tensor *tensors, size_t count, const float *gradient,
              float *m, float *v, const struct mf_train_config *config, double lr, double scale,
              int64_t step);

#endif
