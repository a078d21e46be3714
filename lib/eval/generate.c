/* Feeding tokens through the cache and drawing new ones. */
#include "eval/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "eval/outtext.h"

struct mf_generator {
    struct mf_moe *moe;
    struct mf_moe_work *work;
    const struct mf_tokenizer *tokenizer;
    struct mf_encoder *encoder;
    struct mf_moe_cache *cache;
    float *logits;                /* [V] */
    struct mf_candidate *scratch; /* [V] */
    double *weights;              /* [S,E] of the tokens being fed, summed over layers */
};

int mf_generator_new(struct mf_generator **generator, struct mf_moe *moe, struct mf_moe_work *work,
                     const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    struct mf_generator *g = calloc(1, sizeof *g);
    if (!g) mf_no_memory();
    *g = (struct mf_generator){.moe = moe, .work = work, .tokenizer = tokenizer};
    g->logits = reallocarray(NULL, moe->shape.V, sizeof *g->logits);
    g->scratch = reallocarray(NULL, moe->shape.V, sizeof *g->scratch);
    g->weights = reallocarray(NULL, moe->shape.S * moe->router.n_experts, sizeof *g->weights);
    if (!g->logits || !g->scratch || !g->weights) mf_no_memory();
    if (mf_encoder_new(&g->encoder, tokenizer, err) < 0 || mf_moe_cache_new(&g->cache, moe, err) < 0) {
        mf_generator_free(g);
        return -1;
    }
    *generator = g;
    return 0;
}

size_t mf_generator_memory(const struct mf_moe *moe) {
    const struct mf_generator *g = NULL;
    return moe->shape.V * (sizeof *g->logits + sizeof *g->scratch) +
           moe->shape.S * moe->router.n_experts * sizeof *g->weights + mf_moe_cache_memory(moe);
}

void mf_generator_free(struct mf_generator *g) {
    if (!g) return;
    mf_encoder_free(g->encoder);
    mf_moe_cache_free(g->cache);
    free(g->logits);
    free(g->scratch);
    free(g->weights);
    free(g);
}

static void add_weights(void *context, size_t layer, const uint32_t *experts, const float *weights,
                        const float *h, size_t N) {
    struct mf_generator *g = context;
    size_t E = g->moe->router.n_experts, K = g->moe->router.top_k;
    (void)layer;
    (void)h;
    for (size_t i = 0; i < N * K; i++) g->weights[i / K * E + experts[i]] += (double)weights[i];
}

/* Feeds ids[at] to ids[at + n - 1], n > 1 only at the beginning; when the context is full, goes on from the
 * last half of it. *hidden is the last one's row. */
static int feed(struct mf_generator *g, struct mf_generated *r, size_t at, size_t n, const float **hidden,
                struct mf_err *err) {
    const struct mf_moe_hooks hooks = {.context = g, .routed = add_weights};
    size_t E = g->moe->router.n_experts, S = g->moe->shape.S;
    if (mf_moe_cache_length(g->cache) == S) {
        r->slid = true;
        if (mf_moe_slide(g->moe, g->work, g->cache, r->ids.ids + at - S / 2, S / 2, err) < 0) return -1;
    }
    memset(g->weights, 0, n * E * sizeof *g->weights);
    if (mf_moe_fill(g->moe, g->work, g->cache, r->ids.ids + at, n, &hooks, hidden, err) < 0) return -1;
    *hidden += (n - 1) * g->moe->shape.D;
    for (size_t i = 0; r->experts.count > 0 && i < n; i++) {
        const double *weights = g->weights + i * E;
        uint32_t best = 0;
        for (uint32_t e = 1; e < E; e++)
            if (weights[e] > weights[best]) best = e;
        r->experts.ids[at + i] = best;
    }
    return 0;
}

/* Feeds the prompt. Of one longer than the context, only the window that sliding would have come to. */
static int read_prompt(struct mf_generator *g, struct mf_generated *r, const float **hidden,
                       struct mf_err *err) {
    size_t S = g->moe->shape.S, step = S - S / 2, skipped = 0;
    mf_moe_cache_clear(g->cache);
    if (r->n_prompt > S) {
        skipped = (r->n_prompt - S + step - 1) / step * step;
        r->slid = true;
        mf_moe_skip(g->moe, g->cache, r->ids.ids, skipped);
    }
    return feed(g, r, skipped, r->n_prompt - skipped, hidden, err);
}

/* Leaves out what is never a target, the unknown token, and rows of the embedding without a token. */
static void forbid(struct mf_generator *g) {
    const struct mf_specials *s = &g->moe->specials;
    const int64_t never[] = {s->pad, s->bos, mf_tokenizer_special(g->tokenizer, MF_UNK)};
    for (size_t i = 0; i < 3; i++)
        if (never[i] >= 0 && (size_t)never[i] < g->moe->shape.V && never[i] != s->eos)
            g->logits[never[i]] = -INFINITY;
    for (size_t i = mf_tokenizer_size(g->tokenizer); i < g->moe->shape.V; i++) g->logits[i] = -INFINITY;
}

/* Draws the token that follows the row `hidden`. */
static int draw(struct mf_generator *g, const struct mf_generated *r, const float *hidden,
                const struct mf_sampling *sampling, struct mf_rng *rng, uint32_t *token, struct mf_err *err) {
    size_t V = g->moe->shape.V, S = g->moe->shape.S, n = r->ids.count < S ? r->ids.count : S;
    if (mf_moe_logits(g->moe, g->work, hidden, g->logits, err) < 0) return -1;
    for (size_t i = 0; i < V; i++)
        if (!isfinite(g->logits[i]))
            return mf_err_set(err, EX_SOFTWARE, "%s: a logit is not finite", g->moe->name);
    mf_penalise(g->logits, V, r->ids.ids + r->ids.count - n, n, sampling->repetition_penalty);
    forbid(g);
    *token = mf_sample(sampling, g->logits, V, rng, g->scratch);
    if (*token >= V) return mf_err_set(err, EX_DATAERR, "%s: the vocabulary holds no text", g->moe->name);
    return 0;
}

/* Hands on what is settled and keeps it in the result. */
static int pass_on(struct mf_outtext *t, bool end, const struct mf_generate_options *o,
                   struct mf_generated *r, struct mf_err *err) {
    const char *bytes;
    size_t size;
    while (mf_outtext_next(t, end, &bytes, &size)) {
        r->text = realloc(r->text, r->size + size);
        if (!r->text) mf_no_memory();
        memcpy(r->text + r->size, bytes, size);
        r->size += size;
        if (o->text && o->text(o->context, bytes, size, err) < 0) return -1;
    }
    return 0;
}

static int continue_prompt(struct mf_generator *g, const float *hidden, struct mf_rng *rng,
                           const struct mf_generate_options *o, struct mf_outtext *t, struct mf_generated *r,
                           struct mf_err *err) {
    r->end = MF_END_LENGTH;
    for (size_t i = 0; i < o->max_tokens; i++) {
        if (o->halted && o->halted(o->context)) {
            r->end = MF_END_HALTED;
            break;
        }
        uint32_t token = 0;
        const char *bytes;
        size_t size;
        if (draw(g, r, hidden, &o->sampling, rng, &token, err) < 0) return -1;
        if (mf_ids_add(&r->ids, token, err) < 0) return -1;
        if (o->experts && mf_ids_add(&r->experts, UINT32_MAX, err) < 0) return -1;
        if ((int64_t)token == g->moe->specials.eos) {
            r->end = MF_END_EOS;
            break;
        }
        mf_tokenizer_bytes(g->tokenizer, token, &bytes, &size);
        if (r->n_prompt == r->n_begin && i == 0) { /* it begins a text */
            size_t lead = mf_tokenizer_lead(g->tokenizer, token);
            bytes += lead;
            size -= lead;
        }
        if (mf_outtext_add(t, bytes, size)) {
            r->end = MF_END_STOP;
            break;
        }
        if (pass_on(t, false, o, r, err) < 0) return -1;
        if (i + 1 < o->max_tokens && feed(g, r, r->ids.count - 1, 1, &hidden, err) < 0) return -1;
    }
    return pass_on(t, true, o, r, err);
}

/* The token before the prompt. */
static int begin(const struct mf_generator *g, bool empty, struct mf_generated *r, struct mf_err *err) {
    const struct mf_specials *s = &g->moe->specials;
    int64_t first = s->bos < 0 && empty ? s->eos : s->bos;
    if (first < 0 && empty)
        return mf_err_set(err, EX_DATAERR, "%s: no token begins its texts: give it a prompt", g->moe->name);
    if (first < 0) return 0;
    r->n_begin = 1;
    return mf_ids_add(&r->ids, (uint32_t)first, err);
}

int mf_generate(struct mf_generator *g, const char *prompt, size_t size, uint64_t key,
                const struct mf_generate_options *o, struct mf_generated *r, struct mf_err *err) {
    struct mf_outtext text = {.stops = o->stops};
    struct mf_rng rng;
    const float *hidden = NULL;
    *r = (struct mf_generated){0};
    mf_rng_seed(&rng, key);
    int status = begin(g, size == 0, r, err);
    if (status == 0) status = mf_encode(g->encoder, prompt, size, MF_SPECIAL_TEXT, &r->ids, err);
    r->n_prompt = r->ids.count;
    for (size_t i = 0; o->experts && i < r->n_prompt && status == 0; i++)
        status = mf_ids_add(&r->experts, UINT32_MAX, err);
    if (status == 0) status = read_prompt(g, r, &hidden, err);
    if (status == 0) status = continue_prompt(g, hidden, &rng, o, &text, r, err);
    mf_outtext_clear(&text);
    if (status < 0) mf_generated_clear(r);
    return status;
}

void mf_generated_clear(struct mf_generated *r) {
    free(r->ids.ids);
    free(r->text);
    free(r->experts.ids);
    *r = (struct mf_generated){0};
}
