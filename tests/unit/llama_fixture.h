/* For unit tests of llama's kernels: a small model put together from the kernels alone, with the weights of a
 * file or made up. */
#ifndef TESTS_LLAMA_FIXTURE_H
#define TESTS_LLAMA_FIXTURE_H

#include "nn.h"

#include <stdio.h>

#include "io/safetensors.h"
#include "nn/attention.h"
#include "nn/bias.h"
#include "nn/embedding.h"
#include "nn/gate.h"
#include "nn/matmul.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "nn/swiglu.h"
#include "nn/vector.h"

enum { THREADS = 3 };

struct llama {
    struct mf_safetensors *file; /* NULL: weights are made up, all that there can be */
    struct mf_pool *pool;
    struct heads heads;
    size_t V, D, F, L, S, E, top_k;
    float eps, *table;
    bool sparse;
    float *keys, *values; /* [L,K,S,d] */
};

/* --- begin and end --- */

/* What follows from the dimensions. */
static inline void begin(struct llama *m, double theta, const struct rope_stretch *stretch) {
    size_t d = m->heads.d, cached = m->L * m->heads.K * m->S * d;
    double *frequencies = calloc(d / 2 + 1, sizeof *frequencies);
    m->pool = make_pool(THREADS);
    m->table = make_poison(m->S * d);
    m->keys = make_poison(cached);
    m->values = make_poison(cached);
    rope_frequencies(frequencies, d, theta);
    if (stretch->factor > 0) rope_stretch(frequencies, d, stretch);
    rope_fill(m->table, frequencies, 0, m->S, d);
    free(frequencies);
}

static inline void end(struct llama *m) {
    FREE_ALL(m->table, m->keys, m->values);
    mf_pool_free(m->pool);
    mf_safetensors_close(m->file);
}

/* --- weights --- */

static inline bool has(const struct llama *m, const char *name) {
    return !m->file || mf_safetensors_find(m->file, name) >= 0;
}

#define NO_LAYER SIZE_MAX

/* n numbers by name, of a layer or of none, freed by the caller; NULL where there are none of that name. */
static inline float *weights(const struct llama *m, size_t n, size_t i, const char *name) {
    char whole[128];
    struct mf_err err;
    if (i == NO_LAYER)
        snprintf(whole, sizeof whole, "%s", name);
    else
        snprintf(whole, sizeof whole, "model.layers.%zu.%s", i, name);
    if (!has(m, whole)) return NULL;
    if (!m->file) {
        uint64_t seed = 0;
        for (const char *c = whole; *c; c++) seed = seed * 31 + (uint64_t)(unsigned char)*c;
        return make_random(n, seed);
    }
    float *x = make_poison(n);
    size_t at = (size_t)mf_safetensors_find(m->file, whole);
    if (mf_safetensors_read(m->file, at, 0, x, n * sizeof *x, &err) < 0) fail_msg("%s", err.text);
    return x;
}

/* y [N,O] = x [N,I] w^T + b, by the projection's name in layer i. */
static inline void project(const struct llama *m, float *y, const float *x, size_t N, size_t O, size_t I,
                           size_t i, const char *name) {
    char full[72];
    snprintf(full, sizeof full, "%s.weight", name);
    float *w = weights(m, O * I, i, full);
    snprintf(full, sizeof full, "%s.bias", name);
    float *b = weights(m, O, i, full);
    if (b) bias_forward(m->pool, y, b, N, O);
    matmul_forward(products_fp32(m->pool), y, x, w, N, O, I, b ? 1 : 0);
    free(w), free(b);
}

/* Norms of heads inside rows, in place, where the model has them. */
static inline void norm_heads(const struct llama *m, float *x, size_t ld, size_t N, size_t n_heads, size_t i,
                              const char *name) {
    float *gain = weights(m, m->heads.d, i, name);
    if (gain) rmsnorm_heads_forward(m->pool, x, ld, NULL, x, ld, gain, m->eps, N, n_heads, m->heads.d);
    free(gain);
}

/* --- the model --- */

/* Copies the columns of one projection [N,O] to where they stand in rows of queries, keys and values. */
static inline void place(float *qkv, size_t ld, size_t at, const float *part, size_t N, size_t O) {
    for (size_t n = 0; n < N; n++) memcpy(qkv + n * ld + at, part + n * O, O * sizeof *part);
}

static inline void cache_rows(struct llama *m, const float *qkv, size_t i, size_t first, size_t N) {
    size_t H = m->heads.H, K = m->heads.K, d = m->heads.d, ld = heads_columns(m->heads);
    for (size_t n = 0; n < N; n++)
        for (size_t h = 0; h < K; h++) {
            size_t to = ((i * K + h) * m->S + first + n) * d;
            memcpy(m->keys + to, qkv + n * ld + (H + h) * d, d * sizeof *qkv);
            memcpy(m->values + to, qkv + n * ld + (H + K + h) * d, d * sizeof *qkv);
        }
}

/* y [N,D] = Wo attention(..); rows from position `first` on, which a cache holds the others of. */
static inline void attend(struct llama *m, float *y, const float *h, size_t i, const struct seqs *seqs,
                          size_t first) {
    size_t H = m->heads.H, K = m->heads.K, d = m->heads.d, ld = heads_columns(m->heads), D = m->D;
    size_t N = seqs->start[seqs->count];
    float *qkv = make_poison(N * ld), *part = make_poison(N * H * d), *mixed = make_poison(N * H * d);
    float *scratch = make_poison(attention_scratch(THREADS, m->S, d) + H * m->S);
    project(m, part, h, N, H * d, D, i, "self_attn.q_proj");
    place(qkv, ld, 0, part, N, H * d);
    project(m, part, h, N, K * d, D, i, "self_attn.k_proj");
    place(qkv, ld, H * d, part, N, K * d);
    project(m, part, h, N, K * d, D, i, "self_attn.v_proj");
    place(qkv, ld, (H + K) * d, part, N, K * d);
    norm_heads(m, qkv, ld, N, H, i, "self_attn.q_norm.weight");
    norm_heads(m, qkv + H * d, ld, N, K, i, "self_attn.k_norm.weight");
    rope_forward(m->pool, qkv, ld, m->table, seqs, first, H + K, d);
    cache_rows(m, qkv, i, first, N);
    if (first > 0)
        attention_step(m->pool, mixed, qkv, m->keys + i * K * m->S * d, m->values + i * K * m->S * d,
                       first + 1, m->S, m->heads, scratch);
    else
        attention_forward(m->pool, mixed, NULL, qkv, seqs, m->heads, scratch);
    project(m, y, mixed, N, D, H * d, i, "self_attn.o_proj");
    FREE_ALL(qkv, part, mixed, scratch);
}

/* y [N,D] = W2 (silu(W1 h) * (W3 h)), with the names of the three. */
static inline void gated(const struct llama *m, float *y, const float *h, size_t N, size_t i,
                         const char *const names[3]) {
    float *gate = make_poison(N * m->F), *up = make_poison(N * m->F);
    project(m, gate, h, N, m->F, m->D, i, names[0]);
    project(m, up, h, N, m->F, m->D, i, names[1]);
    swiglu_forward(m->pool, gate, gate, up, m->F, N, m->F);
    project(m, y, gate, N, m->D, m->F, i, names[2]);
    FREE_ALL(gate, up);
}

/* Every expert sees every row, and counts with the weight that the row gives it. */
static inline void mixture(const struct llama *m, float *y, const float *h, size_t N, size_t i) {
    float *logits = make_poison(N * m->E), *part = make_poison(N * m->D), chosen_weights[64];
    uint32_t chosen[64];
    project(m, logits, h, N, m->E, m->D, i, "block_sparse_moe.gate");
    memset(y, 0, N * m->D * sizeof *y);
    for (size_t e = 0; e < m->E; e++) {
        char names[3][64];
        for (size_t w = 0; w < 3; w++)
            snprintf(names[w], sizeof names[w], "block_sparse_moe.experts.%zu.w%d", e,
                     (const int[]){1, 3, 2}[w]);
        gated(m, part, h, N, i, (const char *const[]){names[0], names[1], names[2]});
        for (size_t n = 0; n < N; n++) {
            gate_forward(chosen, chosen_weights, logits + n * m->E, m->E, m->top_k, false);
            for (size_t k = 0; k < m->top_k; k++)
                if (chosen[k] == e) vector_add(y + n * m->D, part + n * m->D, chosen_weights[k], m->D);
        }
    }
    FREE_ALL(logits, part);
}

static inline void norm(const struct llama *m, float *y, const float *x, size_t N, size_t i,
                        const char *name) {
    float *gain = weights(m, m->D, i, name);
    rmsnorm_forward(m->pool, y, NULL, x, gain, m->eps, N, m->D);
    free(gain);
}

/* logits [N,V] of rows that stand at `first` and behind. */
static inline void run(struct llama *m, float *logits, const uint32_t *tokens, const struct seqs *seqs,
                       size_t first) {
    static const char *const dense[] = {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};
    size_t N = seqs->start[seqs->count], D = m->D;
    float *x = make_poison(N * D), *h = make_poison(N * D), *y = make_poison(N * D);
    float *embedding = weights(m, m->V * D, NO_LAYER, "model.embed_tokens.weight");
    float *head = weights(m, m->V * D, NO_LAYER, "lm_head.weight");
    embedding_forward(m->pool, x, tokens, seqs, embedding, NULL, (struct dropout){0}, D);
    for (size_t i = 0; i < m->L; i++) {
        norm(m, h, x, N, i, "input_layernorm.weight");
        attend(m, y, h, i, seqs, first);
        vector_add(x, y, 1, N * D);
        norm(m, h, x, N, i, "post_attention_layernorm.weight");
        if (m->sparse)
            mixture(m, y, h, N, i);
        else
            gated(m, y, h, N, i, dense);
        vector_add(x, y, 1, N * D);
    }
    norm(m, h, x, N, NO_LAYER, "model.norm.weight");
    matmul_forward(products_fp32(m->pool), logits, h, head ? head : embedding, N, m->V, D, 0);
    FREE_ALL(x, h, y, embedding, head);
}

#endif
