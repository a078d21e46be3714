/* The rule that stretches rotary positions, in files: an object as in Hugging Face's config.json,
 *
 *     {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
 *      "original_max_position_embeddings": 8192}
 *
 * No object, or null, is no rule: a factor of 0. What the numbers mean: nn/rope.h. */
#ifndef MF_MODEL_ROPE_SCALING_H
#define MF_MODEL_ROPE_SCALING_H

#include <jansson.h>
#include "base/err.h"
#include "nn/rope.h"

/* EX_DATAERR naming `name` where a number is not above 0 and up to 1e9, or low_freq_factor is not below
 * high_freq_factor. */
int mf_rope_scaling_check(const struct rope_stretch *stretch, const char *name, struct mf_err *err);

json_t *mf_rope_scaling_json(const struct rope_stretch *stretch);

/* EX_DATAERR also for a rope_type other than llama3. */
int mf_rope_scaling_parse(struct rope_stretch *stretch, const json_t *object, const char *name,
                          struct mf_err *err);

#endif
