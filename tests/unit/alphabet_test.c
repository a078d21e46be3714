/* The byte alphabet of tokenizer files: each byte's character, and the way back. */
#include "scratch.h"

#include "text/alphabet.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_has_its_own_printable_character),
        cmocka_unit_test(what_is_not_of_the_alphabet_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
