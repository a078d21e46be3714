/* Whether bytes are UTF-8, beside jansson's opinion. */
#include <string.h>
#include "scratch.h"
#include "base/rng.h"
#include "io/utf8.h"

static bool by_jansson(const char *bytes, size_t size) {
    json_t *text = json_stringn(bytes, size);
    json_decref(text);
    return text != NULL;
}

/* Each pair of bytes behind and before so much ASCII that words of eight end at every place of it. */
static void test_pairs(void **state) {
    (void)state;
    for (size_t before = 0; before < 9; before++)
        for (unsigned pair = 0; pair < 65536; pair++) {
            char text[20];
            memset(text, 'a', sizeof text);
            text[before] = (char)(pair >> 8);
            text[before + 1] = (char)pair;
            assert_int_equal(mf_utf8_valid(text, sizeof text), by_jansson(text, sizeof text));
            assert_int_equal(mf_utf8_valid(text, before + 2), by_jansson(text, before + 2));
        }
}

/* Random characters of every width, with a byte changed or the end cut off in half of the texts. */
static void test_random(void **state) {
    (void)state;
    static const char *const parts[] = {"a",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "\xe0\xa0\x80",
                                        "word "};
    size_t valid = 0, wrong = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t key = mf_rng_key(1, "utf8", i);
        char text[128];
        size_t n = 0;
        for (uint64_t k = 0; k < 20; k++) {
            const char *part = parts[mf_rng_at(key, k) % (sizeof parts / sizeof *parts)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        if (i % 4 == 1) text[mf_rng_at(key, 30) % n] = (char)mf_rng_at(key, 31);
        if (i % 4 == 3) n -= mf_rng_at(key, 32) % n;
        bool ours = mf_utf8_valid(text, n);
        assert_int_equal(ours, by_jansson(text, n));
        *(ours ? &valid : &wrong) += 1;
    }
    assert_true(valid > 50000 && wrong > 20000);
    assert_true(mf_utf8_valid("", 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs), cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
