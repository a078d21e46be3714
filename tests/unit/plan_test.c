/* The curriculum, overlap, and documents that a saved partition knows. */
#include "places.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "partition/difficulty.h"
#include "partition/known.h"
#include "partition/overlap.h"
#include "partition/plan.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(difficulty_is_the_formula),
        cmocka_unit_test(the_curriculum_is_cut_in_equal_parts),
        cmocka_unit_test(overlap_takes_the_nearest_of_others),
        cmocka_unit_test(known_documents_are_found_copy_by_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
