/* What the files moe_*.c share, and moe.c, the forward pass. */
#ifndef MF_MODEL_MOE_INTERNAL_H
#define MF_MODEL_MOE_INTERNAL_H

#include <jansson.h>
#include "base/arena.h"
#include "model/expert_attention.h"
#include "model/expert_head.h"
#include "model/layer.h"
#include "model/low_rank.h"
#include "model/moe.h"
#include "model/weights.h"
#include "nn/loss.h"

/* An expert's matrices of queries and outputs in a layer: its own, or the backbone's. */
struct moe_attention {
    struct mf_matrix q, out;
};

/* One layer's weights: matrices come from the file when they are used, vectors are in memory. */
struct moe_weights {
    struct mf_backbone_layer attention;
    struct mf_router_layer router;
    struct mf_ffn_layer *experts; /* [E] */
    struct moe_attention *chosen; /* [E] where experts have attention of their own */
};

struct mf_moe_file {
    struct mf_weights *weights;
    struct mf_arena arena;
    size_t embedding, head;       /* matrices of the embeddings, and of the logits: one where they are tied */
    struct mf_backbone_ends ends; /* the output norm */
    struct moe_weights *layers;   /* [L] */
    bool own_attention;           /* of some experts */
    float *positions; /* [S,..], made up to row `n_positions`: a context is only a promise until a text fills
                         it */
    size_t n_positions;
    struct {
        struct moe_head *of; /* [E] */
        size_t columns;      /* the most that one has; 0: there are none */
        bool any_whole, all_whole;
    } heads;
};

/* An expert's own head: its matrix [V,columns], after A [columns,D] unless it is whole. */
struct moe_head {
    size_t columns; /* 0: none */
    bool whole;
    size_t a, b; /* in the weights */
};

/* The router of a model: from its metadata (`config`, and `router`, which may be NULL), its arrays when there
 * is memory for them; and back. EX_DATAERR. */
int moe_router_parse(struct mf_moe *m, const json_t *config, const json_t *router, struct mf_err *err);
void moe_router_place(struct mf_moe *m, struct mf_arena *a); /* takes memory for the arrays */
void moe_router_fill(struct mf_moe *m);                      /* from the file, or as if it said nothing */
json_t *moe_router_json(const struct mf_moe *m);

/* The head of one expert, or the backbone's with its change, becomes the matrix of the logits. */
int moe_merge_head(struct mf_moe *m, size_t R, struct mf_err *err);

/* Gives the dense FFN's matrices, which the model's weights have, an expert's changes, which they have too.
 */
int moe_merge_changes(struct mf_moe *m, const struct mf_low_rank *low_rank, struct mf_err *err);

/* Bytes that a model takes besides its working memory: the small tensors, and the least of the cache. */
struct moe_needs {
    size_t small, cache;
    size_t tensors; /* in the file */
};

/* Under the budget's limit: lowers its windows until all fits and gives the rest to the cache; without one
 * gives the budget's. EX_CONFIG when the least does not fit. */
int moe_fit(const struct mf_moe *m, struct mf_moe_budget *budget, const struct moe_needs *needs,
            size_t *cache, struct mf_err *err);

/* --- tensors (moe_tensors.c): of a model of experts, or of one FFN (`single`) --- */

#define MOE_SCORES "prefix_router.log_likelihood" /* the tensor of token scores */

/* Bytes of everything that stays in memory; takes them. */
size_t moe_tensors_size(struct mf_moe *m, bool single, bool token_scores);
int moe_tensors_build(struct mf_moe *m, bool single, bool token_scores, struct mf_err *err);

size_t moe_largest_matrix(const struct mf_moe *m); /* of a layer, in bytes, which the cache has to hold */

/* Reads what is not an expert's, one FFN by the names of its role, and the token scores. EX_DATAERR: missing,
 * or not finite. */
int moe_load_backbone(struct mf_moe *m, bool single, struct mf_err *err);
int moe_load_ffn(struct mf_moe *m, enum mf_ffn_role role, size_t e, struct mf_err *err);
int moe_load_scores(struct mf_moe *m, struct mf_err *err);

/* EX_DATAERR unless the last layer has its gate, and the last expert its matrices: then the file has all that
 * its metadata claim, or nearly, and memory may be taken for it. */
int moe_check_last(const struct mf_moe *m, struct mf_err *err);

/* The tensors in files that are in memory here, with their numbers, of a layer and of the output norm;
 * returns how many. */
#define MOE_SMALL ((size_t)3 * MF_TABLE_MAX)
size_t moe_small_tensors(const struct mf_moe *m, size_t layer, struct mf_tensor tensors[MOE_SMALL]);

struct mf_moe_work {
    struct products products;
    struct mf_arena arena;
    size_t max_rows;
    float *x, *h;          /* [N,D] residual stream, normalised; h has columns for [N,A], A = H d */
    float *attention;      /* scratch of the kernel */
    float *rstd;           /* [N] 1 / rms of the rows that the FFN's norm was given */
    float *gate;           /* [N,E] logits of the router */
    uint32_t *experts;     /* [N,top_k] */
    float *weights;        /* [N,top_k] */
    size_t *first, *slots; /* [E+1], [N*top_k]: the slots of expert e are slots[first[e]] .. */
    /* Three users of the same memory, none of which needs it when the next one begins. */
    float *qkv, *mixed; /* attention: [N,C], C = (H+2K) d, and [N,A] attended; of experts, beside those: */
    float *queries, *part_in, *part_out; /* [N,top_k,A], and one expert's rows [R,max(A,D)] */
    float *in, *mid, *out;               /* one expert's rows: [R,D], [products,R,F], [R,D] */
    float *rows, *logits;                /* head: [VOCAB_BLOCK,D] of the embedding, [N,VOCAB_BLOCK] */
    /* with heads of experts, beside those: rows, codes, their gradients and parts of logits, R at a time */
    float *head_in, *head_code, *head_dcode, *head_part;
    float *share; /* [N] what the backbone's head has of a row's logits */
    struct online_softmax softmax;
};

/* Noise on the logits of a router in training. */
struct moe_noise {
    uint64_t key; /* of the pass: a row's noise is a function of key, layer and row */
    float *slope; /* [N,E] out: d(noise of a logit) / d((noise_weight h)_e) */
};

struct mf_moe_cache {
    struct mf_arena arena;
    size_t length, S, E;
    size_t columns;       /* K d */
    float *keys, *values; /* [L,K,S,d] */
    double *state;        /* [E+1] of mf_moe_token_scores, of the document so far */
    float *token_scores;  /* [S,E] of each token in the cache */
};

/* As mf_moe_forward; with a cache, of rows that come after those in it (one sequence). */
int moe_run(struct mf_moe *m, struct mf_moe_work *w, const uint32_t *tokens, const struct seqs *seqs,
            const float *token_scores, const struct mf_moe_hooks *hooks, struct mf_moe_cache *cache,
            const float **hidden, struct mf_err *err);

/* The parts of it; w->x [N,D] holds the residual stream, w->h what was normalised last. */
int moe_check_tokens(const struct mf_moe *m, const uint32_t *tokens, size_t N, struct mf_err *err);
int moe_embed(struct mf_moe *m, struct mf_moe_work *w, const uint32_t *tokens, const struct seqs *seqs,
              size_t first_position, struct mf_err *err);
/* May the embedding, and a head beside it, stay in the cache with a layer's weights? */
bool moe_keeps_embedding(const struct mf_moe *m);
int moe_attend(struct mf_moe *m, struct mf_moe_work *w, const struct mf_layer *c, size_t layer,
               struct mf_moe_cache *cache, struct mf_err *err);
int moe_ffn(struct mf_moe *m, struct mf_moe_work *w, const struct mf_layer *c, size_t layer,
            const float *token_scores, const struct mf_moe_hooks *hooks, const struct moe_noise *noise,
            struct mf_err *err);

/* --- attention of experts (moe_attention.c) --- */

/* Has a model's file the queries of expert e? Then it must have all of its attention. */
bool moe_attention_has(const struct mf_moe *m, const struct mf_safetensors *st, size_t e);

/* Whether any has it; how many bytes a layer's matrices take; where they are. EX_DATAERR. */
int moe_attention_look(struct mf_moe *m, const struct mf_safetensors *st, struct mf_err *err);
size_t moe_attention_layer_bytes(const struct mf_moe *m);
int moe_attention_find(struct mf_moe *m, struct mf_err *err);

void moe_attention_layout(struct mf_moe_work *w, const struct mf_moe *m, struct mf_arena *a);

/* As moe_attend, each row by the experts that its token scores choose. */
int moe_attend_chosen(struct mf_moe *m, struct mf_moe_work *w, const struct mf_layer *c, size_t layer,
                      const float *token_scores, const struct mf_moe_hooks *hooks, struct mf_moe_cache *cache,
                      struct mf_err *err);

/* A layer's place in a cache. */
struct mf_layer_cache moe_layer_cache(const struct mf_moe_cache *cache, size_t layer);

/* w->h and w->rstd to w->gate (logits; with over_all their softmax), w->experts and w->weights; noise NULL:
 * none. */
void moe_route(const struct mf_moe *m, struct mf_moe_work *w, size_t layer, const float *token_scores,
               size_t N, const struct moe_noise *noise);

/* The same by token scores alone, before attention: w->rstd is that of the rows that go into its norm. */
void moe_route_scores(const struct mf_moe *m, struct mf_moe_work *w, size_t layer, const float *token_scores,
                      size_t N);

/* The way back of moe_route, from what it left in `w` and was given there; moe_group has listed the slots. */
struct moe_route_back {
    const float *token_scores;     /* [N,E] or NULL, */
    const struct moe_noise *noise; /* and the noise, as in the forward pass */
    double balance;                /* weight in the objective of E * sum_e f_e P_e (mf_moe_batch) */
    const float *dweights;         /* [N,top_k] */
    float *dlogits, *dshares;      /* [N,E], [E] scratch */
    float *dx, *dh;                /* [N,D] of the FFN's and the norm's input; as they were in layer 0 */
    float *dgate, *dnoise;         /* [E,D] */
};

/* Adds to the gradients and returns E * sum_e f_e P_e. */
double moe_route_backward(const struct mf_moe *m, struct mf_moe_work *w, size_t layer,
                          const struct moe_route_back *b, size_t N);

/* The layer of all rows, with the working memory of `w`. */
struct mf_layer moe_layer(const struct mf_moe *m, struct mf_moe_work *w, const struct seqs *seqs,
                          const struct mf_moe_hooks *hooks);

/* --- one expert (moe_expert.c) and its rows (moe_rows.c) --- */

/* w->x += weight * FFN_e(from [N,D]) of the rows that chose it, after moe_group. */
int moe_expert(struct mf_moe *m, struct mf_moe_work *w, size_t layer, size_t e, const float *from,
               struct mf_err *err);

/* The way back, from `dx` [N,D]: adds to dh [N,D], unless it is NULL; dweights [N*top_k] of the expert's
 * slots. `kept` holds `most` rows. */
struct moe_expert_back {
    struct mf_ffn_kept kept;
    size_t most;
    const float *dx;
    float *dh, *dweights;
};
int moe_expert_backward(struct mf_moe *m, struct mf_moe_work *w, size_t layer, size_t e,
                        const struct moe_expert_back *b, struct mf_err *err);

size_t moe_expert_rows(size_t max_rows); /* how many go through an expert together */

/* Lists in w->first and w->slots which of the slots (row * top_k + k) [begin, begin + slots) each expert has,
 * in the order of the rows. */
void moe_group(struct mf_moe_work *w, size_t begin, size_t slots, size_t E);

/* Slots of one expert whose rows go through it together, of matrices that begin with row `first`. */
struct moe_slots {
    size_t top_k, first, most;
    const size_t *of; /* [n] borrowed from the work; NULL: before the first */
    size_t n;         /* <= most */
};
bool moe_next_slots(const struct mf_moe_work *w, size_t e, struct moe_slots *slots); /* false: no more */

/* to [n,columns] = the slots' rows of from. */
void moe_gather(struct mf_pool *pool, const struct moe_slots *slots, float *to, const float *from,
                size_t columns);

/* The slots' rows of to += weight * (from [n,columns] + bias [columns]), with weights[slot]; NULL: weight 1,
 * no bias. */
void moe_scatter(struct mf_pool *pool, const struct moe_slots *slots, float *to, const float *from,
                 size_t columns, const float *weights, const float *bias);

#endif
