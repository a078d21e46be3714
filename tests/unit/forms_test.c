/* Unicode's forms of texts, of runs of marks without end, and of parts. */
#include "scratch.h"

#include <stdbool.h>
#include <utf8proc.h>
#include "base/rng.h"
#include "text/normal.h"

static struct mf_err err;

#define WITHOUT_END 60 /* seconds; done in a tenth of one */

static void form_is(enum mf_form form, const char *text, const char *want) {
    struct mf_forms forms = {0};
    struct mf_text out = {0};
    assert_int_equal(mf_form_put(&forms, form, text, strlen(text), &out, &err), 0);
    assert_int_equal(mf_form_keeps(&forms, form, text, strlen(text)) && strcmp(text, want) != 0, false);
    if (out.size != strlen(want) || memcmp(out.bytes, want, out.size) != 0)
        fail_msg("'%s' becomes '%.*s', not '%s'", text, (int)out.size, out.bytes, want);
    free(out.bytes);
    mf_forms_free(&forms);
}

static void texts_take_their_forms_and_keep_stray_bytes(void **state) {
    (void)state;
    form_is(MF_NFC, "ae\xcc\x81x", "a\xc3\xa9x");
    form_is(MF_NFC, "e\xff\xcc\x81", "e\xff\xcc\x81"); /* a stray byte parts them */
    form_is(MF_NFC, "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81");
    form_is(MF_NFC, "\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81");
    form_is(MF_NFC, "\xe2\x84\xab", "\xc3\x85");
    form_is(MF_NFC, "a\xcc\x95\xcc\x80", "\xc3\xa0\xcc\x95");
    form_is(MF_NFC, "\xef\xac\x81", "\xef\xac\x81");
    form_is(MF_NFD,
            "\xc3\xa9\xff"
            "a",
            "e\xcc\x81\xff"
            "a");
    form_is(MF_NFKC, "\xef\xac\x81\xe2\x85\xa7", "fiVIII");
    form_is(MF_NFKD, "\xef\xac\x81\xc3\xa9", "fie\xcc\x81");
}

/* The naive twin: the whole text at once; freed by free(). */
static char *naive_form(enum mf_form form, const char *text, size_t *size) {
    static const int composed = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                     apart = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    const int options[] = {composed, apart, composed | UTF8PROC_COMPAT, apart | UTF8PROC_COMPAT};
    utf8proc_uint8_t *to;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)strlen(text), &to,
                                      (utf8proc_option_t)options[form]);
    assert_true(n >= 0);
    *size = (size_t)n;
    return (char *)to;
}

/* Runs of marks of all classes, and of what comes apart into marks, are put in order. */
static void long_runs_of_marks_take_their_forms(void **state) {
    (void)state;
    static const char *const marks[] = {"\xcc\x81",
                                        "\xcc\x95",
                                        "\xcc\xa3",
                                        "\xcd\x85",
                                        "\xcd\x84",
                                        "\xe3\x82\x99",
                                        "\xe0\xbd\xb3",
                                        "\xe0\xbd\xb5",
                                        "\xe0\xbe\x81",
                                        "\xef\xbe\x9e",
                                        "\xe0\xbd\xb1",
                                        "\xd6\xb0",
                                        "e",
                                        "\xea\xb0\x80",
                                        "\xe1\x86\xa8",
                                        "\xef\xb7\xba"};
    struct mf_forms forms = {0};
    struct mf_rng rng;
    mf_rng_seed(&rng, 6);
    for (int k = 0; k < 4000; k++) {
        char text[512] = "";
        size_t size = 0, want_size, kinds = k % 2 ? 12 : sizeof marks / sizeof *marks;
        struct mf_text out = {0};
        enum mf_form form = (enum mf_form)(k % MF_FORMS);
        for (size_t i = mf_rng_below(&rng, 120); i > 0; i--)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s", marks[mf_rng_below(&rng, kinds)]);
        assert_int_equal(mf_form_put(&forms, form, text, size, &out, &err), 0);
        char *want = naive_form(form, text, &want_size);
        assert_int_equal(out.size, want_size);
        if (want_size) assert_memory_equal(out.bytes, want, want_size);
        free(want);
        free(out.bytes);
    }
    mf_forms_free(&forms);
}

/* In an order that a sort by neighbours takes two minutes for. */
static void many_marks_take_their_form(void **state) {
    (void)state;
    const size_t n = 100000;
    char *text = malloc(4 * n);
    struct mf_forms forms = {0};
    struct mf_text out = {0};
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) memcpy(text + 4 * i, "\xcd\x85\xcc\xa3", 4);
    alarm(WITHOUT_END);
    assert_int_equal(mf_form_put(&forms, MF_NFC, text, 4 * n, &out, &err), 0);
    alarm(0);
    assert_int_equal(out.size, 4 * n);
    for (size_t i = 0; i < n; i++) assert_memory_equal(out.bytes + 2 * i, "\xcc\xa3", 2);
    for (size_t i = n; i < 2 * n; i++) assert_memory_equal(out.bytes + 2 * i, "\xcd\x85", 2);
    free(text);
    free(out.bytes);
    mf_forms_free(&forms);
}

/* Cut into stable parts and whole, a text has one form. */
static void forms_of_parts_are_forms_of_the_whole(void **state) {
    (void)state;
    static const char *const pieces[] = {"a",
                                         "e",
                                         "\xcc\x81",
                                         "\xcc\x95",
                                         "\xcc\xa3",
                                         "\xc3\xa9",
                                         "\xe1\x84\x80",
                                         "\xe1\x85\xa1",
                                         "\xe1\x86\xa8",
                                         "\xea\xb0\x80",
                                         "\xef\xac\x81",
                                         "\xe0\xa7\x87",
                                         "\xe0\xa6\xbe",
                                         "\xe0\xaf\x86",
                                         "\xe0\xae\xbe",
                                         "\xe2\x84\xab",
                                         "\xe4\xb8\xad",
                                         "\xef\xa4\x80",
                                         "\xe1\xba\x9b",
                                         " ",
                                         "1"};
    struct mf_forms forms = {0};
    struct mf_rng rng;
    mf_rng_seed(&rng, 5);
    for (int k = 0; k < 40000; k++) {
        char text[128] = "";
        size_t size = 0;
        struct mf_text out = {0}, again = {0};
        enum mf_form form = (enum mf_form)(k % MF_FORMS);
        for (size_t i = mf_rng_below(&rng, 12); i > 0; i--)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s",
                                     pieces[mf_rng_below(&rng, sizeof pieces / sizeof *pieces)]);
        assert_int_equal(mf_form_put(&forms, form, text, strlen(text), &out, &err), 0);
        size_t want_size = 0;
        char *want = naive_form(form, text, &want_size);
        assert_int_equal(out.size, want_size);
        if (want_size) assert_memory_equal(out.bytes, want, want_size);
        assert_int_equal(mf_form_put(&forms, form, want, want_size, &again, &err), 0);
        assert_int_equal(again.size, want_size);
        free(want);
        free(out.bytes);
        free(again.bytes);
    }
    mf_forms_free(&forms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_take_their_forms_and_keep_stray_bytes),
        cmocka_unit_test(long_runs_of_marks_take_their_forms),
        cmocka_unit_test(many_marks_take_their_form),
        cmocka_unit_test(forms_of_parts_are_forms_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
