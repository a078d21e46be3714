/* Attention whose products are in bf16 (nn/bf16.h), for sequences whose lengths are multiples of 64. */
#ifndef MF_NN_ATTENTION_BF16_H
#define MF_NN_ATTENTION_BF16_H

#include "nn/attention.h"
#include "nn/bf16.h"

/* Have all sequences a length that it is made for? Not without `b`. */
bool attention_bf16_takes(const struct bf16 *b, const struct seqs *seqs, struct heads heads);

/* As attention_forward and attention_backward. */
void attention_bf16_forward(struct bf16 *b, struct mf_pool *pool, float *out, float *lse, const float *qkv,
                            const struct seqs *seqs, struct heads heads);
void attention_bf16_backward(struct bf16 *b, struct mf_pool *pool, float *dqkv, const float *dout,
                             const float *qkv, const float *out, const float *lse, const struct seqs *seqs,
                             struct heads heads);

#endif
