/* What moe.c (the forward pass), moe_cache.c (generation) and moe_open.c (reading a model) share. */
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

struct mf_moe_cache {
    struct mf_arena arena;
    size_t length, S, D;
    float *keys, *values; /* [L,S,D] */
    double *state;        /* [E] evidence of the document so far */
    float *evidence;      /* [S,E] of each token in the cache */
};

/* Keeps keys and values of N rows that join the cache: qkv [N,3D]. */
void moe_cache_put(struct mf_moe_cache *cache, size_t layer, const float *qkv, size_t N);

/* As mf_moe_forward; with a cache, of rows that come after those in it (one sequence). */
int moe_run(struct mf_moe *m, struct mf_moe_work *w, const uint32_t *tokens, const struct seqs *seqs,
            const float *evidence, const struct mf_moe_watch *watch, struct mf_moe_cache *cache,
            const float **hidden, struct mf_err *err);

#endif
