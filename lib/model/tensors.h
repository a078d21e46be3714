/* The tensors of a model, named once: one table for each family (model.arch).
 *
 * A model has two components that are trained. The backbone (embedding, attention, output norm: the backbone
 * that all experts share) and the FFN (one a layer: the temporary dense one, or an expert) are each one flat
 * array of floats. Sizes, views, initial values, the optimizer's decay, bundles and the assembled model all
 * follow from the table. */
#ifndef MF_MODEL_TENSORS_H
#define MF_MODEL_TENSORS_H

#include "io/tensor.h"
#include "model/shape.h"

struct mf_weights;

/* A matrix of a layer: in memory, or a tensor of a file that is read when it is used. */
struct mf_matrix {
    float *data;            /* NULL: */
    const uint16_t *narrow; /* in BF16, for products in bf16; NULL: */
    struct mf_weights *file;
    size_t index; /* model/weights.h */
    float *a, *b; /* an FFN's matrix [O,I] may have a change of low rank (nn/low_rank.h): [R,I], [O,R] */
};

/* A layer's parameters; what a family does not have is NULL. Views into a flat array have all in memory; of a
 * NULL base (a frozen component's gradients) all are NULL. A = H d columns of queries, C = (H+2K) d of
 * queries, keys and values. */
struct mf_backbone_layer {
    float *norm_gain, *norm_bias; /* [D] the attention's norm */
    struct mf_matrix qkv;         /* [C,D] q, k and v; in a file maybe only q's [A,D], then also */
    struct mf_matrix k, v;        /* [K d,D] */
    struct mf_matrix q;           /* [A,D] in the place of q's above, where an expert has its own in memory */
    float *qkv_bias;              /* [C] q's, then the two others, behind it in memory: */
    float *k_bias, *v_bias;       /* [K d] */
    float *q_norm, *k_norm;       /* [d] gains of the norms of heads */
    struct mf_matrix out;         /* [D,A] */
    float *ffn_norm;              /* [D] gain of the FFN's norm, where it is the backbone's */
};
struct mf_ffn_layer {
    float *norm_gain, *norm_bias; /* [D] a norm of its own */
    struct mf_matrix fc1, up;     /* [F,D] the gate's where it is gated, then also `up` */
    struct mf_matrix fc2;         /* [D,F] */
    float *fc1_bias, *fc2_bias;   /* [F], [D] */
};
struct mf_backbone_ends {
    float *embedding;                     /* [V,D] */
    float *out_norm_gain, *out_norm_bias; /* [D] */
    float *head;                          /* [V,D]; NULL where it is the embedding */
};
struct mf_router_layer {
    float *norm_gain, *norm_bias; /* [D] of the router's input, where it is the router's own */
    float *gate;                  /* [E,D] */
    float *noise;                 /* [E,D]; may be missing in a file */
};

size_t mf_backbone_size(const struct mf_shape *shape); /* floats */
size_t mf_backbone_layer_size(const struct mf_shape *shape);
size_t mf_backbone_layer_offset(const struct mf_shape *shape,
                                size_t layer);                /* L: what is behind the layers */
size_t mf_backbone_head_offset(const struct mf_shape *shape); /* of the matrix that makes the logits */
size_t mf_backbone_norm_size(const struct mf_shape *shape); /* of the output norm, right behind the layers */
size_t mf_ffn_size(const struct mf_shape *shape);
struct mf_backbone_layer mf_backbone_layer(const struct mf_shape *shape, float *base, size_t layer);
struct mf_backbone_ends mf_backbone_ends(const struct mf_shape *shape, float *base);
struct mf_ffn_layer mf_ffn_layer(const struct mf_shape *shape, float *base, size_t layer);

/* What an FFN's tensors are called:             reference                        llama */
enum mf_ffn_role {
    MF_FFN_DENSE,  /* dense_ffn.I.fc1.weight           model.layers.I.mlp.gate_proj.weight */
    MF_FFN_EXPERT, /* layers.I.fc1.weight              the same */
    MF_FFN_MOE,    /* moe_layers.I.experts.E.fc1...    model.layers.I.block_sparse_moe.experts.E.w1.weight */
};

/* Fill `tensors` (NULL: only count) in the flat array's order, with data pointers into `base` (may be NULL);
 * return their number. A tensor of two dimensions is decayed by AdamW, one of one dimension is not. */
size_t mf_backbone_tensors(const struct mf_shape *shape, float *base, struct mf_tensor *tensors);
size_t mf_ffn_tensors(const struct mf_shape *shape, enum mf_ffn_role role, size_t expert, float *base,
                      struct mf_tensor *tensors);

/* The tables themselves, for who reads a model tensor by tensor. */
enum mf_table { MF_TABLE_HEAD, MF_TABLE_LAYER, MF_TABLE_TAIL, MF_TABLE_FFN, MF_TABLE_ROUTER };
#define MF_TABLE_MAX 12

/* The tensors of a table, without data (role, layer and expert say which ones; E experts); view[i]: where in
 * the struct of that table (mf_backbone_ends of HEAD and TAIL) tensor i has its pointer, of a matrix in LAYER
 * and FFN its struct mf_matrix. Returns their number. */
size_t mf_table_tensors(const struct mf_shape *shape, enum mf_table table, enum mf_ffn_role role,
                        size_t layer, size_t expert, size_t E, struct mf_tensor tensors[MF_TABLE_MAX],
                        size_t view[MF_TABLE_MAX]);

/* Sets the pointers of a table's view to its tensors' data, wherever they are. */
void mf_table_point(const struct mf_shape *shape, enum mf_table table, const struct mf_tensor *tensors,
                    void *view);

/* Floats that a table's vectors have together. */
size_t mf_table_vectors(const struct mf_shape *shape, enum mf_table table);

/* The same of tensors in BF16: matrices stay, vectors are widened to `vectors`, one behind the other. */
void mf_table_point_narrow(const struct mf_shape *shape, enum mf_table table, const struct mf_tensor *tensors,
                           float *vectors, void *view);

/* Is this the name of a tensor with a row for each token: the embedding, or a head of its own? */
bool mf_is_vocabulary(const struct mf_shape *shape, const char *name);

/* What the matrix that makes the logits is called where a file has it beside the embedding. */
const char *mf_head_name(const struct mf_shape *shape);

/* Initial values. The embedding is N(0, deviation) with a zero row for the token `pad` (-1: none), gains are
 * 1, biases 0. The matrices that write to the residual stream start at zero: each block is the identity at
 * first, logits are near 0 and the first loss is ln V. Others: the reference has Xavier-uniform q, k and v
 * and Kaiming-normal fc1, llama N(0, 1/D). */
void mf_backbone_init(const struct mf_shape *shape, float *backbone, double deviation, int64_t pad,
                      uint64_t seed);
void mf_ffn_init(const struct mf_shape *shape, float *ffn, uint64_t seed);

#endif
