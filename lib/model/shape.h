/* The dimensions of a model, and the family it is of. What tensors it has: model/tensors.h. */
#ifndef MF_MODEL_SHAPE_H
#define MF_MODEL_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "config/choices.h"
#include "nn/attention.h"
#include "nn/rope.h"

#define MF_HEAD_MAX 4096 /* columns of a head that positions turn */

struct mf_shape {
    size_t V, D, H, L, F, S; /* vocabulary, d_model, heads, layers, d_ff, context */
    double position_scale;   /* reference: factor of the sinusoidal positions */
    enum mf_arch arch;
    /* llama; zero for a reference */
    size_t K, d;                 /* heads of keys and values, columns of a head */
    double rope_theta, norm_eps; /* base of the rotations' frequencies; added to a row's mean square */
    struct rope_stretch stretch; /* of the rotations' frequencies; factor 0: none */
    bool qkv_bias;               /* queries, keys and values have biases */
    bool qk_norm;                /* each head of queries and of keys has an RMSNorm before it is turned */
    bool untied;                 /* the head is a matrix of its own, not the embedding */
};

struct heads mf_shape_heads(const struct mf_shape *shape);

/* Refuses dimensions that are zero, do not fit together (D % H, H % K, odd d with rotations) or are absurdly
 * large (a tensor over 2^40 bytes): EX_DATAERR naming `name`. */
int mf_shape_check(const struct mf_shape *shape, const char *name, struct mf_err *err);

/* As in manifests and metadata: {"vocab_size", "d_model", "n_heads", "n_layers", "d_ff", "context"}, of a
 * reference "position_scale" (absent: 1), of a llama "arch", "n_kv_heads", "head_dim", "rope_theta",
 * "norm_eps", "tied", "qkv_bias", "qk_norm" (absent: false), "rope_scaling" (model/rope_scaling.h). */
json_t *mf_shape_json(const struct mf_shape *shape);
int mf_shape_parse(struct mf_shape *shape, const json_t *object, const char *name, struct mf_err *err);

/* 0 when equal, else EX_DATAERR: "b.tar: d_ff is 64, not 32 as in a.tar". */
int mf_shape_match(const struct mf_shape *a, const char *a_name, const struct mf_shape *b, const char *b_name,
                   struct mf_err *err);

#endif
