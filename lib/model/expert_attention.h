/* Attention of an expert's own: the matrices of queries and of outputs, which begin as the backbone's. Keys
 * and values stay the backbone's, so that in a mixture every token's are there for all experts.
 *
 * Its numbers are one flat array: of each layer Wq [A,D], then Wo [D,A], with A = H d. Family llama only. */
#ifndef MF_MODEL_EXPERT_ATTENTION_H
#define MF_MODEL_EXPERT_ATTENTION_H

#include <jansson.h>
#include "model/tensors.h"

#define MF_ATTENTION_TENSORS 2 /* of a layer */

size_t mf_attention_size(const struct mf_shape *shape); /* floats */

/* Fills the tensors of one layer, Wq and Wo, with pointers into the flat array `base` (may be NULL), by the
 * backbone's names; in an assembled model (expert at least 0) `experts.E.` stands before the last part. */
void mf_attention_tensors(const struct mf_shape *shape, size_t layer, int64_t expert, float *base,
                          struct mf_tensor tensors[MF_ATTENTION_TENSORS]);

/* Those of all layers, [MF_ATTENTION_TENSORS L]; returns their number. */
size_t mf_attention_all_tensors(const struct mf_shape *shape, int64_t expert, float *base,
                                struct mf_tensor *tensors);

/* Is this the name of such a tensor in a bundle? */
bool mf_attention_is(const char *name);

/* A layer's matrices in the flat array `base` take the place of those in its view. */
void mf_attention_layer(const struct mf_shape *shape, float *base, size_t layer,
                        struct mf_backbone_layer *view);

/* As an expert's manifest has it: `attention` "qo", or nothing. EX_DATAERR. */
void mf_attention_put(bool own, json_t *manifest);
int mf_attention_parse(bool *own, const json_t *manifest, const struct mf_shape *shape, const char *name,
                       struct mf_err *err);

#endif
