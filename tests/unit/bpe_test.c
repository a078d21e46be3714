/* Merges applied to words, short and long, against a slow twin. */
#include "scratch.h"

#include "base/rng.h"
#include "text/bpe.h"

static struct mf_err err;

/* As the definition has it: look at all pairs, merge the leftmost of lowest rank, again and again. */
static void apply_naively(const uint64_t *pairs, size_t n_pairs, uint32_t first_id, uint32_t *ids,
                          size_t *n) {
    for (;;) {
        size_t best = n_pairs, where = 0;
        for (size_t i = 0; i + 1 < *n; i++)
            for (size_t k = 0; k < best; k++)
                if (pairs[k] == mf_pair(ids[i], ids[i + 1])) best = k, where = i;
        if (best == n_pairs) return;
        ids[where] = first_id + (uint32_t)best;
        memmove(ids + where + 1, ids + where + 2, (*n - where - 2) * sizeof *ids);
        --*n;
    }
}

/* Merges that any order may have, also such as learning would never give. */
static void short_and_long_words_are_merged_by_rank(void **state) {
    (void)state;
    struct mf_rng rng;
    mf_rng_seed(&rng, 11);
    struct mf_bpe_work work = {0};
    for (int round = 0; round < 60; round++) {
        uint64_t pairs[40];
        struct mf_pair_map merges = {0};
        size_t n_pairs = 0, letters = 1 + mf_rng_below(&rng, 4);
        while (n_pairs < letters * letters && n_pairs < 40) {
            uint32_t known = (uint32_t)(letters + n_pairs);
            uint64_t pair = mf_pair((uint32_t)mf_rng_below(&rng, known), (uint32_t)mf_rng_below(&rng, known));
            if (mf_pair_map_get(&merges, pair)) continue;
            assert_int_equal(mf_pair_map_put(&merges, pair, (uint64_t)n_pairs << 32 | known, &err), 0);
            pairs[n_pairs++] = pair;
        }
        for (int k = 0; k < 20; k++) {
            static uint32_t ids[4200], twin_ids[4200]; /* short, long and enormous words */
            size_t n = mf_rng_below(&rng, k < 10 ? 60 : 200), twin_n;
            if (k == 0 && round < 5) n = 4096 + mf_rng_below(&rng, 100);
            twin_n = n;
            for (size_t i = 0; i < n; i++) ids[i] = twin_ids[i] = (uint32_t)mf_rng_below(&rng, letters);
            assert_int_equal(mf_bpe_apply(&merges, &work, ids, &n, &err), 0);
            apply_naively(pairs, n_pairs, (uint32_t)letters, twin_ids, &twin_n);
            assert_int_equal(n, twin_n);
            if (n) assert_memory_equal(ids, twin_ids, n * sizeof *ids);
        }
        mf_pair_map_free(&merges);
    }
    mf_bpe_work_free(&work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_and_long_words_are_merged_by_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
