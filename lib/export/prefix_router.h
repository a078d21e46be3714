/* A prefix router in plain weights (formats/hf.md): tensors of N = D + X columns that compute
 *
 *     scale * layer_scale_l * (prior_e + sum_e) / (bos_weight + s) / rms        (model/moe.h, the mean)
 *
 * as part of an ordinary model. The X columns behind the first D of the residual stream are: one that is 1
 * and one that tells BOS from other tokens; each token's scores for the experts; their weighed mean over the
 * tokens so far, and BOS's weight in it. One more key head (of more experts than it has columns: several) of
 * layer 0 makes the last ones of the others, and every layer's gate reads them. Nothing else reads or writes
 * the columns, and they are so small that they do not change a row's norm. */
#ifndef MF_EXPORT_PREFIX_ROUTER_H
#define MF_EXPORT_PREFIX_ROUTER_H

#include "export/plain.h"
#include "model/moe.h"

struct prefix_router;

/* Of a model whose router has the mean; `embedding` is that matrix among its weights. The model stays the
 * caller's, and has to stay as it is. EX_DATAERR, with the reason: no BOS; a decay that is not above 0; heads
 * whose rotations, and where queries and keys are normed their gains, cannot follow the router over the
 * context. EX_IOERR. */
int prefix_router_new(struct prefix_router **router, const struct mf_moe *model, size_t embedding,
                      struct mf_err *err);
void prefix_router_free(struct prefix_router *router); /* accepts NULL */

/* The model's shape becomes that of the plain tensors. */
void prefix_router_shape(const struct prefix_router *router, struct mf_shape *shape);

/* Rows [first, first + count) of a tensor, which have the model's numbers and zeros behind and below them,
 * become those of the plain tensor: rows [count,columns]. May be called from several threads. */
void prefix_router_rows(const struct prefix_router *router, struct mf_plain_role role, size_t first,
                        size_t count, size_t columns, float *rows);

#endif
