/* A head of an expert's own. With the backbone's head E [V,D], the logits of a normalised row h are
 *     (E + B A) h   with factors A [R,D] and B [V,R] that the expert learns, or
 *     H h           with a whole matrix H [V,D] that begins as E.
 * Its numbers are one flat array: A, then B; or H. A rank R of D stands for the whole matrix, 0 for none. */
#ifndef MF_MODEL_EXPERT_HEAD_H
#define MF_MODEL_EXPERT_HEAD_H

#include "model/tensors.h"
#include "nn/low_rank.h"

#define MF_HEAD_TENSORS 2 /* at most */

bool mf_head_whole(const struct mf_shape *shape, size_t R);
size_t mf_head_size(const struct mf_shape *shape, size_t R); /* floats */

/* Fills `tensors` [MF_HEAD_TENSORS] in the array's order, with pointers into `base` (may be NULL); returns
 * their number. lm_head.weight, or lm_head.lora_A.weight and lm_head.lora_B.weight; in an assembled model
 * (expert at least 0) with `experts.E.` before the last part. */
size_t mf_head_tensors(const struct mf_shape *shape, size_t R, int64_t expert, float *base,
                       struct mf_tensor tensors[MF_HEAD_TENSORS]);

/* Is this the name of such a tensor in a bundle? */
bool mf_head_is(const char *name);

/* The change B A of the factors in `head`; R 0 where there are none. */
struct low_rank mf_head_change(const struct mf_shape *shape, size_t R, float *head);

/* A is N(0, 1/D) and B zero: at first nothing is changed. */
void mf_head_init(const struct mf_shape *shape, size_t R, float *head, uint64_t seed);

/* As an expert's manifest has it, `head`: the rank; without one it is 0. EX_DATAERR. */
void mf_head_put(size_t R, json_t *manifest);
int mf_head_parse(size_t *R, const json_t *manifest, const struct mf_shape *shape, const char *name,
                  struct mf_err *err);

#endif
