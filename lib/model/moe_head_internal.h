/* The head of an assembled model (moe_head.c), and those of its experts (moe_heads.c). */
#ifndef MF_MODEL_MOE_HEAD_INTERNAL_H
#define MF_MODEL_MOE_HEAD_INTERNAL_H

#include "model/moe_internal.h"

#define MOE_VOCAB_BLOCK ((size_t)1024) /* tokens whose logits are made together */

/* Tokens [first, first + count) of the vocabulary, and the rows from `row` of the last forward pass on. */
struct moe_head_block {
    size_t first, count, row;
    const float *hidden;       /* [N,D] */
    float *logits;             /* [N,count] */
    float *dhidden, *dweights; /* the way back, from the gradient of logits: [N,D], [N*top_k], added to */
};

/* Rows of the backbone's head: borrowed from the cache, or read into w->rows. */
int moe_head_rows(struct mf_moe *m, struct mf_moe_work *w, size_t first, size_t count, const float **rows,
                  struct mf_err *err);

/* A block's logits of N rows, after moe_heads_begin. */
int moe_head_logits(struct mf_moe *m, struct mf_moe_work *w, const struct moe_head_block *block, size_t N,
                    struct mf_err *err);

/* Where the heads of experts are: in a model's file, or none. EX_DATAERR. */
int moe_heads_list(struct mf_moe *m, const struct mf_safetensors *st, struct mf_err *err);
int moe_heads_find(struct mf_moe *m, struct mf_err *err); /* ... among the weights */

/* Their working memory. */
void moe_heads_layout(struct mf_moe_work *w, const struct mf_moe *m, size_t block, struct mf_arena *a);

/* Which rows [row, row + N) of the last forward pass meet which head, and what the backbone's has of each. */
void moe_heads_begin(const struct mf_moe *m, struct mf_moe_work *w, size_t row, size_t N);

/* Has the backbone's head nothing of any row? Else: rows [N,columns] times what it has. */
bool moe_heads_only(const struct mf_moe *m);
void moe_heads_share(const struct mf_moe *m, const struct mf_moe_work *w, size_t row, float *rows, size_t N,
                     size_t columns);

/* block->logits += the experts' part. */
int moe_heads_add(struct mf_moe *m, struct mf_moe_work *w, const struct moe_head_block *block,
                  struct mf_err *err);

/* After moe_head: gradients of scale * (sum of losses) with heads of experts, dhidden [N,D] of `hidden` and
 * dweights [N*top_k] of the last layer's weights; base [N,D] is scratch. */
int moe_heads_backward(struct mf_moe *m, struct mf_moe_work *w, const float *hidden, const uint32_t *targets,
                       size_t N, float scale, float *dhidden, float *base, float *dweights,
                       struct mf_err *err);

/* As mf_moe_losses; with `mixed` [N,D] also what cross_entropy_input makes the gradient of `hidden` from (no
 * heads of experts). */
int moe_head(struct mf_moe *m, struct mf_moe_work *w, const float *hidden, const uint32_t *targets, size_t N,
             double *losses, float *mixed, struct mf_err *err);

#endif
