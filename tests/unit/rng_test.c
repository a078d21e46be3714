/* Random numbers: their distributions, keys, permutations, and the published generator. */
#include "scratch.h"

#include <math.h>

#include "base/rng.h"

static void test_permutation_is_a_bijection(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 7, 64, 65, 1000, 4097};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k], moved = 0;
        unsigned char *seen = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t j = mf_rng_permute(99, n, i);
            assert_true(j < n);
            assert_int_equal(seen[j], 0);
            seen[j] = 1;
            moved += j != i;
        }
        if (n >= 64) assert_true(moved > n / 2);
        free(seen);
    }
    assert_true(mf_rng_permute(1, UINT64_MAX, 5) < UINT64_MAX);
    assert_true(mf_rng_permute(1, 1000, 3) != mf_rng_permute(2, 1000, 3) ||
                mf_rng_permute(1, 1000, 4) != mf_rng_permute(2, 1000, 4));
}

static void test_random_numbers(void **state) {
    (void)state;
    struct mf_rng a, b;
    mf_rng_seed(&a, 7);
    mf_rng_seed(&b, 7);
    double sum = 0, squares = 0, uniform = 0;
    int counts[6] = {0};
    for (int i = 0; i < 60000; i++) {
        assert_true(mf_rng_next(&a) == mf_rng_next(&b));
        double x = mf_rng_normal(&a), u = mf_rng_uniform(&a);
        assert_true(mf_rng_normal(&b) == x && mf_rng_uniform(&b) == u && u >= 0 && u < 1);
        sum += x, squares += x * x, uniform += u;
        counts[mf_rng_below(&a, 6)]++;
        mf_rng_below(&b, 6);
    }
    /* five standard errors: 1/sqrt(60000) = 0.0041, of the variance sqrt(2/60000) = 0.0058 */
    assert_true(fabs(sum / 60000) < 0.021 && fabs(squares / 60000 - 1) < 0.03);
    assert_true(fabs(uniform / 60000 - 0.5) < 0.006);
    for (int k = 0; k < 6; k++) assert_true(abs(counts[k] - 10000) < 460);
    assert_true(mf_rng_below(&a, 1) == 0);
    assert_true(mf_rng_key(1, "dropout", 0) != mf_rng_key(1, "order", 0));
    assert_true(mf_rng_key(1, "dropout", 0) != mf_rng_key(1, "dropout", 1));
    assert_true(mf_rng_key(1, "dropout", 0) != mf_rng_key(2, "dropout", 0));
}

static void test_xoshiro_matches_its_authors(void **state) {
    (void)state;
    /* From s = {1, 2, 3, 4}: worked by hand from the published algorithm for the first two. */
    struct mf_rng rng = {{1, 2, 3, 4}};
    assert_true(mf_rng_next(&rng) == 11520);
    assert_true(mf_rng_next(&rng) == 0);
    assert_true(mf_rng_next(&rng) == 1509978240);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permutation_is_a_bijection),
        cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_xoshiro_matches_its_authors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
