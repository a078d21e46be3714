/* Counting which experts the tokens go to. */
#include "eval/routing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "partition/nmi.h"

/* What the forward pass's callback needs. */
struct run {
    struct mf_routing *routing;
    const struct mf_batch *batch;
};

static void *take(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) mf_no_memory();
    return memory;
}

static void init(struct mf_routing *r, const struct mf_moe *moe) {
    size_t E = moe->router.n_experts, L = moe->shape.L, V = moe->shape.V;
    *r = (struct mf_routing){.L = L, .E = E, .V = V, .top_k = moe->router.top_k};
    r->attention = mf_moe_has_attention(moe);
    r->heads = mf_moe_has_heads(moe);
    r->slots = take(L * E, sizeof *r->slots);
    r->first = take(L * E, sizeof *r->first);
    r->weights = take(L * E, sizeof *r->weights);
    r->together = take(L * E, E * sizeof *r->together);
    r->tokens = take(E, V * sizeof *r->tokens);
}

size_t mf_routing_memory(const struct mf_moe *moe) {
    const struct mf_routing *r = NULL;
    size_t E = moe->router.n_experts, cells = moe->shape.L * E;
    return cells * (sizeof *r->slots + sizeof *r->first + sizeof *r->weights + E * sizeof *r->together +
                    MF_DATASET_DOMAINS * sizeof *r->domains) +
           E * moe->shape.V * sizeof *r->tokens;
}

/* Makes room for the domains of a batch before it is run. */
static void grow_domains(struct mf_routing *r, const struct mf_batch *batch) {
    size_t n = r->n_domains, size = r->L * r->E;
    for (size_t i = 0; i < batch->seqs.count; i++)
        if (batch->windows[i].domain >= n) n = batch->windows[i].domain + 1;
    if (n == r->n_domains) return;
    r->domains = reallocarray(r->domains, n, size * sizeof *r->domains);
    if (!r->domains) mf_no_memory();
    memset(r->domains + r->n_domains * size, 0, (n - r->n_domains) * size * sizeof *r->domains);
    r->n_domains = n;
}

static void count_row(struct mf_routing *r, size_t layer, size_t domain, uint32_t token,
                      const uint32_t *experts, const float *weights) {
    size_t E = r->E, at = layer * E;
    r->first[at + experts[0]]++;
    r->domains[(domain * r->L + layer) * E + experts[0]]++;
    r->tokens[experts[0] * r->V + token]++;
    for (size_t k = 0; k < r->top_k; k++) {
        r->slots[at + experts[k]]++;
        r->weights[at + experts[k]] += (double)weights[k];
        for (size_t j = 0; j < r->top_k; j++) r->together[(at + experts[k]) * E + experts[j]]++;
    }
}

static void routed(void *context, size_t layer, const uint32_t *experts, const float *weights, const float *h,
                   size_t N) {
    const struct run *run = context;
    const struct mf_batch *batch = run->batch;
    (void)h;
    (void)N;
    for (size_t i = 0; i < batch->seqs.count; i++)
        for (size_t n = batch->seqs.start[i]; n < batch->seqs.start[i + 1]; n++)
            if (batch->targets[n] != LOSS_IGNORE)
                count_row(run->routing, layer, batch->windows[i].domain, batch->tokens[n],
                          experts + n * run->routing->top_k, weights + n * run->routing->top_k);
}

int mf_routing(struct mf_moe *moe, struct mf_moe_work *work, struct mf_dataset *dataset, size_t batch,
               struct mf_routing *routing, struct mf_err *err) {
    struct run run = {.routing = routing};
    struct mf_moe_hooks hooks = {.context = &run, .routed = routed};
    struct mf_windows *windows;
    const float *hidden;
    int got;
    if (strcmp(moe->router.kind, "single") == 0)
        return mf_err_set(err, EX_DATAERR, "%s: not an assembled model, there is nothing to route",
                          moe->name);
    if (mf_windows_new(&windows, moe, dataset, batch, 0, NULL, err) < 0) return -1;
    init(routing, moe);
    while ((got = mf_windows_next(windows, &run.batch, err)) > 0) {
        const struct mf_batch *b = run.batch;
        grow_domains(routing, b);
        got = mf_moe_forward(moe, work, b->tokens, &b->seqs, b->token_scores, &hooks, &hidden, err);
        if (got < 0) break;
        for (size_t i = 0; i < b->seqs.count; i++) routing->rows += b->windows[i].scored;
    }
    mf_windows_free(windows);
    if (got < 0) mf_routing_clear(routing);
    return got;
}

void mf_routing_clear(struct mf_routing *r) {
    free(r->slots);
    free(r->first);
    free(r->weights);
    free(r->together);
    free(r->domains);
    free(r->tokens);
    *r = (struct mf_routing){0};
}

double mf_routing_balance(const struct mf_routing *r, size_t layer) {
    double mean = (double)r->rows * (double)r->top_k / (double)r->E, square = 0;
    if (r->rows == 0) return NAN;
    for (size_t e = 0; e < r->E; e++) {
        double d = (double)r->slots[layer * r->E + e] - mean;
        square += d * d;
    }
    double balance = 1 - sqrt(square / (double)r->E) / mean;
    return balance > 0 ? balance : 0;
}

double mf_routing_entropy(const struct mf_routing *r, size_t layer) {
    double total = (double)r->rows * (double)r->top_k, entropy = 0;
    if (r->rows == 0) return NAN;
    for (size_t e = 0; e < r->E; e++) {
        double p = (double)r->slots[layer * r->E + e] / total;
        if (p > 0) entropy -= p * log(p);
    }
    return entropy;
}

double mf_routing_agreement(const struct mf_routing *r, size_t layer) {
    size_t E = r->E, n = r->n_domains, used = 0;
    uint64_t *counts = take(E * n, sizeof *counts); /* [E,n] */
    for (size_t d = 0; d < n; d++) {
        uint64_t total = 0;
        for (size_t e = 0; e < E; e++) {
            counts[e * n + d] = r->domains[(d * r->L + layer) * E + e];
            total += counts[e * n + d];
        }
        used += total > 0;
    }
    double agreement = used > 1 && E > 1 ? mf_nmi(counts, E, n) : NAN;
    free(counts);
    return agreement;
}

size_t mf_routing_top_tokens(const struct mf_routing *r, size_t expert, uint32_t *top, size_t n) {
    const uint32_t *counts = r->tokens + expert * r->V;
    size_t found = 0;
    for (uint32_t v = 0; v < r->V; v++) {
        size_t at = found;
        if (counts[v] == 0) continue;
        while (at > 0 && counts[top[at - 1]] < counts[v]) at--;
        if (at == n) continue;
        if (found < n) found++;
        for (size_t i = found - 1; i > at; i--) top[i] = top[i - 1];
        top[at] = v;
    }
    return found;
}
