/* The terms of sketches, and the sketches of documents. */
#include "balance.h"

#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "partition/sketch.h"

static struct mf_err err;

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_are_chosen_by_document_frequency),
        cmocka_unit_test(saved_terms_are_checked),
        cmocka_unit_test(a_sketch_is_a_unit_vector_of_tf_idf),
        cmocka_unit_test(a_long_document_keeps_its_heaviest_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
