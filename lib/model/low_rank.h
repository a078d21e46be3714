/* Experts that are changes of low rank to the matrices of the shared bundle's FFN, which stays as it is: two
 * factors for each matrix, and nothing for vectors. They are a flat array, layer by layer, in the order of
 * the FFN's table. */
#ifndef MF_MODEL_LOW_RANK_H
#define MF_MODEL_LOW_RANK_H

#include "model/tensors.h"
#include "nn/low_rank.h"

struct mf_low_rank {
    size_t R; /* 0: none, experts are whole FFNs */
    double alpha;
};

/* What the product of two factors is multiplied by: alpha / R. */
float mf_low_rank_scale(const struct mf_low_rank *low_rank);

/* An error of this status unless the rank is one that the shape's matrices can have: at most the smaller of D
 * and F. What stands before "rank" and "alpha" in the message says whose they are. */
int mf_low_rank_check(const struct mf_low_rank *low_rank, const struct mf_shape *shape, int status,
                      const char *before, struct mf_err *err);

/* As an expert's manifest has it, `rank` and `alpha`; without a rank it is 0. EX_DATAERR. */
void mf_low_rank_put(const struct mf_low_rank *low_rank, json_t *manifest);
int mf_low_rank_parse(struct mf_low_rank *low_rank, const json_t *manifest, const struct mf_shape *shape,
                      const char *name, struct mf_err *err);

size_t mf_changes_size(const struct mf_shape *shape, size_t R); /* floats */

/* Sets the factors in the view of a layer; a NULL base: to NULL. */
void mf_changes_layer(const struct mf_shape *shape, size_t R, float *base, size_t layer,
                      struct mf_ffn_layer *view);

/* As mf_ffn_tensors. The factors of a matrix NAME.weight are NAME.lora_A.weight [R,I], then
 * NAME.lora_B.weight [O,R], with the names of role MF_FFN_EXPERT. */
size_t mf_changes_tensors(const struct mf_shape *shape, size_t R, float *base, struct mf_tensor *tensors);

/* Every a is N(0, 1/I) and every b zero: at first nothing is changed, and b learns from the first step on. */
void mf_changes_init(const struct mf_shape *shape, size_t R, float *changes, uint64_t seed);

#endif
