/* The parts of the tokenizer below its file: the byte alphabet, cutting into words (against a regular
 * expression engine), and merges, applied and learnt, against slow twins. */
#include <stdbool.h>
#include "scratch.h"
#include "base/rng.h"
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/bpe_rounds.h"
#include "text/pretokenize.h"

static struct mf_err err;

/* --- alphabet --- */

static void every_byte_has_its_own_printable_character(void **state) {
    (void)state;
    struct mf_alphabet a;
    mf_alphabet_fill(&a);
    assert_int_equal(a.character['A'], 'A');
    assert_int_equal(a.character[' '], 0x120); /* the letter G with a dot of every GPT-2 vocabulary */
    assert_int_equal(a.character['\n'], 0x10a);
    assert_int_equal(a.character[0], 0x100);
    assert_int_equal(a.character[0xad], 0x143); /* the last one moved */
    char all[256], text[2 * 256 + 1], back[2 * 256 + 1];
    for (int b = 0; b < 256; b++) {
        all[b] = (char)b;
        assert_int_equal(a.byte[a.character[b]], b);
    }
    size_t size = mf_alphabet_spell(&a, all, 256, text);
    assert_int_equal(strlen(text), size); /* no zero byte inside */
    assert_int_equal(mf_alphabet_read(&a, text, size, back), 256);
    assert_memory_equal(back, all, 256);
}

static void what_is_not_of_the_alphabet_is_refused(void **state) {
    (void)state;
    struct mf_alphabet a;
    char bytes[8];
    mf_alphabet_fill(&a);
    static const char *const foreign[] = {" ", "\n", "\xc2\xad", "\xe2\x82\xac", "\xff", "\xc4"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_int_equal(mf_alphabet_read(&a, foreign[i], strlen(foreign[i]), bytes), -1);
}

/* --- words --- */

/* Cuts `text` and compares with the words of `expected`, which are separated by '|'. */
static void check_words(const char *text, size_t size, const char *expected) {
    char got[512];
    size_t n = 0;
    for (size_t at = 0; at < size;) {
        size_t length = mf_word_length(text + at, size - at);
        assert_true(length >= 1 && length <= size - at);
        if (at) got[n++] = '|';
        memcpy(got + n, text + at, length);
        n += length;
        at += length;
    }
    got[n] = '\0';
    assert_string_equal(got, expected);
}

static void hard_cases_are_cut_as_the_pattern_says(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"it's I'll we've they'RE I'd 'tis", "it|'s| I|'ll| we|'ve| they|'|RE| I|'d| '|tis"},
        {"'s's 's ''s", "'s|'s| '|s| ''|s"},
        {"don'trust you'velvet 'l 'v 'r '", "don|'t|rust| you|'ve|lvet| '|l| '|v| '|r| '"},
        {"a1b22 c_3!!!", "a|1|b|22| c|_|3|!!!"},
        {"  two   spaces ", " | two|  | spaces| "},
        {"\n\n\tx", "\n\n|\t|x"},
        {" \n x\r\n\r\ny", " \n| x|\r\n\r|\n|y"},
        {"x \xc2\xa0y", "x| |\xc2\xa0|y"}, /* a space that does not break is no blank */
        {"a\xe3\x80\x80\xe3\x80\x80"
         "b",
         "a|\xe3\x80\x80|\xe3\x80\x80|b"}, /* ideographic spaces */
        {"\xc2\x85"
         "a",
         "\xc2\x85|a"}, /* next line */
        {"na\xc3\xafve \xd0\xb4\xd0\xb0", "na\xc3\xafve| \xd0\xb4\xd0\xb0"},
        {"e\xcc\x81"
         "a",
         "e|\xcc\x81|a"}, /* a combining mark is no letter */
        {"x\xc2\xb2\xe2\x85\xa3 \xd9\xa3",
         "x|\xc2\xb2\xe2\x85\xa3| \xd9\xa3"}, /* number forms, Arabic digit */
        {"\xe6\xbc\xa2\xe5\xad\x97\xe3\x80\x82", "\xe6\xbc\xa2\xe5\xad\x97|\xe3\x80\x82"},
        {"hi \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd!", "hi| \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd!"},
        {"a\xff\xfe"
         "b \xc3",
         "a|\xff\xfe|b| \xc3"}, /* bytes outside UTF-8 */
        {"\xed\xa0\x80"
         "a",
         "\xed\xa0\x80|a"}, /* a lone surrogate */
        {"\xc0\xa0"
         "a",
         "\xc0\xa0|a"}, /* an overlong space */
        {" ", " "},
        {" \t ", " \t "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_words(cases[i][0], strlen(cases[i][0]), cases[i][1]);
    assert_int_equal(mf_word_length("\0\0a", 3), 2); /* a zero byte is a character like others */
    assert_int_equal(mf_word_length("\xe3\x80", 2), 2);
}

/* Perl prints random texts, each as the lengths of its words and then the text in hex. Characters younger
 * than the older of the two Unicode tables are left out. */
static const char twin[] =
    "perl -e 'use utf8; srand 7; my @kit = (q{ }, q{ }, qq{\\n}, qq{\\t}, q{\"}, q{'\\''}, qw(s t re ve m ll "
    "d S a 1 . _));\n"
    "for (1 .. 4000) { my $t = q{}; for (0 .. rand 24) {\n"
    "  my $c = rand() < 0.6 ? $kit[rand @kit] : chr(rand() < 0.5 ? rand 0x3100 : rand 0x1ffff);\n"
    "  $t .= $c if $c =~ /\\A\\p{Present_In: 13.0}+\\z/ && $c !~ /\\p{Cs}/ }\n"
    "  next if $t eq q{}; my $hex; print join q{,}, map { utf8::encode($_); $hex .= unpack q{H*}, $_; length "
    "}\n"
    "  $t =~ /'\\''s|'\\''t|'\\''re|'\\''ve|'\\''m|'\\''ll|'\\''d| ?\\p{L}+| ?\\p{N}+| "
    "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+/g;\n"
    "  print qq{ $hex\\n} }'";

static void words_are_cut_as_a_regular_expression_does(void **state) {
    (void)state;
    if (system("perl -e 1") != 0) skip();
    FILE *f = popen(twin, "r");
    assert_non_null(f);
    char lengths[512], hex[512], text[256], *at;
    size_t texts = 0;
    while (fscanf(f, "%511s %511s", lengths, hex) == 2) {
        size_t size = strlen(hex) / 2, begin = 0;
        for (size_t i = 0; i < size; i++) {
            char digits[] = {hex[2 * i], hex[2 * i + 1], 0}, *end;
            text[i] = (char)strtoul(digits, &end, 16);
            assert_true(end == digits + 2);
        }
        for (at = lengths; begin < size; at += *at == ',') {
            size_t length = mf_word_length(text + begin, size - begin), wanted = strtoul(at, &at, 10);
            if (length != wanted)
                print_error("text %s at byte %zu: %zu, not %zu\n", hex, begin, length, wanted);
            assert_int_equal(length, wanted);
            begin += length;
        }
        texts++;
    }
    assert_int_equal(pclose(f), 0);
    assert_true(texts > 3000);
}

/* --- applying merges --- */

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

/* --- learning merges --- */

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
        cmocka_unit_test(every_byte_has_its_own_printable_character),
        cmocka_unit_test(what_is_not_of_the_alphabet_is_refused),
        cmocka_unit_test(hard_cases_are_cut_as_the_pattern_says),
        cmocka_unit_test(words_are_cut_as_a_regular_expression_does),
        cmocka_unit_test(short_and_long_words_are_merged_by_rank),
        cmocka_unit_test(merges_are_learnt_in_the_order_of_counts),
        cmocka_unit_test(nothing_is_learnt_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
