/* Assignment under a balance: of all partitions, and of the nearest few. */
#include "places.h"

#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "partition/assign.h"
#include "partition/balance.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignment_balances_whatever_the_scores),
        cmocka_unit_test(assignment_is_optimal_where_it_can_be_tried_out),
        cmocka_unit_test(assignment_without_pressure_takes_the_best),
        cmocka_unit_test(few_candidates_are_enough_for_balance),
        cmocka_unit_test(prices_send_the_least_attached_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
