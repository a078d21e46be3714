/* Every byte string comes back; special tokens, spaces before a text, and bytes in the place of characters.
 */
#include "tokenizer_fixture.h"

#include "base/rng.h"

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

/* The first token of all may stand for nothing, and be spelled by nothing. */
static void a_token_may_be_empty(void **state) {
    (void)state;
    static const char file[] =
        "{\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\","
        "\"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}]},"
        "\"model\": {\"type\": \"BPE\", \"unk_token\": \"a\", \"byte_fallback\": true, \"merges\": [],"
        "\"vocab\": {\"\": 0, \"a\": 1, \"\u2581\": 2}}}";
    static const uint32_t ids[] = {0, 1, 0, 2, 1};
    const char *bytes;
    size_t size;
    struct mf_text decoded = {0};
    write_file("empty.json", file, sizeof file - 1);
    struct mf_tokenizer *t = load("empty.json");
    mf_tokenizer_bytes(t, 0, &bytes, &size);
    assert_int_equal(size, 0);
    assert_int_equal(mf_decode(t, ids, sizeof ids / sizeof *ids, &decoded, &err), 0);
    assert_int_equal(decoded.size, 3);
    assert_memory_equal(decoded.bytes, "a a", 3);
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
        cmocka_unit_test(every_byte_string_comes_back),
        cmocka_unit_test(a_special_token_in_a_text_is_what_was_asked_for),
        cmocka_unit_test(the_longest_special_token_is_taken),
        cmocka_unit_test(a_prefix_space_is_a_space_before_the_text),
        cmocka_unit_test(characters_fall_back_to_bytes),
        cmocka_unit_test(a_token_may_be_empty),
        cmocka_unit_test(a_list_that_is_drained_stays_short_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
