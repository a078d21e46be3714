/* Which experts the tokens go to.
 *
 * Every token that predicts a target (text/specials.h) is counted, once in each layer: as many as perplexity
 * scores. A row fills top_k slots, the first with the
 * expert of the highest weight. A layer's `slots` shares are of all slots and sum to 1; its `first` shares
 * are of first choices alone and also sum to 1; `weight` shares are the mean weights. Balance, entropy and
 * dead experts are of the slots; agreement with domains and the table of domains are of first choices. */
#ifndef MF_EVAL_ROUTING_H
#define MF_EVAL_ROUTING_H

#include <jansson.h>
#include "eval/windows.h"

struct mf_routing {
    size_t L, E, V, top_k;
    bool attention, heads;   /* do experts have their own? Attention has a choice of its own, not counted */
    uint64_t rows;           /* counted, the same in each layer */
    uint64_t *slots, *first; /* [L,E] */
    double *weights;         /* [L,E] sums */
    uint64_t *together;      /* [L,E,E] rows whose slots hold both; symmetric, the diagonal is `slots` */
    uint64_t *domains;       /* [n_domains,L,E] first choices */
    size_t n_domains;
    uint32_t *tokens; /* [E,V] first choices over all layers, by input token */
};

/* Runs the rest of `dataset` through `moe`. `work` has room for batch * S rows. EX_DATAERR: as for reading,
 * or a model with nothing to choose from (kind "single"). On success release with mf_routing_clear. */
int mf_routing(struct mf_moe *moe, struct mf_moe_work *work, struct mf_dataset *dataset, size_t batch,
               struct mf_routing *routing, struct mf_err *err);
void mf_routing_clear(struct mf_routing *r);
size_t mf_routing_memory(const struct mf_moe *moe); /* bytes of one, with as many domains as there can be */

/* 1 - coefficient of variation of the slot shares of a layer (0 at the least): 1 when all experts have the
 * same. */
double mf_routing_balance(const struct mf_routing *r, size_t layer);

/* Entropy of the slot shares of a layer in nats: log E when even, 0 when one expert takes all. */
double mf_routing_entropy(const struct mf_routing *r, size_t layer);

/* Agreement of first choices with domains in a layer: normalised mutual information, 0 to 1; NaN when
 * there is one domain or one expert only. */
double mf_routing_agreement(const struct mf_routing *r, size_t layer);

/* The tokens an expert takes most: their ids into top [n], most first (ties: lowest id); how many there are.
 */
size_t mf_routing_top_tokens(const struct mf_routing *r, size_t expert, uint32_t *top, size_t n);

/* The page formats/report.md describes under "routing". `names`: the experts' names, a list of E strings.
 * New. */
json_t *mf_routing_json(const struct mf_routing *r, const struct mf_dataset *dataset, const json_t *names);

#endif
