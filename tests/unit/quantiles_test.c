/* Quantiles of a stream beside those of a sorted array. */
#include "scratch.h"

#include "base/quantiles.h"
#include "base/rng.h"

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_quantiles_are_near_those_of_a_sorted_array(void **state) {
    (void)state;
    enum { VALUES = 5000 };
    static uint64_t values[VALUES];
    static struct mf_quantiles q;
    struct mf_rng rng;
    mf_rng_seed(&rng, 4);
    assert_int_equal(mf_quantiles_at(&q, 0.5), 0);
    for (unsigned bits = 1; bits <= 64; bits += 9) {
        memset(&q, 0, sizeof q);
        for (size_t n = 0; n < VALUES; n++) {
            values[n] = mf_rng_next(&rng) >> (64 - bits) >> mf_rng_below(&rng, bits);
            if (n == 0) values[n] = UINT64_MAX >> (64 - bits);
            mf_quantiles_add(&q, values[n]);
        }
        qsort(values, VALUES, sizeof *values, by_size);
        for (size_t rank = 1; rank <= VALUES; rank += 7) {
            uint64_t exact = values[rank - 1], got = mf_quantiles_at(&q, ((double)rank - 0.5) / VALUES);
            uint64_t error = got > exact ? got - exact : exact - got;
            assert_true(exact < 128 ? error == 0 : error <= exact / 128);
        }
        assert_true(mf_quantiles_at(&q, 0) >= values[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_are_near_those_of_a_sorted_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
