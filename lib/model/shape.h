/* The dimensions of a model, and what its two trainable pieces consist of.
 *
 * The trunk (embedding, attention, output norm: what all experts share) and the FFN (one a layer: the
 * temporary dense one or an expert) are each one flat array of floats. One table a piece names its tensors;
 * views, initial values, the optimizer's decay, bundles and the assembled model all follow from it. */
#ifndef MF_MODEL_SHAPE_H
#define MF_MODEL_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/tensor.h"

struct mf_weights;

struct mf_shape {
    size_t V, D, H, L, F, S; /* vocabulary, d_model, heads, layers, d_ff, context */
    double position_scale;   /* factor of the sinusoidal positions */
};

/* Refuses dimensions that are zero, do not fit together (D % H, odd D) or are absurdly large (a tensor over
 * 2^40 bytes): EX_DATAERR naming `name`. */
int mf_shape_check(const struct mf_shape *shape, const char *name, struct mf_err *err);

/* As in manifests and metadata: {"vocab_size", "d_model", "n_heads", "n_layers", "d_ff", "context",
 * "position_scale"}. Where position_scale is absent it is 1. */
json_t *mf_shape_json(const struct mf_shape *shape);
int mf_shape_parse(struct mf_shape *shape, const json_t *object, const char *name, struct mf_err *err);

/* 0 when equal, else EX_DATAERR: "b.tar: d_ff is 64, not 32 as in a.tar". */
int mf_shape_match(const struct mf_shape *a, const char *a_name, const struct mf_shape *b, const char *b_name,
                   struct mf_err *err);

/* A matrix of a layer: in memory, or a tensor of a file that is read when it is used. */
struct mf_matrix {
    float *data; /* NULL: */
    struct mf_weights *file;
    size_t index; /* model/weights.h */
};

/* A layer's parameters. Views into a flat array have all in memory; of a NULL base (a frozen piece's
 * gradients) all are NULL. */
struct mf_trunk_layer {
    float *norm_gain, *norm_bias; /* [D] attn_norm */
    struct mf_matrix qkv, out;    /* [3D,D], [D,D] */
};
struct mf_ffn_layer {
    float *norm_gain, *norm_bias; /* [D] */
    struct mf_matrix fc1, fc2;    /* [F,D], [D,F] */
    float *fc1_bias, *fc2_bias;   /* [F], [D] */
};
struct mf_trunk_ends {
    float *embedding;                     /* [V,D] */
    float *out_norm_gain, *out_norm_bias; /* [D] */
};

size_t mf_trunk_size(const struct mf_shape *shape); /* floats */
size_t mf_trunk_layer_size(const struct mf_shape *shape);
size_t mf_trunk_layer_offset(const struct mf_shape *shape, size_t layer); /* L: what is behind the layers */
struct mf_trunk_layer mf_trunk_layer_view(const struct mf_shape *shape, float *layer); /* a layer by itself */
size_t mf_ffn_size(const struct mf_shape *shape);
struct mf_trunk_layer mf_trunk_layer(const struct mf_shape *shape, float *base, size_t layer);
struct mf_trunk_ends mf_trunk_ends(const struct mf_shape *shape, float *base);
struct mf_ffn_layer mf_ffn_layer(const struct mf_shape *shape, float *base, size_t layer);

/* What an FFN's tensors are called. */
enum mf_ffn_role {
    MF_FFN_DENSE,  /* shared.transformer_blocks.I.ffn_norm.weight, dense_ffn.I.fc1.weight, ... */
    MF_FFN_EXPERT, /* layers.I.norm.weight, layers.I.fc1.weight, ... */
    MF_FFN_MOE,    /* moe_layers.I.experts.E.norm.weight, ... */
};

/* Fill `tensors` (NULL: only count) in the flat array's order, with data pointers into `base` (may be NULL);
 * return their number. A tensor of two dimensions is decayed by AdamW, one of one dimension is not. */
size_t mf_trunk_tensors(const struct mf_shape *shape, float *base, struct mf_tensor *tensors);
size_t mf_ffn_tensors(const struct mf_shape *shape, enum mf_ffn_role role, size_t expert, float *base,
                      struct mf_tensor *tensors);

/* Initial values: Xavier-uniform q, k and v, N(0, deviation) embedding with a zero row for the token `pad`
 * (-1: none), Kaiming-normal fc1, gains 1, biases 0. The matrices that write to the residual stream
 * (out_proj, fc2) start at zero: each block is the identity at first, logits are near 0 and the first loss is
 * ln V. */
void mf_trunk_init(const struct mf_shape *shape, float *trunk, double deviation, int64_t pad, uint64_t seed);
void mf_ffn_init(const struct mf_shape *shape, float *ffn, uint64_t seed);

#endif
