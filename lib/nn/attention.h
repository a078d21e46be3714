/* Causal multi-head self-attention over packed sequences, forward and backward, without an S x S array.
 *
 * Work is split over (sequence, head) pairs; a pair is one thread's from start to end, so gradients are
 * summed in a fixed order. Query rows go in blocks: the scores of one block against all keys before its end
 * are one product. */
#ifndef MF_NN_ATTENTION_H
#define MF_NN_ATTENTION_H

#include "nn/seqs.h"

/* Floats of scratch that both functions need for sequences of at most S rows and heads of d_head columns. */
size_t attention_scratch(int n_threads, size_t S, size_t d_head);

/* out[i, h] = sum over j <= i of softmax_j(q_i . k_j / sqrt(D/H)) v_j, for each sequence and head h.
 *   out  [N,D]     out
 *   lse  [N,H]     out: log of the softmax's denominator with the maximum, for the backward; may be NULL
 *   qkv  [N,3D]    in: q, then k, then v; head h in columns h*D/H .. of each
 * Vaswani et al. 2017, eq. 1; block-wise as in Dao et al. 2022, section 3. */
void attention_forward(struct mf_pool *pool, float *out, float *lse, const float *qkv,
                       const struct seqs *seqs, size_t D, size_t H, float *scratch);

/* dqkv [N,3D] = gradient of q, k, v. dout [N,D] in; out and lse from the forward. */
void attention_backward(struct mf_pool *pool, float *dqkv, const float *dout, const float *qkv,
                        const float *out, const float *lse, const struct seqs *seqs, size_t D, size_t H,
                        float *scratch);

/* One new row a sequence against cached keys and values (generation).
 *   out [D], q [D]
 *   keys, values  [H,S,D/H]  the cache, n of its S places filled, the new row's too; a head's are one stream
 *   scratch       [H,n] */
void attention_step(struct mf_pool *pool, float *out, const float *q, const float *keys, const float *values,
                    size_t n, size_t S, size_t D, size_t H, float *scratch);

#endif
