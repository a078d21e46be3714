/* Generation: keys and values of the sequence so far, and the token_scores its router saw at each token. */
#include <stdlib.h>
#include <string.h>
#include "model/moe_internal.h"

/* Run twice (see base/arena.h). */
static void cache_layout(struct mf_moe_cache *c, const struct mf_moe *m) {
    const struct mf_shape *s = &m->shape;
    c->keys = mf_arena_floats(&c->arena, s->L * s->S * c->columns);
    c->values = mf_arena_floats(&c->arena, s->L * s->S * c->columns);
    c->state = mf_arena_take(&c->arena, m->router.n_experts + 1, sizeof *c->state);
    c->token_scores = mf_arena_floats(&c->arena, s->S * m->router.n_experts);
}

int mf_moe_cache_new(struct mf_moe_cache **out, const struct mf_moe *m, struct mf_err *err) {
    struct mf_moe_cache *c = calloc(1, sizeof *c);
    if (!c) return mf_err_set(err, EX_OSERR, "out of memory");
    c->S = m->shape.S;
    const struct heads heads = mf_shape_heads(&m->shape);
    c->columns = heads.K * heads.d;
    c->E = m->router.n_experts;
    cache_layout(c, m);
    if (mf_arena_init(&c->arena, c->arena.used, err) < 0) {
        free(c);
        return -1;
    }
    cache_layout(c, m);
    *out = c;
    return 0;
}

size_t mf_moe_cache_memory(const struct mf_moe *m) {
    struct mf_moe_cache c = {0};
    cache_layout(&c, m);
    return c.arena.used;
}

void mf_moe_cache_free(struct mf_moe_cache *c) {
    if (!c) return;
    mf_arena_free(&c->arena);
    free(c);
}

struct mf_layer_cache moe_layer_cache(const struct mf_moe_cache *c, size_t layer) {
    size_t at = layer * c->S * c->columns;
    return (struct mf_layer_cache){c->keys + at, c->values + at, c->length, c->S};
}

size_t mf_moe_cache_length(const struct mf_moe_cache *c) {
    return c->length;
}

void mf_moe_cache_clear(struct mf_moe_cache *c) {
    c->length = 0;
    memset(c->state, 0, (c->E + 1) * sizeof *c->state);
}

/* Runs n tokens whose token_scores is in its place already. */
static int add(struct mf_moe *m, struct mf_moe_work *w, struct mf_moe_cache *c, const uint32_t *tokens,
               size_t n, const struct mf_moe_hooks *hooks, const float **hidden, struct mf_err *err) {
    const size_t start[] = {0, n};
    const struct seqs one = {1, start};
    const float *token_scores = c->token_scores + c->length * m->router.n_experts;
    if (moe_run(m, w, tokens, &one, token_scores, hooks, c, hidden, err) < 0) return -1;
    c->length += n;
    return 0;
}

int mf_moe_fill(struct mf_moe *m, struct mf_moe_work *w, struct mf_moe_cache *c, const uint32_t *tokens,
                size_t n, const struct mf_moe_hooks *hooks, const float **hidden, struct mf_err *err) {
    if (n > c->S - c->length || (n > 1 && c->length > 0)) abort();
    mf_moe_token_scores(m, c->state, tokens, n, c->token_scores + c->length * m->router.n_experts);
    return add(m, w, c, tokens, n, hooks, hidden, err);
}

void mf_moe_skip(const struct mf_moe *m, struct mf_moe_cache *c, const uint32_t *tokens, size_t n) {
    if (c->length > 0) abort();
    for (size_t i = 0, part; i < n; i += part) {
        part = n - i < c->S ? n - i : c->S;
        mf_moe_token_scores(m, c->state, tokens + i, part, c->token_scores);
    }
}

int mf_moe_slide(struct mf_moe *m, struct mf_moe_work *w, struct mf_moe_cache *c, const uint32_t *tokens,
                 size_t n, struct mf_err *err) {
    const float *hidden;
    size_t E = m->router.n_experts;
    if (n > c->length) abort();
    memmove(c->token_scores, c->token_scores + (c->length - n) * E, n * E * sizeof *c->token_scores);
    c->length = 0;
    return n > 0 ? add(m, w, c, tokens, n, NULL, &hidden, err) : 0;
}
