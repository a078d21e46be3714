/* What training writes into tokenizer.json, and the words that it counts. */
#include "tokenizer_fixture.h"

static void specials_and_bytes_come_first(void **state) {
    (void)state;
    assert_int_equal(train(sample, SAMPLES, 290, 1, "t.json"), 290);
    struct mf_tokenizer *t = load("t.json");
    assert_int_equal(mf_tokenizer_size(t), 290);
    for (int k = 0; k < MF_SPECIALS; k++) {
        assert_int_equal(mf_tokenizer_special(t, (enum mf_special_id)k), k);
        assert_true(mf_tokenizer_is_special(t, (uint32_t)k));
    }
    assert_false(mf_tokenizer_is_special(t, 4));
    assert_false(mf_tokenizer_is_special(t, 1u << 31));
    bool seen[256] = {false};
    const char *piece;
    size_t size;
    for (uint32_t id = 4; id < 260; id++) {
        mf_tokenizer_bytes(t, id, &piece, &size);
        assert_int_equal(size, 1);
        seen[(unsigned char)*piece] = true;
    }
    for (int b = 0; b < 256; b++) assert_true(seen[b]);
    mf_tokenizer_bytes(t, 4, &piece, &size);
    assert_int_equal(*piece, '!'); /* by the order of their characters */
    mf_tokenizer_bytes(t, 0, &piece, &size);
    assert_int_equal(size, 0);
    mf_tokenizer_free(t);
}

static void merges_are_those_of_a_hand_count(void **state) {
    (void)state;
    /* abab three times: ab occurs 6 times, ba 3; then (ab)(ab) 3 times; then nothing is left */
    static const char *const text[] = {"abab", "abab", "abab"};
    assert_int_equal(train(text, 3, 16384, 2, "t.json"), 262);
    struct mf_tokenizer *t = load("t.json");
    const char *piece;
    size_t size;
    mf_tokenizer_bytes(t, 260, &piece, &size);
    assert_int_equal(size, 2);
    assert_memory_equal(piece, "ab", 2);
    mf_tokenizer_bytes(t, 261, &piece, &size);
    assert_int_equal(size, 4);
    mf_tokenizer_free(t);
    assert_int_equal(train(text, 3, 16384, 4, "t.json"), 261); /* abab itself is too seldom */
    assert_int_equal(train(text, 3, MF_VOCAB_MIN, 1, "t.json"), MF_VOCAB_MIN);
}

static void the_order_of_texts_does_not_matter(void **state) {
    (void)state;
    const char *turned[SAMPLES];
    size_t n, m;
    for (size_t i = 0; i < SAMPLES; i++) turned[i] = sample[SAMPLES - 1 - i];
    train(sample, SAMPLES, 320, 1, "t.json");
    train(turned, SAMPLES, 320, 1, "u.json");
    unsigned char *a = read_file("t.json", &n), *b = read_file("u.json", &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
}

static void no_merge_spells_a_special_token(void **state) {
    (void)state;
    static const char *const text[] = {"<pad>", "<pad>", "<pad>", "<pad><eos>"};
    train(text, 4, 400, 1, "t.json");
    struct mf_tokenizer *t = load("t.json");
    for (uint32_t id = MF_SPECIALS; id < mf_tokenizer_size(t); id++) {
        const char *piece;
        size_t size;
        mf_tokenizer_bytes(t, id, &piece, &size);
        assert_true(size > 0);
        assert_false(size == 5 && (memcmp(piece, "<pad>", 5) == 0 || memcmp(piece, "<eos>", 5) == 0));
    }
    mf_tokenizer_free(t);
}

static void an_enormous_word_is_cut(void **state) {
    (void)state;
    enum { LIMIT = 1000, SIZE = 10 * LIMIT };
    char *text = malloc(SIZE);
    struct mf_words *words;
    assert_non_null(text);
    memset(text, 'a', LIMIT);
    memset(text + LIMIT, 'b', SIZE - LIMIT); /* not seen */
    assert_int_equal(mf_words_new(&words, LIMIT, 0, &err), 0);
    assert_int_equal(mf_words_add(words, text, SIZE, &err), 1);
    assert_int_equal(mf_words_add(words, text, LIMIT, &err), 0);
    assert_int_equal(mf_words_add(words, text, LIMIT + 1, &err), 1);
    assert_int_equal(mf_words_bytes(words), SIZE + 2 * LIMIT + 1);
    assert_int_equal(mf_words_distinct(words), 1);
    mf_words_free(words);
    assert_int_equal(mf_words_new(&words, 0, 0, &err), 0); /* without a limit they are three */
    assert_int_equal(mf_words_add(words, text, SIZE, &err), 0);
    assert_int_equal(mf_words_add(words, text, LIMIT, &err), 0);
    assert_int_equal(mf_words_add(words, text, LIMIT + 1, &err), 0);
    assert_int_equal(mf_words_distinct(words), 3);
    mf_words_free(words);
    free(text);
}

struct count {
    const char *word;
    uint64_t count;
    size_t distinct;
};

static int take_count(void *context, const char *word, size_t size, uint64_t count, struct mf_err *e) {
    struct count *c = context;
    (void)e;
    c->distinct++;
    if (size == strlen(c->word) && memcmp(word, c->word, size) == 0) c->count += count;
    return 0;
}

/* The words "x", which comes 60000 times, and 20000 numbers, each three times, in two tables; and one more.
 */
static struct mf_words *many_words(size_t memory) {
    struct mf_words *a, *b;
    char text[64];
    assert_int_equal(mf_words_new(&a, 0, memory, &err), 0);
    assert_int_equal(mf_words_new(&b, 0, 0, &err), 0);
    for (int i = 0; i < 60000; i++) {
        int n = snprintf(text, sizeof text, "x%d", i % 20000);
        assert_int_equal(mf_words_add(i % 3 ? a : b, text, (size_t)n, &err), 0);
    }
    assert_int_equal(mf_words_add(a, "often often often often", 23, &err), 0);
    assert_int_equal(mf_words_merge(a, b, &err), 0);
    assert_int_equal(mf_words_distinct(b), 0);
    mf_words_free(b);
    return a;
}

static void words_are_the_same_in_memory_and_on_disk(void **state) {
    (void)state;
    static const struct count expected[] = {{"x", 60000, 20003}, {"77", 3, 20003}, {" often", 3, 20003}};
    for (size_t i = 0; i < 6; i++) {
        struct mf_words *words = many_words(i % 2 ? 100000 : 0);
        struct count c = {.word = expected[i / 2].word};
        assert_int_equal(mf_words_spilled(words), i % 2);
        assert_int_equal(mf_words_bytes(words), 60000 * 6 - 3 * (10 * 4 + 90 * 3 + 900 * 2 + 9000) + 23);
        assert_int_equal(mf_words_each(words, take_count, &c, &err), 0);
        assert_int_equal(c.count, expected[i / 2].count);
        assert_int_equal(c.distinct, expected[i / 2].distinct);
        mf_words_free(words);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specials_and_bytes_come_first),
        cmocka_unit_test(merges_are_those_of_a_hand_count),
        cmocka_unit_test(the_order_of_texts_does_not_matter),
        cmocka_unit_test(no_merge_spells_a_special_token),
        cmocka_unit_test(an_enormous_word_is_cut),
        cmocka_unit_test(words_are_the_same_in_memory_and_on_disk),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
