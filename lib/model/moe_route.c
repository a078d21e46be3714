/* Routing: token scores along a document, the logits of a layer's rows, the choice; and the way back. */
#include <math.h>
#include "base/rng.h"
#include "model/moe_internal.h"
#include "nn/gate.h"
#include "nn/matmul.h"
#include "nn/vector.h"

/* --- token scores --- */

/* state [E+1] goes on by one token of the document. */
static void read_token(const struct mf_moe *m, double *state, uint32_t token) {
    size_t E = m->router.n_experts, V = m->shape.V;
    if ((int64_t)token == m->specials.bos) return;
    bool known = m->log_likelihood && token < V && (int64_t)token != m->specials.pad;
    if (!known && !m->router.mean) return;
    for (size_t e = 0; e < E; e++)
        state[e] = m->router.decay * state[e] + (known ? (double)m->log_likelihood[e * V + token] : 0);
    state[E] = m->router.decay * state[E] + 1;
}

void mf_moe_token_scores(const struct mf_moe *m, double *state, const uint32_t *tokens, size_t n,
                         float *token_scores) {
    const struct mf_router *r = &m->router;
    size_t E = r->n_experts;
    for (size_t i = 0; i < n; i++) {
        read_token(m, state, tokens[i]);
        double max = -INFINITY, weight = r->mean ? r->bos_weight + state[E] : 1;
        for (size_t e = 0; e < E; e++) max = fmax(max, state[e] + r->prior[e]);
        /* only differences count; without the common part they survive the rounding to fp32 */
        for (size_t e = 0; e < E; e++)
            token_scores[i * E + e] = (float)((state[e] + r->prior[e] - max) / weight);
    }
}

/* --- logits --- */

struct routing_job {
    const struct mf_moe *m;
    struct mf_moe_work *w;
    size_t layer;
    const float *token_scores;
    const struct moe_noise *noise;
    bool scores_only;
};

/* What a layer's token scores are multiplied by in row n's logits. */
static double score_scale(const struct mf_moe *m, const struct mf_moe_work *w, size_t layer, size_t n) {
    const struct mf_router *r = &m->router;
    return r->mean ? r->score_scale * r->layer_scale[layer] * (double)w->rstd[n] : r->score_scale;
}

/* logits [E] of row n. */
static void row_logits(const struct routing_job *job, size_t n, float *logits) {
    size_t E = job->m->router.n_experts, D = job->m->shape.D;
    double scale = score_scale(job->m, job->w, job->layer, n), gate_scale = job->m->router.gate_scale;
    const float *gate = job->scores_only ? NULL : job->m->layers[job->layer].gate, *h = job->w->h + n * D;
    for (size_t e = 0; e < E; e++) {
        double logit = job->token_scores ? scale * (double)job->token_scores[n * E + e] : 0;
        if (gate && gate_scale != 0) logit += gate_scale * vector_dot(gate + e * D, h, D);
        logits[e] = (float)logit;
    }
}

/* logits [E] of row n += noise of a deviation that the row itself gives (Shazeer et al. 2017, eq. 4). */
static void add_noise(const struct routing_job *job, size_t n, float *logits) {
    size_t E = job->m->router.n_experts, D = job->m->shape.D;
    const float *weight = job->m->layers[job->layer].noise;
    struct mf_rng rng;
    mf_rng_seed(&rng, mf_rng_at(mf_rng_at(job->noise->key, job->layer), n));
    for (size_t e = 0; e < E; e++) {
        float z = (float)vector_dot(weight + e * D, job->w->h + n * D, D),
              normal = (float)mf_rng_normal(&rng);
        logits[e] += normal * softplus_forward(z);
        job->noise->slope[n * E + e] = normal * softplus_backward(z);
    }
}

static void route_rows(void *context, size_t begin, size_t end, int thread) {
    const struct routing_job *job = context;
    const struct mf_router *r = &job->m->router;
    size_t E = r->n_experts, K = r->top_k;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        float *logits = job->w->gate + n * E;
        row_logits(job, n, logits);
        if (job->noise) add_noise(job, n, logits);
        gate_forward(job->w->experts + n * K, job->w->weights + n * K, logits, E, K, r->over_all);
    }
}

void moe_route(const struct mf_moe *m, struct mf_moe_work *w, size_t layer, const float *token_scores,
               size_t N, const struct moe_noise *noise) {
    struct routing_job job = {m, w, layer, token_scores, noise, false};
    mf_pool_run(w->products.pool, N, 1, route_rows, &job);
}

void moe_route_scores(const struct mf_moe *m, struct mf_moe_work *w, size_t layer, const float *token_scores,
                      size_t N) {
    struct routing_job job = {m, w, layer, token_scores, NULL, true};
    mf_pool_run(w->products.pool, N, 1, route_rows, &job);
}

/* --- the way back --- */

struct back_job {
    const struct mf_moe *m;
    const struct mf_moe_work *w;
    size_t layer;
    const struct moe_route_back *b;
};

/* The balance and its gradient in dshares, from the softmax over all logits in w->gate. */
static double balance_backward(const struct back_job *j, size_t N) {
    const struct mf_moe_work *w = j->w;
    size_t E = j->m->router.n_experts, slots = N * j->m->router.top_k;
    double sum = 0;
    for (size_t e = 0; e < E; e++) {
        double share = 0, got = (double)(w->first[e + 1] - w->first[e]) / (double)slots;
        for (size_t n = 0; n < N; n++) share += (double)w->gate[n * E + e] / (double)N;
        sum += (double)E * got * share;
        j->b->dshares[e] = (float)(j->b->balance * (double)E * got / (double)N);
    }
    return sum;
}

static void logits_backward(void *context, size_t begin, size_t end, int thread) {
    const struct back_job *j = context;
    const struct mf_router *r = &j->m->router;
    size_t E = r->n_experts, K = r->top_k;
    (void)thread;
    for (size_t n = begin; n < end; n++)
        gate_backward(j->b->dlogits + n * E, j->b->dweights + n * K, j->b->dshares, j->w->gate + n * E,
                      j->w->experts + n * K, j->w->weights + n * K, E, K, r->over_all);
}

/* A mean's token scores are divided by the row's rms. dx += dlogits . d(their part)/dx, where with r = 1 /
 * rms dr/dx = -r^3 x / D. */
static void scores_backward(void *context, size_t begin, size_t end, int thread) {
    const struct back_job *j = context;
    size_t D = j->m->shape.D, E = j->m->router.n_experts;
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        double along = 0, r = (double)j->w->rstd[n], scale = score_scale(j->m, j->w, j->layer, n);
        for (size_t e = 0; e < E; e++)
            along += (double)j->b->dlogits[n * E + e] * (double)j->b->token_scores[n * E + e];
        vector_add(j->b->dx + n * D, j->w->x + n * D, (float)(-scale * r * r / (double)D * along), D);
    }
}

/* Logits are gate_scale * gate h plus noise plus the token scores' part. */
double moe_route_backward(const struct mf_moe *m, struct mf_moe_work *w, size_t layer,
                          const struct moe_route_back *b, size_t N) {
    const struct mf_moe_layer *l = &m->layers[layer];
    size_t D = m->shape.D, E = m->router.n_experts;
    struct back_job job = {m, w, layer, b};
    for (size_t n = 0; n < N && !m->router.over_all; n++) softmax(w->gate + n * E, E);
    double balance = balance_backward(&job, N);
    mf_pool_run(w->products.pool, N, 1, logits_backward, &job);
    if (b->noise) {
        float *slope = b->noise->slope;
        for (size_t i = 0; i < N * E; i++) slope[i] *= b->dlogits[i];
        matmul_backward_weight(products_fp32(w->products.pool), b->dnoise, slope, w->h, N, E, D);
        if (layer) matmul_backward_input(products_fp32(w->products.pool), b->dh, slope, l->noise, N, E, D, 1);
    }
    if (layer && m->router.mean && b->token_scores)
        mf_pool_run(w->products.pool, N, 1, scores_backward, &job);
    vector_scale(b->dlogits, (float)m->router.gate_scale, N * E);
    matmul_backward_weight(products_fp32(w->products.pool), b->dgate, b->dlogits, w->h, N, E, D);
    if (layer) matmul_backward_input(products_fp32(w->products.pool), b->dh, b->dlogits, l->gate, N, E, D, 1);
    return balance;
}
