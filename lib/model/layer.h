/* One transformer layer, forward and backward; DESIGN section 5 is this page in words.
 *
 *     x = x + dropout(attention(norm(x)) out^T)                          mf_layer_attention
 *     x = x + sum over the chosen experts of w_e * attention(Q_e h) O_e^T   mf_layer_attention_chosen: of it
 *                                                                        what stands between Q_e h and O_e
 *     x = x + dropout(FFN(norm(x)))                                      mf_layer_ffn
 *     x = x + sum over the chosen experts of w_e * FFN_e(norm_e(h))      mf_layer_expert: one term of it
 *
 * FFN is the dense one, one expert's, or the mean of an expert's and of a frozen one's.
 *
 * All memory and all weights are the caller's: resident (model/lm.c: training), or read from a file one
 * matrix at a time (model/moe.c, model/moe_train.c: a model on disk). Functions fail only where such a read
 * does (EX_IOERR); with resident weights never, and `err` may be NULL. */
#ifndef MF_MODEL_LAYER_H
#define MF_MODEL_LAYER_H

#include "model/tensors.h"
#include "nn/dropout.h"
#include "nn/matmul.h"
#include "nn/seqs.h"

/* Rows [N,D] as a norm made them, before its gain and bias: site i < L: the attention's of layer i;
 * L <= i < 2L: the FFN's of layer i-L; 2L: the output norm's. */
typedef void mf_norm_hook(void *context, size_t site, const float *rows, size_t N);

/* A norm: its rows, what it finds in them ([N], kept for the backward; mean is no RMSNorm's), its parameters.
 */
struct mf_norm {
    const float *x;           /* [N,D] */
    float *mean, *rstd;       /* or NULL */
    const float *gain, *bias; /* [D] */
};

/* Are queries and keys turned by their positions? Else positions are added to the embeddings. */
bool mf_layer_turns(const struct mf_shape *shape);

/* What positions are made of: rows of D floats that are added to the embeddings, or of d cosines and sines.
 */
size_t mf_layer_position_size(const struct mf_shape *shape);
void mf_layer_positions(const struct mf_shape *shape, float *rows, size_t first, size_t count);

/* What a layer works with. N rows go through it, in sequences; an expert takes some of them. A = H d columns
 * of queries, C = (H+2K) d of queries, keys and values; W = max(D, A). */
struct mf_layer {
    const struct mf_shape *shape;
    struct products products;
    const struct seqs *seqs;
    const float *positions; /* [S,..] mf_layer_positions, from position 0 on */
    float *h;               /* [N,W] what a norm made of the rows */
    float *y;               /* [N,D] a branch's result, or the gradient of its input. NULL, for attention
                               forward without dropout: the branch is added to the stream as it is made */
    float *wide;            /* [N,F] hidden units; backward of attention: [N,C] gradient of q, k, v */
    bool recompute;         /* the backward makes the products before attention and activation again */
    float *scratch;         /* attention_scratch(); with a cache [H,S] too */
    float *sums;            /* [n_threads, max(F, 2D, d)] backward; NULL where nothing learns */
    size_t rank;            /* of the changes to an FFN's matrices, or 0; they are multiplied by `change` */
    float change;
    float *low;                        /* [2,N,rank] */
    const struct mf_ffn_layer *anchor; /* a frozen FFN: the branch is the mean of its result and of the
                                          layer's own; or NULL */
    float *anchor_pre;                 /* its mf_ffn_kept.pre, which the backward makes again */
    bool bottom;                       /* backward: own tensors learn at most, below them nothing does */
    mf_norm_hook *hook;                /* or NULL */
    void *context;
};

/* What the forward leaves for the backward, which may read it as long as the caller keeps it. Without a
 * backward mean, rstd and lse may be NULL. */
struct mf_attention_kept {
    float *x, *mean, *rstd; /* [N,D], [N], [N] the rows, and what the norm found */
    float *qkv;             /* [N,C] turned */
    float *mixed, *lse;     /* [N,A], [N,H] as attention_forward leaves them */
    float *qk, *qk_rstd;    /* [N,(H+K) d], [N,H+K] q and k before their norms, and what those found; NULL
                               without such norms or without a backward */
};
struct mf_ffn_kept {
    float *x, *mean, *rstd;
    float *pre; /* [N,F] products before the activation, of a gated FFN [2,N,F]. The backward may
                   change it. Without a backward it may be `wide` */
};

/* Products that a unit of an FFN has before its activation: 1, or 2 where it is gated. */
size_t mf_layer_products(const struct mf_shape *shape);

/* Keys and values of the rows before (generation), of one layer. The rows that come join them: any number
 * when it is empty, else one. */
struct mf_layer_cache {
    float *keys, *values; /* [K,S,d] */
    size_t length, S;     /* rows in it before this call, and at most */
};

/* h = norm(n->x); shown to the hook before gain and bias. Without a gain: as the hook sees it. */
void mf_layer_norm(const struct mf_layer *c, size_t site, const struct mf_norm *n, size_t N);

/* dx [N,D] += the gradient of n->x, of dy [N,D]. ADDS to the gradients dgain and dbias, which may be NULL. */
void mf_layer_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                            float *dbias, const float *dy, size_t N);

/* out [N,D] = k->x + attention of layer `layer`; out may be k->x. cache may be NULL. */
int mf_layer_attention(const struct mf_layer *c, size_t layer, const struct mf_backbone_layer *w,
                       const struct mf_attention_kept *k, const struct mf_layer_cache *cache,
                       struct dropout dropout, float *out, struct mf_err *err);

/* Attention with queries of experts, forward only and where positions turn: `queries` [N,slots,A] are Q_e h
 * of the `slots` experts that each row chose, before bias, norm and turning, and become what each finds among
 * the layer's keys and values of h, that is c->h [N,D] as the norm made it. */
int mf_layer_attention_chosen(const struct mf_layer *c, const struct mf_backbone_layer *w,
                              const struct mf_attention_kept *k, const struct mf_layer_cache *cache,
                              size_t slots, float *queries, struct mf_err *err);

/* dx [N,D]: the gradient of the sum in, of k->x out (at the bottom anything). ADDS to the gradients g, whose
 * pointers may be NULL. */
int mf_layer_attention_backward(const struct mf_layer *c, const struct mf_backbone_layer *w,
                                const struct mf_backbone_layer *g, const struct mf_attention_kept *k,
                                struct dropout dropout, float *dx, struct mf_err *err);

/* out [N,D] = k->x + FFN of layer `layer`; out may not be k->x. */
int mf_layer_ffn(const struct mf_layer *c, size_t layer, const struct mf_ffn_layer *w,
                 const struct mf_ffn_kept *k, struct dropout dropout, float *out, struct mf_err *err);

/* dx: the gradient of the sum in, of k->x out (at the bottom anything); dh [N,D] is scratch. ADDS to the
 * gradients g; of a matrix with a change only the change may learn. */
int mf_layer_ffn_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                          const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, struct dropout dropout,
                          float *dh, float *dx, struct mf_err *err);

/* y [R,D] = FFN_e(k->x [R,D]), with its norm if it has one, but for its last bias; h may be k->x where there
 * is no backward. */
int mf_layer_expert(const struct mf_layer *c, const struct mf_ffn_layer *w, const struct mf_ffn_kept *k,
                    size_t R, struct mf_err *err);

/* y: the gradient of mf_layer_expert's in; dx [R,D] += that of k->x. dh [R,D] is scratch, and may be y.
 * ADDS to the gradients g. */
int mf_layer_expert_backward(const struct mf_layer *c, const struct mf_ffn_layer *w,
                             const struct mf_ffn_layer *g, const struct mf_ffn_kept *k, float *dh, float *dx,
                             size_t R, struct mf_err *err);

#endif
