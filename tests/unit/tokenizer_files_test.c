/* Files that cannot be honoured are refused by the name of what is wrong; both spellings of merges are read.
 */
#include "tokenizer_fixture.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_honoured_is_named),
        cmocka_unit_test(a_broken_vocabulary_is_named),
        cmocka_unit_test(a_merge_that_is_not_understood_is_named),
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(both_spellings_of_merges_are_read),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
