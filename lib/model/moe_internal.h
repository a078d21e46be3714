/* What moe.c (the forward pass) and moe_open.c (reading a model) share. */
#ifndef MF_MODEL_MOE_INTERNAL_H
#define MF_MODEL_MOE_INTERNAL_H

#include "base/arena.h"
#include "model/moe.h"
#include "model/weights.h"

/* Indices of large tensors in `weights`, and one expert's small ones. */
struct moe_expert {
    struct mf_ffn_layer small; /* fc1 and fc2 NULL: they come from the cache */
    size_t fc1, fc2;
};
struct moe_large {
    size_t qkv, out;
    struct moe_expert *experts; /* [E] */
};

struct mf_moe_file {
    struct mf_weights *weights;
    struct mf_arena arena;
    size_t embedding;
    struct moe_large *layers; /* [L] */
};

#endif
