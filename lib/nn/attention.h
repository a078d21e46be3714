/* Causal multi-head self-attention over packed sequences, forward and backward, without an S x S array.
 *
 * Several heads of queries may share one of keys and values (Ainslie et al. 2023, section 2.2). The forward
 * is split over pairs of a sequence and a query head, the backward over pairs of a sequence and a key head; a
 * pair is one thread's from start to end, so gradients are summed in a fixed order. Blocks of queries meet
 * blocks of keys, and the softmax goes along from block to block (Milakov and Gimelshein 2018), so that no
 * more than a block of scores exists; keys that no query of a block sees are left out. */
#ifndef MF_NN_ATTENTION_H
#define MF_NN_ATTENTION_H

#include "nn/seqs.h"

/* How the columns of a row of queries, keys and values are divided: H heads of queries, then K of keys, then
 * K of values, each `d` columns wide; H is a multiple of K, and query head h meets key head h / (H/K). */
struct heads {
    size_t H, K, d;
};

/* Columns of a row of queries, keys and values: (H + 2K) d. */
static inline size_t heads_columns(struct heads heads) {
    return (heads.H + 2 * heads.K) * heads.d;
}

/* Floats of scratch that both functions need for sequences of at most S rows and heads of d_head columns. */
size_t attention_scratch(int n_threads, size_t S, size_t d_head);

/* out[i, h] = sum over j <= i of softmax_j(q_i . k_j / sqrt(d)) v_j, for each sequence and query head h.
 *   out  [N,H d]        out: head h in columns h*d ..
 *   lse  [N,H]          out: log of the softmax's denominator with the maximum, for the backward; may be NULL
 *   qkv  [N,(H+2K) d]   in
 * Vaswani et al. 2017, eq. 1; block-wise as in Dao et al. 2022, section 3. */
void attention_forward(struct mf_pool *pool, float *out, float *lse, const float *qkv,
                       const struct seqs *seqs, struct heads heads, float *scratch);

/* dqkv [N,(H+2K) d] = gradient of q, k, v. dout [N,H d] in; out and lse from the forward. */
void attention_backward(struct mf_pool *pool, float *dqkv, const float *dout, const float *qkv,
                        const float *out, const float *lse, const struct seqs *seqs, struct heads heads,
                        float *scratch);

/* One new row a sequence against cached keys and values (generation).
 *   out [H d], q [H d]
 *   keys, values  [K,S,d]  the cache, n of its S places filled, the new row's too; a head's are one stream
 *   scratch       [H,n] */
void attention_step(struct mf_pool *pool, float *out, const float *q, const float *keys, const float *values,
                    size_t n, size_t S, struct heads heads, float *scratch);

#endif
