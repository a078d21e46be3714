/* The partitioner's mathematics but clustering: terms and sketches, balanced assignment, the curriculum,
 * agreement. */
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "balance.h"
#include "base/rng.h"
#include "partition/general.h"
#include "partition/nmi.h"
#include "partition/assign.h"
#include "partition/balance.h"
#include "partition/known.h"
#include "partition/overlap.h"
#include "partition/plan.h"
#include "partition/sketch.h"
#include "partition/difficulty.h"

static struct mf_err err;

/* --- terms and sketches --- */

static void terms_are_chosen_by_document_frequency(void **state) {
    (void)state;
    uint32_t df[] = {0, 10, 1, 5, 0, 9};
    struct mf_terms terms;
    assert_int_equal(mf_terms_choose(&terms, df, 6, 10, 100, &err), 0);
    assert_int_equal(terms.count, 4); /* ids with df 0 are no terms */
    assert_int_equal(terms.ids[0], 1);
    assert_true(fabs(terms.idf[0] - log(11 / 10.5)) < 1e-6);
    assert_true(fabs(terms.idf[1] - log(11 / 1.5)) < 1e-6);
    mf_terms_free(&terms);
    /* df * idf: id 3: 5 log 2 = 3.5, id 2: 1.99, id 5: 1.32, id 1: 0.47 */
    assert_int_equal(mf_terms_choose(&terms, df, 6, 10, 2, &err), 0);
    assert_int_equal(terms.count, 2);
    assert_int_equal(terms.ids[0], 2);
    assert_int_equal(terms.ids[1], 3);
    mf_terms_free(&terms);
}

static void saved_terms_are_checked(void **state) {
    (void)state;
    struct mf_terms terms;
    assert_int_equal(mf_terms_alloc(&terms, 10, 2, &err), 0);
    terms.ids[0] = 3, terms.ids[1] = 7, terms.idf[0] = terms.idf[1] = 1;
    assert_int_equal(mf_terms_index(&terms), 0);
    assert_int_equal(terms.feature_of[7], 1);
    terms.ids[1] = 10;
    assert_int_equal(mf_terms_index(&terms), -1);
    terms.ids[1] = 3;
    assert_int_equal(mf_terms_index(&terms), -1);
    terms.ids[1] = 7, terms.idf[1] = NAN;
    assert_int_equal(mf_terms_index(&terms), -1);
    mf_terms_free(&terms);
}

static void a_sketch_is_a_unit_vector_of_tf_idf(void **state) {
    (void)state;
    uint32_t df[] = {0, 1, 2, 4};
    uint32_t tokens[] = {2, 0, 1, 2, 3, 0, 2};
    struct mf_sketch_term out[MF_SKETCH_TERMS];
    struct mf_terms terms;
    struct mf_sketcher s;
    assert_int_equal(mf_terms_choose(&terms, df, 4, 4, 100, &err), 0);
    assert_int_equal(mf_sketcher_init(&s, &terms, &err), 0);
    double w[] = {log(5 / 1.5), (1 + log(3)) * log(5 / 2.5), log(5 / 4.5)};
    double norm = sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2]);
    for (int again = 0; again < 2; again++) { /* counts are zero again after a document */
        assert_int_equal(mf_sketch(&s, tokens, 7, out), 3);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(out[i].feature, i);
            assert_true(fabs(out[i].weight / 65535.0 - w[i] / norm) < 1.0 / 65535);
        }
    }
    assert_int_equal(mf_sketch(&s, tokens, 0, out), 0);
    uint32_t none[] = {0, 0};
    assert_int_equal(mf_sketch(&s, none, 2, out), 0);
    mf_sketcher_free(&s);
    mf_terms_free(&terms);
}

static void a_long_document_keeps_its_heaviest_terms(void **state) {
    (void)state;
    enum { V = 2000 };
    uint32_t df[V], tokens[V];
    struct mf_sketch_term out[MF_SKETCH_TERMS];
    struct mf_terms terms;
    struct mf_sketcher s;
    for (uint32_t i = 0; i < V; i++) {
        df[i] = 1 + (uint32_t)mf_rng_permute(7, V, i); /* all different */
        tokens[i] = i;
    }
    assert_int_equal(mf_terms_choose(&terms, df, V, V + 1, V, &err), 0);
    assert_int_equal(mf_sketcher_init(&s, &terms, &err), 0);
    assert_int_equal(mf_sketch(&s, tokens, V, out), MF_SKETCH_TERMS);
    for (int i = 0; i < MF_SKETCH_TERMS; i++) {
        assert_true(df[out[i].feature] <= MF_SKETCH_TERMS); /* the rarest are the heaviest */
        if (i > 0) assert_true(out[i].feature > out[i - 1].feature);
    }
    for (uint32_t i = 0; i < V; i++) df[i] = 5; /* all alike: the lowest ids */
    mf_sketcher_free(&s);
    mf_terms_free(&terms);
    assert_int_equal(mf_terms_choose(&terms, df, V, V + 1, V, &err), 0);
    assert_int_equal(mf_sketcher_init(&s, &terms, &err), 0);
    assert_int_equal(mf_sketch(&s, tokens, V, out), MF_SKETCH_TERMS);
    for (int i = 0; i < MF_SKETCH_TERMS; i++) assert_int_equal(out[i].feature, i);
    mf_sketcher_free(&s);
    mf_terms_free(&terms);
}

/* --- assignment --- */

static void assignment_balances_whatever_the_scores(void **state) {
    (void)state;
    enum { N = 300, E = 7 };
    float scores[N * E];
    uint32_t tokens[N];
    uint16_t partition[N], again[N];
    double prices[E], total;
    struct mf_rng rng;
    mf_rng_seed(&rng, 1);
    for (int kind = 0; kind < 4; kind++) {
        total = 0;
        for (int i = 0; i < N; i++) {
            tokens[i] = (uint32_t)(1 + mf_rng_below(&rng, 100));
            total += tokens[i];
            for (int e = 0; e < E; e++)
                scores[i * E + e] = kind == 0   ? 0        /* all points coincide */
                                    : kind == 1 ? (e == 2) /* all want one */
                                    : kind == 2 ? (float)mf_rng_uniform(&rng) + (e == 1) /* most want one */
                                                : (i < 270 ? (float)(e == 0) : (float)mf_rng_uniform(&rng));
        }
        for (int slack = 0; slack < 2; slack++) {
            double capacity = (slack ? 1.3 : 1.0) * total / E;
            assert_int_equal(mf_assign_balanced(scores, tokens, N, E, capacity, partition, prices, &err), 0);
            check_balance(partition, tokens, N, E, capacity);
            assert_int_equal(mf_assign_balanced(scores, tokens, N, E, capacity, again, prices, &err), 0);
            assert_memory_equal(partition, again, sizeof partition);
            for (int e = 0; e < E; e++) assert_true(isfinite(prices[e]) && prices[e] >= 0);
        }
    }
}

static void assignment_is_optimal_where_it_can_be_tried_out(void **state) {
    (void)state;
    enum { N = 8 };
    float scores[N * 2];
    uint32_t tokens[N];
    uint16_t partition[N];
    double prices[2];
    struct mf_rng rng;
    mf_rng_seed(&rng, 2);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < N; i++)
            tokens[i] = 1, scores[2 * i] = (float)mf_rng_uniform(&rng),
            scores[2 * i + 1] = (float)mf_rng_uniform(&rng) * 0.3f;
        assert_int_equal(mf_assign_balanced(scores, tokens, N, 2, 0.5 * N, partition, prices, &err), 0);
        double best = -1, own = 0;
        for (unsigned mask = 0; mask < 1u << N; mask++) {
            double sum = 0;
            if (__builtin_popcount(mask) != N / 2) continue;
            for (int i = 0; i < N; i++) sum += scores[2 * i + (mask >> i & 1)];
            best = fmax(best, sum);
        }
        for (int i = 0; i < N; i++) own += scores[2 * i + partition[i]];
        assert_true(fabs(best - own) < 1e-5);
    }
}

static void assignment_without_pressure_takes_the_best(void **state) {
    (void)state;
    float scores[] = {0.1f, 0.9f, 0.8f, 0.2f, 0.3f, 0.4f, 0.5f, 0.1f};
    uint32_t tokens[] = {5, 5, 5, 5};
    uint16_t partition[4];
    double prices[2];
    assert_int_equal(mf_assign_balanced(scores, tokens, 4, 2, 1000, partition, prices, &err), 0);
    assert_int_equal(partition[0], 1);
    assert_int_equal(partition[1], 0);
    assert_int_equal(partition[2], 1);
    assert_int_equal(partition[3], 0);
    assert_true(prices[0] == 0 && prices[1] == 0);
    /* one partition; no tokens at all */
    assert_int_equal(mf_assign_balanced(scores, tokens, 4, 1, 20, partition, prices, &err), 0);
    memset(tokens, 0, sizeof tokens);
    assert_int_equal(mf_assign_balanced(scores, tokens, 4, 2, 0, partition, prices, &err), 0);
    check_balance(partition, tokens, 4, 2, 1);
}

/* --- curriculum, overlap --- */

static void difficulty_is_the_formula(void **state) {
    (void)state;
    struct mf_distinct words = {0};
    double d;
    const char text[] = "  one two\tthree\nthree \xc3\xa9t\xc3\xa9 ";
    assert_int_equal(mf_difficulty(&words, text, sizeof text - 1, &d, &err), 0);
    assert_true(fabs(d - (3 + 3 + 5 + 5 + 3) / 5.0 * log(4) * sqrt(5)) < 1e-9);
    assert_int_equal(mf_difficulty(&words, "", 0, &d, &err), 0);
    assert_true(d == 0);
    assert_int_equal(mf_difficulty(&words, " \n ", 3, &d, &err), 0);
    assert_true(d == 0);
    assert_int_equal(mf_difficulty(&words, "same same", 9, &d, &err), 0);
    assert_true(d == 0);
    assert_int_equal(mf_difficulty(&words, "a\0b c", 5, &d, &err), 0); /* a zero byte is a byte */
    assert_true(fabs(d - 4 / 2.0 * log(2) * sqrt(2)) < 1e-9);
    char *many = malloc(70001); /* 10000 different words: the set grows */
    for (int i = 0; i < 10000; i++) snprintf(many + 7 * i, 8, "w%05d ", i);
    assert_int_equal(mf_difficulty(&words, many, 69999, &d, &err), 0);
    assert_true(fabs(d - 6 * log(10000) * 100) < 1e-6);
    free(many);
    mf_distinct_free(&words);
}

/* A corpus of documents of given tokens and difficulties, with empty sketches. */
struct made {
    struct mf_corpus corpus;
    struct mf_spill sketches;
    struct mf_pool *pool;
};

static struct mf_view make_corpus(struct made *m, const float *difficulty, const uint32_t *tokens, size_t n) {
    *m = (struct made){.corpus.count = n};
    for (size_t i = 0; i < n; i++) {
        struct mf_fact fact;
        memset(&fact, 0, sizeof fact);
        fact.fingerprint = 1000 - i / 2; /* two copies of each text */
        fact.tokens = tokens[i];
        fact.difficulty = difficulty ? difficulty[i] : 0;
        fact.label = MF_NO_LABEL;
        assert_int_equal(mf_spill_append(&m->corpus.facts, &fact, sizeof fact, &err), 0);
        assert_int_equal(mf_sketch_put(&m->sketches, NULL, 0, &err), 0);
    }
    assert_int_equal(mf_pool_new(&m->pool, 2, &err), 0);
    return (struct mf_view){&m->corpus, &m->sketches, NULL, n, m->pool};
}

static void free_corpus(struct made *m) {
    mf_spill_free(&m->sketches);
    mf_corpus_free(&m->corpus);
    mf_pool_free(m->pool);
}

/* Takes n places out of a spill, and frees it. */
static void take_places(struct mf_spill *places, uint16_t *partition, size_t n) {
    assert_int_equal(places->size, n * sizeof *partition);
    assert_int_equal(mf_spill_read(places, partition, n * sizeof *partition, 0, &err), 0);
    mf_spill_free(places);
}

static void the_curriculum_is_cut_in_equal_parts(void **state) {
    (void)state;
    float difficulty[] = {9, 1, 5, 3, 7, 2};
    uint32_t tokens[] = {10, 10, 10, 10, 10, 10};
    uint16_t partition[6], want[] = {2, 0, 1, 1, 2, 0};
    double upper[3];
    struct made m;
    struct mf_spill places = {0};
    struct mf_view view = make_corpus(&m, difficulty, tokens, 6);
    assert_int_equal(mf_plan_curriculum(&view, 3, 1 << 16, upper, &places, &err), 0);
    take_places(&places, partition, 6);
    assert_memory_equal(partition, want, sizeof want);
    assert_true(upper[0] == 2 && upper[1] == 5 && upper[2] == 9);
    free_corpus(&m);
    /* equal difficulties, and a document of nearly all tokens at either end: no partition is empty */
    for (int heavy = 0; heavy < 6; heavy++) {
        for (int i = 0; i < 6; i++) difficulty[i] = 4, tokens[i] = i == heavy ? 1000 : 1;
        view = make_corpus(&m, difficulty, tokens, 6);
        for (size_t E = 1; E <= 6; E++) {
            double tops[6];
            assert_int_equal(mf_plan_curriculum(&view, E, 1 << 16, tops, &places, &err), 0);
            take_places(&places, partition, 6);
            for (int i = 0; i < 6; i++)
                assert_true(i == 0 ? partition[0] == 0 : partition[i] - partition[i - 1] <= 1);
            assert_int_equal(partition[5], E - 1);
        }
        free_corpus(&m);
    }
}

static void overlap_takes_the_nearest_of_others(void **state) {
    (void)state;
    struct mf_overlap *overlap;
    float to_first[] = {1, 1, 1, 0.2f, 0.9f, 0.3f};
    uint64_t own[] = {30, 30};
    uint16_t list[2];
    /* 15 tokens wanted by each: document 4, and one more, 5; of equals, with -0 too, the earlier ones, 0 and
     * 1 */
    static const size_t taken[] = {1, 1, 0, 0, 1, 1};
    assert_int_equal(mf_overlap_new(&overlap, 1 << 16, &err), 0);
    for (size_t i = 6; i-- > 0;)
        assert_int_equal(
            mf_overlap_offer(overlap, i, i < 3, i < 3 ? (i == 2 ? 0.0f : -0.0f) : to_first[i], 10, &err), 0);
    assert_int_equal(mf_overlap_choose(overlap, own, 0.5, &err), 0);
    assert_int_equal(mf_overlap_begin(overlap, &err), 0);
    for (size_t i = 0; i < 6; i++) {
        size_t n;
        assert_int_equal(mf_overlap_next(overlap, i, list, &n, &err), 0);
        assert_int_equal(n, taken[i]);
        if (n > 0) assert_int_equal(list[0], i < 3);
    }
    mf_overlap_free(overlap);
}

static void known_documents_are_found_copy_by_copy(void **state) {
    (void)state;
    enum { N = 5000 };
    static uint32_t tokens[N];
    static uint16_t partition[N], found[N];
    struct made m;
    struct mf_partition p = {.E = 7};
    struct mf_spill places = {0}, known = {0};
    size_t count;
    for (size_t i = 0; i < N; i++) {
        tokens[i] = 1;
        assert_int_equal(mf_places_add(&places, partition[i] = (uint16_t)(i * i % 7), &err), 0);
    }
    struct mf_view view = make_corpus(&m, NULL, tokens, N);
    assert_int_equal(mf_partition_alloc(&p, &err), 0);
    assert_int_equal(mf_known_set(&p, &m.corpus, &places, 1 << 12, &err), 0); /* runs go to disk */
    assert_int_equal(p.documents, N);
    assert_int_equal(mf_known_find(&p, &m.corpus, 1 << 12, &known, &count, &err), 0);
    assert_int_equal(count, N);
    take_places(&known, found, N);
    assert_memory_equal(found, partition, sizeof found);
    /* of a table of the first three, the first two are copies, the third has another copy, the rest is new */
    mf_spill_free(&p.table);
    p.documents = 0;
    assert_int_equal(mf_partition_know(&p, 999, 3, &err), 0);
    assert_int_equal(mf_partition_know(&p, 1000, 5, &err), 0);
    assert_int_equal(mf_partition_know(&p, 1000, 6, &err), 0);
    assert_int_equal(mf_known_find(&p, view.corpus, 1 << 12, &known, &count, &err), 0);
    assert_int_equal(count, 4);
    take_places(&known, found, N);
    static const uint16_t want[] = {5, 6, 3, 3, MF_NO_PARTITION, MF_NO_PARTITION};
    assert_memory_equal(found, want, sizeof want);
    mf_spill_free(&places);
    mf_partition_free(&p);
    free_corpus(&m);
}

/* --- balance among the nearest few, the search in groups --- */

static void few_candidates_are_enough_for_balance(void **state) {
    (void)state;
    enum { N = 4000, E = 20 };
    static uint32_t tokens[N];
    static uint16_t partition[N];
    struct mf_rng rng;
    double prices[E];
    mf_rng_seed(&rng, 4);
    for (int kind = 0; kind < 4; kind++) {
        struct mf_spill candidates = {0}, places = {0};
        double total = 0;
        for (int i = 0; i < N; i++) {
            struct mf_near near[3];
            /* all want the same three; a few, in the stream's order; any */
            uint16_t first = 0;
            if (kind == 1) first = (uint16_t)(i * 5 / N);
            if (kind > 1) first = (uint16_t)mf_rng_below(&rng, E - 2);
            total += tokens[i] = (uint32_t)(1 + mf_rng_below(&rng, kind == 3 ? 1000 : 100));
            for (int k = 0; k < 3; k++)
                near[k] =
                    (struct mf_near){kind == 0 ? 0 : (float)mf_rng_uniform(&rng), (uint16_t)(first + k)};
            assert_int_equal(mf_candidates_add(&candidates, tokens[i], near, 3, &err), 0);
        }
        for (int e = 0; e < E; e++) prices[e] = 0;
        assert_int_equal(mf_balance(&candidates, N, E, total / E, prices, &places, &err), 0);
        take_places(&places, partition, N);
        check_balance(partition, tokens, N, E, total / E);
        for (int e = 0; e < E; e++) assert_true(isfinite(prices[e]) && prices[e] >= 0);
        mf_spill_free(&candidates);
    }
}

static void prices_send_the_least_attached_away(void **state) {
    (void)state;
    /* All prefer partition 0, document i by i / N; half of them have room there. */
    enum { N = 1000 };
    static uint16_t partition[N];
    struct mf_spill candidates = {0}, places = {0};
    double prices[2] = {0};
    size_t wrong = 0;
    for (int i = 0; i < N; i++) {
        int rank = i * 7 % N; /* in no order */
        struct mf_near near[] = {{(float)rank / N, 0}, {0, 1}};
        assert_int_equal(mf_candidates_add(&candidates, 10, near, 2, &err), 0);
    }
    assert_int_equal(mf_balance(&candidates, N, 2, 10 * N / 2.0, prices, &places, &err), 0);
    take_places(&places, partition, N);
    for (int i = 0; i < N; i++) wrong += partition[i] != (i * 7 % N < N / 2);
    assert_true(wrong <= N / 50);
    assert_true(fabs(prices[0] - 0.5) < 0.02 && prices[1] == 0);
    mf_spill_free(&candidates);
}

static void many_partitions_are_searched_in_groups(void **state) {
    (void)state;
    /* 400 partitions in 20 families: a centroid has terms of its family and of its own. */
    enum { FAMILIES = 20, E = 400, F = FAMILIES + E };
    uint32_t df[F];
    struct mf_partition p = {.method = MF_CLUSTERED, .E = E, .vocab = F};
    struct mf_nearness *nearness;
    struct mf_pool *pool;
    struct mf_near near[MF_NEAREST];
    size_t found = 0;
    for (size_t f = 0; f < F; f++) df[f] = 1;
    assert_int_equal(mf_terms_choose(&p.terms, df, F, F, F, &err), 0);
    assert_int_equal(mf_partition_alloc(&p, &err), 0);
    for (size_t e = 0; e < E; e++) {
        p.centroids[e % FAMILIES * E + e] = 0.6f;
        p.centroids[(FAMILIES + e) * E + e] = 0.8f;
    }
    assert_int_equal(mf_pool_new(&pool, 2, &err), 0);
    assert_int_equal(mf_nearness_new(&nearness, &p, 0, pool, &err), 0);
    for (size_t e = 0; e < E; e++) {
        struct mf_sketch_term terms[] = {{(uint16_t)(e % FAMILIES), 39321},
                                         {(uint16_t)(FAMILIES + e), 52428}};
        size_t n = mf_nearness_find(nearness, NULL, terms, 2, 1, MF_NEAREST, near);
        assert_int_equal(n, MF_NEAREST);
        for (size_t i = 1; i < n; i++) {
            assert_true(near[i].score <= near[i - 1].score);
            assert_int_equal(near[i].partition % FAMILIES, e % FAMILIES); /* its family is all there */
        }
        found += near[0].partition == e;
    }
    assert_int_equal(found, E);
    /* a price moves a partition behind its family, and only that */
    p.prices[3] = 0.7;
    struct mf_sketch_term terms[] = {{3, 39321}, {FAMILIES + 3, 52428}};
    assert_int_equal(mf_nearness_find(nearness, NULL, terms, 2, 0, 1, near), 1);
    assert_int_equal(near[0].partition, 23);
    mf_nearness_free(nearness);
    mf_pool_free(pool);
    mf_partition_free(&p);
}

static void general_text_is_drawn_at_rates_by_tokens(void **state) {
    (void)state;
    uint64_t n_tokens[] = {100, 300, 500, 0};
    double rates[4] = {0};
    size_t origins[4] = {0}, taken = 0;
    struct mf_partition p = {
        .E = 3, .seed = 1, .general = 0.2, .n_tokens = n_tokens, .rates = rates, .origins = origins};
    mf_general_set(&p);
    assert_true(fabs(rates[0] - 20 / 800.0) < 1e-12);
    assert_true(fabs(rates[1] - 60 / 600.0) < 1e-12);
    assert_true(fabs(rates[2] - 100 / 400.0) < 1e-12);
    for (uint64_t i = 0; i < 10000; i++) {
        taken += mf_general_takes(&p, 2, 1, i * UINT64_C(0x9E3779B97F4A7C15));
        assert_false(mf_general_takes(&p, 2, 2, i));
    }
    assert_true(taken > 2500 - 4 * 43 && taken < 2500 + 4 * 43); /* the deviation is sqrt(1875) = 43 */
    /* one more partition: what was set stays, and nothing of it goes to the others */
    p.E = 4;
    n_tokens[3] = 900, n_tokens[0] = 1;
    mf_general_set(&p);
    assert_true(fabs(rates[0] - 20 / 800.0) < 1e-12);
    assert_true(fabs(rates[3] - 180 / 801.0) < 1e-12);
    rates[0] = 1;
    assert_true(mf_general_takes(&p, 0, 2, 7));
    assert_false(mf_general_takes(&p, 0, 3, 7));
}

static void a_small_rest_is_taken_whole(void **state) {
    (void)state;
    uint64_t n_tokens[] = {1000, 10};
    double rates[2] = {0};
    size_t origins[2] = {0};
    struct mf_partition p = {
        .E = 2, .general = 0.5, .n_tokens = n_tokens, .rates = rates, .origins = origins};
    mf_general_set(&p);
    assert_true(rates[0] == 1);
    assert_true(fabs(rates[1] - 5 / 1000.0) < 1e-12);
    for (uint64_t i = 0; i < 1000; i++) assert_true(mf_general_takes(&p, 0, 1, i));
    rates[0] = 0, origins[0] = 0, p.E = 1; /* one partition alone */
    mf_general_set(&p);
    assert_true(rates[0] == 0);
}

/* --- agreement --- */

static void nmi_and_purity_by_hand(void **state) {
    (void)state;
    uint64_t same[] = {0, 5, 7, 0}, mixed[] = {4, 4, 4, 4}, one[] = {3, 9}, none[] = {0, 0, 0, 0};
    uint64_t some[] = {3, 1, 1, 3};
    size_t label;
    assert_true(fabs(mf_nmi(same, 2, 2) - 1) < 1e-12);
    assert_true(mf_nmi(mixed, 2, 2) < 1e-12);
    assert_true(mf_nmi(one, 1, 2) == 0);
    assert_true(mf_nmi(one, 1, 1) == 1);
    assert_true(mf_nmi(none, 2, 2) == 0);
    double want = log(2) + 0.75 * log(0.75) + 0.25 * log(0.25); /* I = H(label) - H(label | partition) */
    assert_true(fabs(mf_nmi(some, 2, 2) - want / log(2)) < 1e-12);
    assert_true(fabs(mf_purity(some + 2, 2, &label) - 0.75) < 1e-12);
    assert_int_equal(label, 1);
    assert_true(mf_purity(none, 2, &label) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_are_chosen_by_document_frequency),
        cmocka_unit_test(saved_terms_are_checked),
        cmocka_unit_test(a_sketch_is_a_unit_vector_of_tf_idf),
        cmocka_unit_test(a_long_document_keeps_its_heaviest_terms),
        cmocka_unit_test(assignment_balances_whatever_the_scores),
        cmocka_unit_test(assignment_is_optimal_where_it_can_be_tried_out),
        cmocka_unit_test(assignment_without_pressure_takes_the_best),
        cmocka_unit_test(difficulty_is_the_formula),
        cmocka_unit_test(the_curriculum_is_cut_in_equal_parts),
        cmocka_unit_test(overlap_takes_the_nearest_of_others),
        cmocka_unit_test(known_documents_are_found_copy_by_copy),
        cmocka_unit_test(few_candidates_are_enough_for_balance),
        cmocka_unit_test(prices_send_the_least_attached_away),
        cmocka_unit_test(many_partitions_are_searched_in_groups),
        cmocka_unit_test(general_text_is_drawn_at_rates_by_tokens),
        cmocka_unit_test(a_small_rest_is_taken_whole),
        cmocka_unit_test(nmi_and_purity_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
