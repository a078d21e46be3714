/* Merges learnt from words, all at once and in rounds of fixed memory, against a slow twin. */
#include "scratch.h"

#include <stdbool.h>

#include "base/rng.h"
#include "text/bpe.h"
#include "text/bpe_rounds.h"

static struct mf_err err;

#define WORDS    40
#define LONGEST  60
#define MERGES   60
#define FIRST_ID 5

struct corpus {
    uint32_t ids[WORDS][LONGEST];
    size_t sizes[WORDS];
    uint64_t counts[WORDS];
    size_t n;
    uint32_t flat[WORDS * (LONGEST + 1) + 1]; /* the same for mf_bpe_learn */
    size_t flat_size;
};

static void make_corpus(struct corpus *c, struct mf_rng *rng) {
    size_t letters = 1 + mf_rng_below(rng, 5), at = 0;
    c->n = 1 + mf_rng_below(rng, WORDS);
    c->flat[at++] = MF_BPE_END;
    for (size_t w = 0; w < c->n; w++) {
        c->sizes[w] = mf_rng_below(rng, LONGEST);
        c->counts[w] = 1 + mf_rng_below(rng, 4);
        for (size_t i = 0; i < c->sizes[w]; i++)
            c->flat[at++] = c->ids[w][i] = (uint32_t)mf_rng_below(rng, letters);
        c->flat[at++] = MF_BPE_END;
    }
    c->flat_size = at;
}

/* Refuses some pairs, for no reason but to be tested. */
static int accept_some(void *context, uint32_t left, uint32_t right, uint32_t id) {
    (void)id;
    return mf_rng_at(*(uint64_t *)context, mf_pair(left, right)) % 8 != 0;
}

/* Counts all pairs of all words anew for each merge. Returns how many were learnt. */
static size_t learn_naively(struct corpus *c, uint64_t min_count, uint64_t key, uint64_t *pairs) {
    enum { IDS = FIRST_ID + MERGES };
    static uint64_t counts[IDS][IDS];
    size_t learnt = 0;
    for (; learnt < MERGES; learnt++) {
        memset(counts, 0, sizeof counts);
        for (size_t w = 0; w < c->n; w++)
            for (size_t i = 0; i + 1 < c->sizes[w]; i++)
                counts[c->ids[w][i]][c->ids[w][i + 1]] += c->counts[w];
        uint32_t left = 0, right = 0, id = FIRST_ID + (uint32_t)learnt;
        uint64_t most = 0;
        for (uint32_t a = 0; a < IDS; a++)
            for (uint32_t b = 0; b < IDS; b++)
                if (counts[a][b] > most && accept_some(&key, a, b, 0))
                    most = counts[a][b], left = a, right = b;
        if (most < min_count || most == 0) break;
        pairs[learnt] = mf_pair(left, right);
        for (size_t w = 0; w < c->n; w++) {
            size_t to = 0, n = c->sizes[w];
            for (size_t i = 0; i < n; i++) {
                bool here = i + 1 < n && c->ids[w][i] == left && c->ids[w][i + 1] == right;
                c->ids[w][to++] = here ? id : c->ids[w][i];
                i += here;
            }
            c->sizes[w] = to;
        }
    }
    return learnt;
}

/* Memory for some segments: with less, a round keeps one pair. */
#define ROUNDS_MIN ((size_t)192 << 10)

static size_t learn_in_rounds(const struct corpus *c, size_t memory, uint64_t min_count, uint64_t key,
                              struct mf_bpe_merges *merges) {
    struct mf_bpe_rounds *rounds;
    size_t n_rounds;
    assert_int_equal(mf_bpe_rounds_new(&rounds, memory, &err), 0);
    for (size_t w = 0; w < c->n; w++)
        assert_int_equal(mf_bpe_rounds_add(rounds, c->ids[w], c->sizes[w], c->counts[w], &err), 0);
    assert_int_equal(
        mf_bpe_rounds_learn(rounds, FIRST_ID, MERGES, min_count, accept_some, &key, merges, &n_rounds, &err),
        0);
    mf_bpe_rounds_free(rounds);
    return n_rounds;
}

static void merges_are_learnt_in_the_order_of_counts(void **state) {
    (void)state;
    struct mf_rng rng;
    size_t several = 0;
    mf_rng_seed(&rng, 3);
    for (uint64_t round = 0; round < 300; round++) {
        struct corpus c;
        struct mf_bpe_merges merges = {0}, in_rounds = {0};
        uint64_t twins[MERGES], min_count = 1 + mf_rng_below(&rng, 3);
        make_corpus(&c, &rng);
        size_t memory = mf_rng_below(&rng, 2) ? ROUNDS_MIN + mf_rng_below(&rng, 4000) : 0;
        several += learn_in_rounds(&c, memory, min_count, round, &in_rounds) > 1;
        assert_int_equal(mf_bpe_learn(c.flat, c.flat_size, c.counts, FIRST_ID, MERGES,
                                      (struct mf_bpe_floor){min_count - 1, 0}, accept_some, &round, &merges,
                                      &err),
                         0);
        assert_int_equal(in_rounds.count, merges.count);
        if (merges.count)
            assert_memory_equal(in_rounds.pairs, merges.pairs, merges.count * sizeof *merges.pairs);
        free(in_rounds.pairs);
        size_t n = learn_naively(&c, min_count, round, twins);
        assert_int_equal(merges.count, n);
        if (n) assert_memory_equal(merges.pairs, twins, n * sizeof *twins);
        free(merges.pairs);
    }
    assert_true(several > 100);
}

static int accept_all(void *context, uint32_t left, uint32_t right, uint32_t id) {
    (void)context;
    return left < id && right < id;
}

static size_t learn(uint32_t *symbols, size_t size, uint64_t min_count) {
    static const uint64_t counts[] = {100, 5};
    struct mf_bpe_merges merges = {0};
    assert_int_equal(mf_bpe_learn(symbols, size, counts, FIRST_ID, 4, (struct mf_bpe_floor){min_count - 1, 0},
                                  accept_all, NULL, &merges, &err),
                     0);
    free(merges.pairs);
    return merges.count;
}

static void nothing_is_learnt_from_nothing(void **state) {
    (void)state;
    uint32_t none[] = {MF_BPE_END}, words[] = {MF_BPE_END, 3, MF_BPE_END, MF_BPE_END},
             run[] = {MF_BPE_END, 1, 1, 1, 1, 1, MF_BPE_END};
    assert_int_equal(learn(none, 1, 1), 0);
    assert_int_equal(learn(words, 4, 1), 0);
    assert_int_equal(learn(run, 7, 200), 1); /* 11 four times; then (11)(11) and (11)1 once, too seldom */
    assert_int_equal(run[1], FIRST_ID);
    assert_int_equal(run[3], FIRST_ID);
    assert_int_equal(run[5], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_learnt_in_the_order_of_counts),
        cmocka_unit_test(nothing_is_learnt_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
