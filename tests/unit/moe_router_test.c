/* The router's token scores and logits beside plain loops, and along a text that is generated. */
#include "moe_fixture.h"

#include <math.h>
#include "model/moe_internal.h"

enum { BOS = 2, PAD = 0, EOS = 3, LONG = 21 };
/* windows of documents have PAD at no place but the end, streams may have it anywhere, and BOS too */
static const uint32_t text[LONG] = {BOS, 7,  9, PAD, 22, 5, 5, EOS, 17, 4, 9,
                                    11,  12, 7, 7,   20, 8, 6, BOS, 15, 13};

static void set_router(struct fixture *f, bool mean) {
    struct mf_router *r = &f->moe->router;
    f->moe->log_likelihood = make_random((size_t)E * shape.V, 9);
    r->score_scale = mean ? 60 : 0.7;
    r->gate_scale = 0.3;
    r->decay = 0.9;
    r->mean = mean;
    r->bos_weight = 11;
    for (size_t i = 0; i < shape.L; i++) r->layer_scale[i] = 0.5 + 0.3 * (double)i;
    for (size_t e = 0; e < E; e++) r->prior[e] = mean ? 2 - (double)e : 0;
}

static void unset_router(struct fixture *f) {
    free(f->moe->log_likelihood);
    f->moe->log_likelihood = NULL;
}

/* Score e after the first `n` tokens, from the definition: every token by itself, at its distance. */
static double naive_score(const struct mf_moe *m, size_t n, size_t e) {
    const struct mf_router *r = &m->router;
    double sum = r->prior[e], weight = r->bos_weight, power = 1;
    for (size_t i = n; i-- > 0;) {
        if (text[i] == BOS || (text[i] == PAD && !r->mean)) continue;
        if (text[i] != PAD) sum += power * (double)m->log_likelihood[e * shape.V + text[i]];
        weight += power;
        power *= r->decay;
    }
    return r->mean ? sum / weight : sum;
}

static void check_scores(const struct mf_moe *m, size_t first_part) {
    double state[E + 1] = {0};
    float scores[LONG * E];
    mf_moe_token_scores(m, state, text, first_part, scores);
    mf_moe_token_scores(m, state, text + first_part, LONG - first_part, scores + first_part * E);
    for (size_t n = 0; n < LONG; n++)
        for (size_t e = 1; e < E; e++) {
            double expected = naive_score(m, n + 1, e) - naive_score(m, n + 1, 0);
            assert_true(fabs((double)(scores[n * E + e] - scores[n * E]) - expected) < 1e-6);
        }
}

/* Differences of scores, of a text that comes whole or in two parts. */
static void test_scores(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, 1);
    for (int mean = 0; mean < 2; mean++) {
        set_router(&f, mean);
        check_scores(f.moe, LONG);
        check_scores(f.moe, 6);
        unset_router(&f);
    }
    end(&f);
}

/* Logits of random rows. */
static void check_logits(struct fixture *f, size_t layer) {
    const struct mf_router *r = &f->moe->router;
    const float *gate = f->moe->layers[layer].gate;
    float *h = make_random(ROWS * shape.D, 31), *rstd = make_random(ROWS, 32);
    memcpy(f->work->h, h, ROWS * shape.D * sizeof *h);
    memcpy(f->work->rstd, rstd, ROWS * sizeof *rstd);
    moe_route(f->moe, f->work, layer, f->token_scores, ROWS, NULL);
    for (size_t n = 0; n < ROWS; n++)
        for (size_t e = 0; e < E; e++) {
            double logit = r->score_scale * (double)f->token_scores[n * E + e];
            if (r->mean) logit *= r->layer_scale[layer] * (double)rstd[n];
            for (size_t d = 0; d < shape.D; d++)
                logit += r->gate_scale * (double)gate[e * shape.D + d] * (double)h[n * shape.D + d];
            assert_true(fabs((double)f->work->gate[n * E + e] - logit) < 1e-5 * (1 + fabs(logit)));
        }
    free(h);
    free(rstd);
}

static void test_logits(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, 2);
    for (int mean = 0; mean < 2; mean++) {
        set_router(&f, mean);
        for (size_t i = 0; i < shape.L; i++) check_logits(&f, i);
        unset_router(&f);
    }
    end(&f);
}

/* --- generation --- */

static void assert_rows(const float *is, const float *expected, size_t rows) {
    for (size_t i = 0; i < rows * shape.D; i++)
        assert_true(fabsf(is[i] - expected[i]) < 2e-5f * (1 + fabsf(expected[i])));
}

/* Hidden rows [n,D] of text[first ..], whose scores go on from what stands before it; new memory. */
static float *forward(struct fixture *f, size_t first, size_t n) {
    struct mf_err err;
    const float *hidden;
    const size_t whole[] = {0, n};
    double state[E + 1] = {0};
    float scores[LONG * E], *rows = make_zeros(n * shape.D);
    mf_moe_token_scores(f->moe, state, text, first + n, scores);
    const struct seqs one = {1, whole};
    assert_int_equal(
        mf_moe_forward(f->moe, f->work, text + first, &one, scores + first * E, NULL, &hidden, &err), 0);
    memcpy(rows, hidden, n * shape.D * sizeof *rows);
    return rows;
}

/* Tokens from `at` to `end` into the cache: the first `together` at once. Their last hidden row is row `end`
 * of the text that comes whole, from the cache's first token on. */
static void fill_cache(struct fixture *f, struct mf_moe_cache *cache, size_t at, size_t end,
                       size_t together) {
    struct mf_err err;
    const float *hidden;
    size_t length = mf_moe_cache_length(cache), first = at - length, n;
    float *expected = forward(f, first, end - first);
    for (; at < end; at += n) {
        n = length == 0 && at == first ? together : 1;
        assert_int_equal(mf_moe_fill(f->moe, f->work, cache, text + at, n, NULL, &hidden, &err), 0);
        assert_rows(hidden, expected + (at - first) * shape.D, n);
    }
    free(expected);
}

/* Skipped, filled, slid and filled again: every row is that of a forward pass over the cache's tokens, with
 * scores of the whole text. */
static void generate(struct fixture *f) {
    struct mf_err err;
    struct mf_moe_cache *cache;
    size_t S = shape.S, kept = 3, at = 4;
    assert_int_equal(mf_moe_cache_new(&cache, f->moe, &err), 0);
    mf_moe_skip(f->moe, cache, text, at);
    fill_cache(f, cache, at, at + S, 3);
    at += S;
    for (; at + S - kept < LONG; at += S - kept) {
        assert_int_equal(mf_moe_slide(f->moe, f->work, cache, text + at - kept, kept, &err), 0);
        fill_cache(f, cache, at, at + S - kept, 1);
    }
    mf_moe_cache_clear(cache);
    fill_cache(f, cache, 0, S, 2);
    mf_moe_cache_free(cache);
}

static void test_generation(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, 2);
    for (int mean = 0; mean < 2; mean++) {
        set_router(&f, mean);
        generate(&f);
        unset_router(&f);
    }
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_generation),
    };
    return cmocka_run_group_tests_name("llama", tests, begin_llama, leave_folder) +
           cmocka_run_group_tests_name("normed", tests, begin_normed, leave_folder) +
           cmocka_run_group_tests_name("attention", tests, begin_attention, leave_folder) +
           cmocka_run_group_tests_name("normed attention", tests, begin_normed_attention, leave_folder);
}
