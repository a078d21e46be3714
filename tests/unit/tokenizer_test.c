/* tokenizer.json: what training writes, loading reads; every byte string comes back; files that cannot be
 * honoured are refused by the name of what is wrong. */
#include <stdbool.h>
#include <jansson.h>
#include "scratch.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include "text/tokenizer_train.h"

static struct mf_err err;

static size_t train(const char *const *texts, size_t n, size_t vocab_size, uint64_t min_frequency,
                    const char *path) {
    struct mf_words *words;
    struct mf_out *out;
    struct mf_words_learnt learnt;
    assert_int_equal(mf_words_new(&words, 0, 0, &err), 0);
    for (size_t i = 0; i < n; i++) assert_true(mf_words_add(words, texts[i], strlen(texts[i]), &err) >= 0);
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_words_train(words, 0, vocab_size, min_frequency, out, &learnt, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    mf_words_free(words);
    return learnt.tokens;
}

static const char *const sample[] = {"the cat sat on the mat, the cat's mat", "low lower lowest low low",
                                     "<pad> <pad> <pad> <eos><eos><bos><unk> <pad><pad>",
                                     "aaaa aaaaaaaa \n\n\n\t x"};
#define SAMPLES (sizeof sample / sizeof *sample)

static struct mf_tokenizer *load(const char *path) {
    struct mf_tokenizer *t;
    if (mf_tokenizer_load(&t, path, &err) < 0) fail_msg("%s", err.text);
    return t;
}

/* Encodes, decodes and compares. Returns the number of tokens. */
static size_t round_trip(const struct mf_tokenizer *t, struct mf_encoder *e, const char *text, size_t size,
                         enum mf_special special) {
    struct mf_ids ids = {0};
    assert_int_equal(mf_encode(e, text, size, special, &ids, &err), 0);
    size_t at = 0;
    for (size_t i = 0; i < ids.count; i++) {
        const char *piece;
        size_t length;
        assert_false(mf_tokenizer_is_special(t, ids.ids[i]));
        mf_tokenizer_bytes(t, ids.ids[i], &piece, &length);
        assert_true(length > 0 && length <= size - at);
        assert_memory_equal(text + at, piece, length);
        at += length;
    }
    assert_int_equal(at, size);
    free(ids.ids);
    return ids.count;
}

/* --- training --- */

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

/* --- round trips --- */

static void every_byte_string_comes_back(void **state) {
    (void)state;
    struct mf_rng rng;
    struct mf_encoder *e;
    train(sample, SAMPLES, 340, 1, "t.json");
    struct mf_tokenizer *t = load("t.json");
    assert_int_equal(mf_encoder_new(&e, t, &err), 0);
    mf_rng_seed(&rng, 5);
    char text[300];
    assert_int_equal(round_trip(t, e, "", 0, MF_SPECIAL_TEXT), 0);
    for (int round = 0; round < 2000; round++) {
        size_t size = mf_rng_below(&rng, sizeof text);
        uint64_t kind =
            mf_rng_below(&rng, 3); /* any bytes; letters that have merges; a long word of one letter */
        for (size_t i = 0; i < size; i++)
            text[i] = kind == 0   ? (char)mf_rng_below(&rng, 256)
                      : kind == 1 ? "the catlowpd<>\0\n"[mf_rng_below(&rng, 16)]
                                  : 'a';
        round_trip(t, e, text, size, MF_SPECIAL_TEXT);
        if (!memmem(text, size, "<", 1)) round_trip(t, e, text, size, MF_SPECIAL_ERROR);
    }
    mf_encoder_free(e);
    mf_tokenizer_free(t);
}

static void a_special_token_in_a_text_is_what_was_asked_for(void **state) {
    (void)state;
    struct mf_encoder *e;
    struct mf_ids ids = {0};
    train(sample, SAMPLES, 300, 1, "t.json");
    struct mf_tokenizer *t = load("t.json");
    assert_int_equal(mf_encoder_new(&e, t, &err), 0);
    static const char text[] = "x<pad>y<eos><eos>z<bos";
    round_trip(t, e, text, strlen(text), MF_SPECIAL_TEXT);
    assert_int_equal(mf_encode(e, text, strlen(text), MF_SPECIAL_PARSE, &ids, &err), 0);
    size_t pads = 0, ends = 0, begins = 0;
    for (size_t i = 0; i < ids.count; i++) {
        pads += ids.ids[i] == MF_PAD;
        ends += ids.ids[i] == MF_EOS;
        begins += ids.ids[i] == MF_BOS;
    }
    assert_int_equal(pads, 1);
    assert_int_equal(ends, 2);
    assert_int_equal(begins, 0);
    assert_int_equal(mf_encode(e, text, strlen(text), MF_SPECIAL_ERROR, &ids, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_string_equal(err.text, "the text spells the special token <pad> at byte 1");
    free(ids.ids);
    mf_encoder_free(e);
    mf_tokenizer_free(t);
}

static void the_longest_special_token_is_taken(void **state) {
    (void)state;
    struct mf_encoder *e;
    struct mf_ids ids = {0};
    train(sample, SAMPLES, 280, 1, "good.json");
    json_t *root = json_load_file("good.json", 0, NULL), *added = json_object_get(root, "added_tokens");
    json_array_append_new(added, json_pack("{s:i, s:s}", "id", 280, "content", "<pad><pad>"));
    assert_int_equal(json_dump_file(root, "t.json", 0), 0);
    json_decref(root);
    struct mf_tokenizer *t = load("t.json");
    assert_int_equal(mf_encoder_new(&e, t, &err), 0);
    assert_int_equal(mf_encode(e, "<pad><pad><pad>", 15, MF_SPECIAL_PARSE, &ids, &err), 0);
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.ids[0], 280);
    assert_int_equal(ids.ids[1], MF_PAD);
    free(ids.ids);
    mf_encoder_free(e);
    mf_tokenizer_free(t);
}

/* --- files that are refused --- */

static json_t *good(void) {
    train(sample, SAMPLES, 280, 1, "good.json");
    json_t *root = json_load_file("good.json", 0, NULL);
    assert_non_null(root);
    return root;
}

/* Writes `root` (taken over) and expects EX_DATAERR with `what` in the message. */
static void refused(json_t *root, const char *what) {
    struct mf_tokenizer *t;
    assert_int_equal(json_dump_file(root, "bad.json", JSON_ENCODE_ANY), 0);
    json_decref(root);
    assert_int_equal(mf_tokenizer_load(&t, "bad.json", &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (!strstr(err.text, what) || strncmp(err.text, "bad.json: ", 10) != 0)
        fail_msg("'%s' does not say '%s'", err.text, what);
}

static json_t *part(json_t *root, const char *name) {
    json_t *found = json_object_get(root, name);
    return found ? found : json_object_get(json_object_get(root, "model"), name);
}

/* Sets a field from JSON text in an object of the good file. */
static void refused_with(const char *object, const char *field, const char *value, const char *what) {
    json_t *root = good(), *new_value = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(new_value);
    json_object_set_new(*object ? part(root, object) : root, field, new_value);
    refused(root, what);
}

static void what_is_not_honoured_is_named(void **state) {
    (void)state;
    refused_with("", "normalizer", "{\"type\": \"Nmt\"}", "normalizer of type Nmt");
    refused_with("", "normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {}]}",
                 "normalizer of type (none)");
    refused_with("", "normalizer", "{\"type\": \"Prepend\"}", "a normalizer without prepend");
    refused_with("", "normalizer", "{\"type\": \"Replace\", \"content\": \"\"}", "neither String nor Regex");
    refused_with("", "normalizer",
                 "{\"type\": \"Replace\", \"content\": \"\", \"pattern\": {\"Regex\": \"a\\\\w\"}}",
                 "pattern 'a\\w': '\\w' is not supported");
    refused_with("", "pre_tokenizer", "{\"type\": \"Whitespace\"}", "pre_tokenizer of type Whitespace");
    refused_with("", "pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}}",
                 "behavior is not known: (none)");
    refused_with("", "pre_tokenizer",
                 "{\"type\": \"Split\", \"pattern\": {\"String\": \"\"}, \"behavior\": \"Isolated\"}",
                 "a pattern of no characters");
    refused_with(
        "", "pre_tokenizer",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, {\"type\": \"Digits\"}]}",
        "a pre_tokenizer after ByteLevel: not supported: Digits");
    refused_with("", "pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}",
                 "not one character");
    refused_with("", "pre_tokenizer",
                 "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"last\"}",
                 "prepend_scheme is not known");
    refused_with("", "pre_tokenizer", "null", "decoder of type ByteLevel");
    refused_with("", "decoder", "{\"type\": \"Fuse\"}", "decoder of type Fuse");
    refused_with("", "decoder", "{\"type\": \"WordPiece\"}", "decoder of type WordPiece");
    refused_with("", "post_processor", "{\"type\": \"Other\"}", "post_processor of type Other");
    refused_with("", "post_processor", "{\"type\": \"TemplateProcessing\"}", "no template with a text A");
    refused_with("", "post_processor", "{\"type\": \"BertProcessing\"}", "the id of token 'cls'");
    refused_with("", "truncation", "{\"max_length\": 5}", "truncation");
    refused_with("", "padding", "{}", "padding");
    refused_with("", "model", "{\"type\": \"Unigram\"}", "model of type Unigram");
    refused_with("", "model", "3", "model of type (none)");
    refused_with("model", "dropout", "0.1", "dropout");
    refused_with("model", "end_of_word_suffix", "\"</w>\"", "end_of_word_suffix");
    refused_with("model", "vocab", "[]", "no vocab");
    refused_with("model", "merges", "null", "no merges");
    refused(json_loads("[1]", 0, NULL), "no object");
}

static void a_broken_vocabulary_is_named(void **state) {
    (void)state;
    refused_with("vocab", "zz", "7", "an id used twice");
    refused_with("vocab", "zz", "\"7\"", "id of token 'zz'");
    refused_with("vocab", "zz", "-1", "id of token 'zz'");
    refused_with("vocab", "zz", "1000000", "ids up to 1000000");
    refused_with("vocab", "a b", "280", "outside the byte alphabet");
    refused_with("vocab", "", "280", "outside the byte alphabet");
    refused_with("vocab", "<pad>", "5", "two ids");
    refused_with("", "added_tokens", "[{\"id\": 0}]", "no content");
    refused_with("", "added_tokens", "{}", "not a list");
    refused_with("", "added_tokens",
                 "[{\"id\": 0, \"content\": \"<pad>\"}, {\"id\": 0, \"content\": \"<pad>\"}]", "used twice");
}

/* The good file with one more merge. */
static json_t *with_merge(const char *merge) {
    json_t *root = good(), *value = json_loads(merge, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    json_array_append_new(part(root, "merges"), value);
    return root;
}

static void a_merge_that_is_not_understood_is_named(void **state) {
    (void)state;
    refused(with_merge("{\"a\": 1}"), "merge 20 is neither");
    refused(with_merge("\"ab\""), "merge 20 is neither");
    refused(with_merge("\"a b c\""), "merge 20 is neither");
    refused(with_merge("[\"a\"]"), "merge 20 is neither");
    refused(with_merge("[\"a\", 3]"), "merge 20 is neither");
    refused(with_merge("[\"q\", \"zzz\"]"), "merge 20 names a token missing from the vocabulary: 'zzz'");
    refused(with_merge("\"q z\""), "'qz'");
    json_t *root = good();
    json_t *first = json_deep_copy(json_array_get(part(root, "merges"), 0));
    json_array_append_new(part(root, "merges"), first);
    refused(root, "merge 20");
    refused_with("model", "merges", "[]", "20 tokens of several bytes");
}

static void text_that_is_no_json_is_refused(void **state) {
    (void)state;
    struct mf_tokenizer *t;
    static const char *const texts[] = {"", "{", "hello", "{\"a\": 1, \"a\": 2}", "\xff", "{} {}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file("bad.json", texts[i], strlen(texts[i]));
        assert_int_equal(mf_tokenizer_load(&t, "bad.json", &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
    }
    assert_int_equal(mf_tokenizer_load(&t, "absent.json", &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(mf_tokenizer_load(&t, ".", &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

static void both_spellings_of_merges_are_read(void **state) {
    (void)state;
    json_t *root = good(), *merges = part(root, "merges"), *merge;
    size_t i;
    json_array_foreach(merges, i, merge)
        json_array_set_new(merges, i,
                           json_sprintf("%s %s", json_string_value(json_array_get(merge, 0)),
                                        json_string_value(json_array_get(merge, 1))));
    assert_int_equal(json_dump_file(root, "strings.json", 0), 0);
    json_decref(root);
    struct mf_tokenizer *a = load("good.json"), *b = load("strings.json");
    struct mf_encoder *x, *y;
    assert_int_equal(mf_encoder_new(&x, a, &err), 0);
    assert_int_equal(mf_encoder_new(&y, b, &err), 0);
    for (size_t k = 0; k < SAMPLES; k++) {
        struct mf_ids p = {0}, q = {0};
        assert_int_equal(mf_encode(x, sample[k], strlen(sample[k]), MF_SPECIAL_TEXT, &p, &err), 0);
        assert_int_equal(mf_encode(y, sample[k], strlen(sample[k]), MF_SPECIAL_TEXT, &q, &err), 0);
        assert_int_equal(p.count, q.count);
        assert_true(p.count < strlen(sample[k]));
        assert_memory_equal(p.ids, q.ids, p.count * sizeof *p.ids);
        free(p.ids);
        free(q.ids);
    }
    assert_string_not_equal(mf_tokenizer_sha256(a), mf_tokenizer_sha256(b)); /* two files, two identities */
    mf_encoder_free(x);
    mf_encoder_free(y);
    mf_tokenizer_free(a);
    mf_tokenizer_free(b);
}

/* The ids of a text, by an encoder of its own. */
static struct mf_ids encoded(const struct mf_tokenizer *t, const char *text, size_t size) {
    struct mf_encoder *e;
    struct mf_ids ids = {0};
    assert_int_equal(mf_encoder_new(&e, t, &err), 0);
    assert_int_equal(mf_encode(e, text, size, MF_SPECIAL_TEXT, &ids, &err), 0);
    mf_encoder_free(e);
    return ids;
}

/* Texts whose first words end near the 64, 128, ... bytes that are looked at first: a prefix space gives what
 * the same text with a space gives without. */
static void a_prefix_space_is_a_space_before_the_text(void **state) {
    (void)state;
    static const char *const units[] = {"a",   "7", "!", "\n", "\xc3\xa9", "\xe3\x80\x80", "\xf0\x9f\x98\x80",
                                        "\xe3"};
    static const char *const ends[] = {"", " b", "b", "\xc3\xa9x", "\n", "\n!", "1", "'s", "\xe3\x80\x80y"};
    char text[512] = " ";
    json_t *root = good();
    json_object_set_new(part(root, "pre_tokenizer"), "add_prefix_space", json_true());
    assert_int_equal(json_dump_file(root, "prefix.json", 0), 0);
    json_decref(root);
    struct mf_tokenizer *plain = load("good.json"), *prefix = load("prefix.json");
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++)
            for (size_t n = 1; n < 140; n++) {
                size_t size = 1, unit = strlen(units[u]), end = strlen(ends[k]);
                for (size_t i = 0; i < n && size + unit < 300; i++, size += unit)
                    memcpy(text + size, units[u], unit);
                memcpy(text + size, ends[k], end);
                size += end;
                struct mf_ids want = encoded(plain, text, size), got = encoded(prefix, text + 1, size - 1);
                assert_int_equal(got.count, want.count);
                assert_memory_equal(got.ids, want.ids, want.count * sizeof *want.ids);
                free(want.ids);
                free(got.ids);
            }
    mf_tokenizer_free(plain);
    mf_tokenizer_free(prefix);
}

/* Blanks are marks, characters without a token are bytes or the unknown token, and what was put before a text
 * is taken away again. */
static void characters_fall_back_to_bytes(void **state) {
    (void)state;
    static const char file[] =
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true, \"normalized\": false}],"
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\u2581\"},"
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}]},"
        "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": \"\u2581\"},"
        "\"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"},"
        "{\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]},"
        "\"model\": {\"type\": \"BPE\", \"unk_token\": \"<s>\", \"fuse_unk\": true, \"byte_fallback\": true,"
        "\"merges\": [[\"\u2581\", \"t\"], [\"h\", \"e\"], [\"\u2581t\", \"he\"]],"
        "\"vocab\": {\"<s>\": 0, \"<0xC3>\": 1, \"<0xA4>\": 2, \"\u2581\": 3, \"t\": 4, \"h\": 5, \"e\": 6,"
        "\"\u2581t\": 7, \"he\": 8, \"\u2581the\": 9}}}";
    static const uint32_t want[] = {9, 3, 1, 2, 7, 1, 0, 9};
    static const char text[] = "the \xc3\xa4 t\xc3xx the", back[] = "the \xc3\xa4 t\xc3 the";
    const char *bytes;
    size_t size;
    struct mf_text decoded = {0};
    write_file("characters.json", file, sizeof file - 1);
    struct mf_tokenizer *t = load("characters.json");
    struct mf_ids ids = encoded(t, text, sizeof text - 1);
    assert_int_equal(ids.count, sizeof want / sizeof *want);
    assert_memory_equal(ids.ids, want, sizeof want);
    assert_int_equal(mf_decode(t, ids.ids, ids.count, &decoded, &err), 0);
    assert_int_equal(decoded.size, sizeof back - 1);
    assert_memory_equal(decoded.bytes, back, sizeof back - 1);
    mf_tokenizer_bytes(t, 9, &bytes, &size);
    assert_int_equal(size, 4);
    assert_memory_equal(bytes, " the", 4);
    assert_int_equal(mf_tokenizer_lead(t, 9), 1);
    assert_int_equal(mf_tokenizer_lead(t, 8), 0);
    assert_int_equal(mf_tokenizer_special(t, MF_BOS), 0);
    free(ids.ids);
    free(decoded.bytes);
    mf_tokenizer_free(t);
}

/* Takes ids from a list; what it has got is in `context`, another list. */
static int take(void *context, struct mf_ids *ids, struct mf_err *e) {
    for (size_t i = 0; i < ids->count; i++)
        if (mf_ids_add(context, ids->ids[i], e) < 0) return -1;
    ids->count = 0;
    return 0;
}

static void a_list_that_is_drained_stays_short_and_loses_nothing(void **state) {
    (void)state;
    size_t size = 10 * MF_IDS_DRAIN;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++) text[i] = "xy 1 z,.q"[i % 9];
    train(sample, SAMPLES, 280, 1, "t.json");
    struct mf_tokenizer *t = load("t.json");
    struct mf_encoder *e;
    struct mf_ids all = {0}, ids = {.drain = take, .context = &all}, want = encoded(t, text, size);
    assert_int_equal(mf_encoder_new(&e, t, &err), 0);
    assert_int_equal(mf_encode(e, text, size, MF_SPECIAL_TEXT, &ids, &err), 0);
    assert_true(ids.count < MF_IDS_DRAIN + 8);
    assert_true(ids.capacity < 4 * MF_IDS_DRAIN);
    assert_int_equal(take(&all, &ids, &err), 0);
    assert_int_equal(all.count, want.count);
    assert_memory_equal(all.ids, want.ids, want.count * sizeof *want.ids);
    free(text);
    free(all.ids);
    free(ids.ids);
    free(want.ids);
    mf_encoder_free(e);
    mf_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specials_and_bytes_come_first),
        cmocka_unit_test(merges_are_those_of_a_hand_count),
        cmocka_unit_test(the_order_of_texts_does_not_matter),
        cmocka_unit_test(no_merge_spells_a_special_token),
        cmocka_unit_test(an_enormous_word_is_cut),
        cmocka_unit_test(words_are_the_same_in_memory_and_on_disk),
        cmocka_unit_test(every_byte_string_comes_back),
        cmocka_unit_test(a_special_token_in_a_text_is_what_was_asked_for),
        cmocka_unit_test(the_longest_special_token_is_taken),
        cmocka_unit_test(what_is_not_honoured_is_named),
        cmocka_unit_test(a_broken_vocabulary_is_named),
        cmocka_unit_test(a_merge_that_is_not_understood_is_named),
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(both_spellings_of_merges_are_read),
        cmocka_unit_test(a_prefix_space_is_a_space_before_the_text),
        cmocka_unit_test(characters_fall_back_to_bytes),
        cmocka_unit_test(a_list_that_is_drained_stays_short_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
