/* Searching many partitions, general text, and how far partitions and labels agree. */
#include "balance.h"

#include <math.h>
#include <stdbool.h>
#include "partition/general.h"
#include "partition/nmi.h"
#include "partition/near.h"
#include "partition/saved.h"

static struct mf_err err;

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
        cmocka_unit_test(many_partitions_are_searched_in_groups),
        cmocka_unit_test(general_text_is_drawn_at_rates_by_tokens),
        cmocka_unit_test(a_small_rest_is_taken_whole),
        cmocka_unit_test(nmi_and_purity_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
