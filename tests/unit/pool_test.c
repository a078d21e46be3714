/* The pool of threads: every item is done once, in whole grains, by the threads that there are. */
#include "scratch.h"

#include "base/pool.h"

struct cover {
    unsigned char seen[5000];
    size_t grain, count;
    int threads;
};

static void mark(void *context, size_t begin, size_t end, int thread) {
    struct cover *c = context;
    if (begin >= end || end > c->count || begin % c->grain || (end % c->grain && end != c->count)) abort();
    if (thread < 0 || thread >= c->threads) abort();
    for (size_t i = begin; i < end; i++) c->seen[i]++;
}

static void test_pool_covers_every_item_once(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, 65, 4999}, grains[] = {1, 4, 64, 10000};
    struct mf_err err;
    for (int threads = 1; threads <= 5; threads++) {
        struct mf_pool *pool;
        assert_int_equal(mf_pool_new(&pool, threads, &err), 0);
        assert_int_equal(mf_pool_threads(pool), threads);
        for (size_t k = 0; k < 8; k++) {
            for (size_t g = 0; g < 4; g++) {
                struct cover c = {.grain = grains[g], .count = counts[k], .threads = threads};
                mf_pool_run(pool, counts[k], grains[g], mark, &c);
                for (size_t i = 0; i < sizeof c.seen; i++) assert_int_equal(c.seen[i], i < counts[k]);
                mf_pool_share(pool, counts[k], grains[g], mark, &c);
                for (size_t i = 0; i < sizeof c.seen; i++) assert_int_equal(c.seen[i], 2 * (i < counts[k]));
            }
        }
        for (int i = 0; i < 2000; i++) { /* many short jobs: no wake-up is lost */
            struct cover c = {.grain = 1, .count = 8, .threads = threads};
            mf_pool_run(pool, 8, 1, mark, &c);
            for (int j = 0; j < 8; j++) assert_int_equal(c.seen[j], 1);
        }
        mf_pool_free(pool);
    }
    mf_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_covers_every_item_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
