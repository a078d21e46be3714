/* Patterns of foreign tokenizers: the scanners of families find what PCRE2 finds; what Oniguruma means
 * otherwise is refused; a match that takes too long is an error. */
#include <stdbool.h>
#include <utf8proc.h>
#include "scratch.h"
#include "base/rng.h"
#include "text/families.h"
#include "text/normal.h"
#include "text/split_steps.h"

static struct mf_err err;

static struct mf_search *search_for(enum mf_pattern_kind kind, const char *text,
                                    struct mf_pattern **pattern) {
    if (mf_pattern_new(pattern, kind, text, strlen(text), &err) < 0) fail_msg("%s", err.text);
    return mf_search_new(*pattern);
}

/* --- scanners against PCRE2 --- */

/* Characters of every kind that some pattern tells apart, and stray bytes. */
static const char *const units[] = {
    "a",
    "b",
    "S",
    "s",
    "T",
    "D",
    "M",
    "re",
    "VE",
    "lL",
    "\xc5\xbf",
    "\xc3\xa9",
    "\xc3\x89",
    "\xc7\x85",
    "\xca\xb0",
    "\xe3\x80\x85",
    "\xce\xa3",
    "\xd0\x96",
    "\xd7\x90",
    "\xe4\xb8\xad",
    "\xe4\xb8\x80",
    "\xe9\xbe\xa5",
    "\xe9\xbe\xa6",
    "\xe3\x81\x82",
    "\xe3\x83\xbf",
    "\xe3\x84\x80",
    "\xe3\x80\xbf",
    "\xe3\x82\x99",
    "\xcc\x81",
    "\xe0\xa4\xbe",
    "\xe2\x83\x9d",
    "1",
    "23",
    "\xd9\xa3",
    "\xc2\xbd",
    "\xe2\x85\xa7",
    "'",
    "'s",
    "'ll",
    "\xe2\x80\x99",
    ".",
    "-",
    "_",
    "/",
    "//",
    "$",
    "+",
    "\xe2\x82\xac",
    "\xe2\x80\x94",
    "\xc2\xa1",
    "\xf0\x9f\x98\x80",
    "\xe2\x80\x8d",
    "\x01",
    "\x7f",
    "\xee\x80\x80",
    "\xcd\xb8",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\xc2\x85",
    "\xc2\xa0",
    "\xe3\x80\x80",
    "\xe1\xa0\x8e",
    "\xe2\x80\xa8",
    "\xff",
    "\xc3",
    "\xe4\xb8",
    "\xed\xa0\x80",
};
#define UNITS (sizeof units / sizeof *units)

static size_t random_text(struct mf_rng *rng, char *text, size_t most) {
    size_t size = 0, n = 1 + mf_rng_below(rng, 24), alphabet = 2 + mf_rng_below(rng, UNITS - 1);
    uint64_t first = mf_rng_below(rng, UNITS);
    for (size_t i = 0; i < n; i++) {
        const char *unit = units[(first + mf_rng_below(rng, alphabet)) % UNITS];
        if (size + strlen(unit) > most) break;
        memcpy(text + size, unit, strlen(unit));
        size += strlen(unit);
    }
    return size;
}

static void same_matches(struct mf_search *a, struct mf_search *b, const char *pattern, const char *text,
                         size_t size) {
    size_t at = 0, end = 0, want_at = 0, want_end = 0;
    assert_int_equal(mf_search_begin(a, text, size, &err), 0);
    assert_int_equal(mf_search_begin(b, text, size, &err), 0);
    for (int found = 1; found;) {
        found = mf_search_next(a, &at, &end, &err);
        if (found != mf_search_next(b, &want_at, &want_end, &err) ||
            (found && (at != want_at || end != want_end)))
            fail_msg("%zu..%zu, not %zu..%zu, of '%.*s' by %s", at, end, want_at, want_end, (int)size, text,
                     pattern);
    }
}

static void scanners_find_what_pcre2_finds(void **state) {
    (void)state;
    char text[256];
    for (enum mf_family i = 0; i < MF_FAMILIES; i++) {
        struct mf_pattern *hand, *pcre;
        struct mf_rng rng;
        const char *pattern = mf_family_pattern(i);
        struct mf_search *a = search_for(MF_PATTERN_REGEX, pattern, &hand),
                         *b = search_for(MF_PATTERN_PCRE, pattern, &pcre);
        assert_ptr_equal(mf_family_scanner(pattern, strlen(pattern)) != NULL, true);
        mf_rng_seed(&rng, 100 + i);
        for (int k = 0; k < 60000; k++)
            same_matches(a, b, pattern, text, random_text(&rng, text, sizeof text));
        mf_search_free(a);
        mf_search_free(b);
        mf_pattern_free(hand);
        mf_pattern_free(pcre);
    }
    assert_null(mf_family_scanner("x", 1));
}

/* --- translation --- */

static void finds(const char *pattern, const char *text, size_t want_begin, size_t want_end) {
    struct mf_pattern *p;
    struct mf_search *s = search_for(MF_PATTERN_REGEX, pattern, &p);
    size_t begin = 0, end = 0;
    assert_int_equal(mf_search_begin(s, text, strlen(text), &err), 0);
    assert_int_equal(mf_search_next(s, &begin, &end, &err), want_end > 0);
    if (want_end && (begin != want_begin || end != want_end))
        fail_msg("%s finds %zu..%zu in '%s'", pattern, begin, end, text);
    mf_search_free(s);
    mf_pattern_free(p);
}

static void patterns_mean_what_they_mean_in_oniguruma(void **state) {
    (void)state;
    finds("\\s+", "a\xe1\xa0\x8e \xc2\x85z", 4, 7); /* U+180E is no white space */
    finds("[\\S]", " \xe1\xa0\x8e", 1, 4);
    finds("[^\\s]+", " ab ", 1, 3);
    finds("\\d+",
          "x\xd9\xa3"
          "1",
          1, 4);
    finds("\\v", "\n\v", 1, 2);
    finds("\\u0041\\x42\\x{43}", "xABC", 1, 4);
    finds("\\p{Han}", "\xe3\x80\x85", 0, 3);
    finds("\\p{Han}", "\xe3\x80\x81", 0, 0); /* a comma that other scripts use, too */
    finds("\\p{^L}", "ab1", 2, 3);
    finds("^b", "a\nb", 2, 3);
    finds("a$", "a\nb", 0, 1);
    finds("(?i:'s)", "a'\xc5\xbf", 1, 4);
    finds("(?i)ab", "xAB", 1, 3);
    finds("\\{[\\]x{]", "{x", 0, 2);
    finds("x{2}", "axxx", 1, 3);
    finds("\xe4\xb8\xad", "x\xe4\xb8\xad", 1, 4);
    finds("(?<=a)b", "bab", 2, 3);
}

static void what_they_mean_otherwise_is_refused(void **state) {
    (void)state;
    static const char *const patterns[][2] = {
        {"\\w+", "'\\w'"},          {"a\\b", "'\\b'"},         {"[a&&b]", "'&&'"},
        {"[[:alpha:]]", "'[:'"},    {"[]a]", "'[]'"},          {"a{1,3}+", "'{1,3}+"},
        {"a{2}?", "'{2}?"},         {"a{,3}", "'{,"},          {"a(?i)b", "'(?i)'"},
        {"(?m:.)", "'(?m:'"},       {"(*ACCEPT)", "'(*'"},     {"(?i:ss)", "'ss'"},
        {"(?i:\xc3\xa9)", "'"},     {"\\xe9", "'\\xe9'"},      {"(?<n>a)", "'(?<n'"},
        {"\\p{L&}", "'\\p{L&"},     {"\\p{Alphabetic}", "un"}, {"a*", "no characters"},
        {"(?=a)", "no characters"}, {"(a", "missing"},         {"[\\s-a]", "'\\s-'"},
        {"\\p", "'\\p'"},           {"a\\", "'\\'"},           {"[a", "missing"},
        {"", "no characters"},
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct mf_pattern *p;
        const char *text = patterns[i][0];
        if (mf_pattern_new(&p, MF_PATTERN_REGEX, text, strlen(text), &err) == 0) fail_msg("%s", text);
        assert_int_equal(err.status, EX_DATAERR);
        if (!strstr(err.text, patterns[i][1])) fail_msg("'%s' does not say %s", err.text, patterns[i][1]);
    }
}

static void a_match_that_takes_too_long_is_an_error(void **state) {
    (void)state;
    struct mf_pattern *p;
    struct mf_search *s = search_for(MF_PATTERN_REGEX, "(?:a+)+[bd]", &p);
    char text[64];
    size_t begin, end;
    memset(text, 'a', sizeof text);
    mf_search_text(s, sizeof text);
    assert_int_equal(mf_search_begin(s, text, sizeof text, &err), 0);
    assert_int_equal(mf_search_next(s, &begin, &end, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_non_null(strstr(err.text, "gives up on 64 bytes of text: match limit exceeded"));
    mf_search_free(s);
    mf_pattern_free(p);
}

/* Each part of a text takes few steps, all of them together too many. */
static void steps_of_a_text_are_counted_together(void **state) {
    (void)state;
    struct mf_pattern *p;
    struct mf_search *s = search_for(MF_PATTERN_REGEX, "(?:a|aa){14}!", &p);
    const char text[] = "aaaaaaaaaaaaaaaaaa !";
    size_t begin, end;
    int found = 0, parts = 0;
    for (int i = 0; i < 100; i++) {
        mf_search_text(s, strlen(text));
        assert_int_equal(mf_search_begin(s, text, strlen(text), &err), 0);
        assert_int_equal(mf_search_next(s, &begin, &end, &err), 0);
    }
    mf_search_text(s, strlen(text));
    for (; found == 0 && parts < 100; parts++) {
        assert_int_equal(mf_search_begin(s, text, strlen(text), &err), 0);
        found = mf_search_next(s, &begin, &end, &err);
    }
    assert_int_equal(found, -1);
    assert_in_range(parts, 2, 99);
    mf_search_free(s);
    mf_pattern_free(p);
}

/* Where a place needs many steps, the match behind it is still found where it is. */
static void a_match_behind_a_dear_place_is_found(void **state) {
    (void)state;
    struct mf_pattern *p;
    struct mf_search *s = search_for(MF_PATTERN_REGEX, "(?:a|aa){14}!|\xc3\xa9|b", &p);
    const char text[] = "aaaaaaaaaaaaaaaaaa\xc3\xa9 !b";
    size_t begin = 0, end = 0;
    mf_search_text(s, strlen(text));
    assert_int_equal(mf_search_begin(s, text, strlen(text), &err), 0);
    assert_int_equal(mf_search_next(s, &begin, &end, &err), 1);
    assert_int_equal(begin, 18);
    assert_int_equal(end, 20);
    assert_int_equal(mf_search_next(s, &begin, &end, &err), 1);
    assert_int_equal(begin, 22);
    assert_int_equal(mf_search_next(s, &begin, &end, &err), 0);
    mf_search_free(s);
    mf_pattern_free(p);
}

/* A megabyte of white space takes neither too many steps nor too much of the stack. */
static void a_long_text_is_searched(void **state) {
    (void)state;
    size_t size = (size_t)1 << 20, begin = 1, end = 0;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    for (enum mf_family i = 0; i < MF_FAMILIES; i++) {
        struct mf_pattern *p;
        struct mf_search *s = search_for(MF_PATTERN_PCRE, mf_family_pattern(i), &p);
        mf_search_text(s, size);
        assert_int_equal(mf_search_begin(s, text, size, &err), 0);
        if (mf_search_next(s, &begin, &end, &err) < 0) fail_msg("%s", err.text);
        mf_search_free(s);
        mf_pattern_free(p);
    }
    free(text);
}

/* --- steps --- */

struct cut {
    char text[256];
    size_t size;
};

static int note(void *context, const char *text, size_t size, struct mf_err *e) {
    struct cut *cut = context;
    (void)e;
    cut->size +=
        (size_t)snprintf(cut->text + cut->size, sizeof cut->text - cut->size, "[%.*s]", (int)size, text);
    return 0;
}

static void cuts(enum mf_split_behavior behavior, bool invert, const char *text, const char *want) {
    struct mf_split_step step = {.behavior = behavior, .invert = invert};
    const struct mf_split_steps steps = {&step, 1};
    struct mf_split_work work;
    struct cut cut = {{0}, 0};
    assert_int_equal(mf_pattern_new(&step.pattern, MF_PATTERN_STRING, "-", 1, &err), 0);
    mf_split_begin(&work, &steps);
    assert_int_equal(mf_split(&work, text, strlen(text), true, note, &cut, &err), 0);
    assert_string_equal(cut.text, want);
    mf_split_end(&work);
    mf_pattern_free(step.pattern);
}

/* The first five as the library's documentation of each behavior has them. */
static void matches_are_treated_in_five_ways(void **state) {
    (void)state;
    const char *text = "the-final--countdown";
    cuts(MF_SPLIT_REMOVED, false, text, "[the][final][countdown]");
    cuts(MF_SPLIT_ISOLATED, false, text, "[the][-][final][-][-][countdown]");
    cuts(MF_SPLIT_WITH_PREVIOUS, false, text, "[the-][final-][-][countdown]");
    cuts(MF_SPLIT_WITH_NEXT, false, text, "[the][-final][-][-countdown]");
    cuts(MF_SPLIT_CONTIGUOUS, false, text, "[the][-][final][--][countdown]");
    cuts(MF_SPLIT_REMOVED, true, text, "[-][-][-]");
    cuts(MF_SPLIT_WITH_PREVIOUS, true, text, "[the][-final][-][-countdown]");
    cuts(MF_SPLIT_WITH_NEXT, true, text, "[the-][final-][-][countdown]");
    cuts(MF_SPLIT_WITH_NEXT, false, "--", "[-][-]");
    cuts(MF_SPLIT_WITH_PREVIOUS, false, "--", "[-][-]");
    cuts(MF_SPLIT_CONTIGUOUS, false, "--", "[--]");
    cuts(MF_SPLIT_REMOVED, false, "", "");
}

/* --- forms --- */

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
        cmocka_unit_test(scanners_find_what_pcre2_finds),
        cmocka_unit_test(patterns_mean_what_they_mean_in_oniguruma),
        cmocka_unit_test(what_they_mean_otherwise_is_refused),
        cmocka_unit_test(a_match_that_takes_too_long_is_an_error),
        cmocka_unit_test(steps_of_a_text_are_counted_together),
        cmocka_unit_test(a_match_behind_a_dear_place_is_found),
        cmocka_unit_test(a_long_text_is_searched),
        cmocka_unit_test(matches_are_treated_in_five_ways),
        cmocka_unit_test(texts_take_their_forms_and_keep_stray_bytes),
        cmocka_unit_test(forms_of_parts_are_forms_of_the_whole),
        cmocka_unit_test(long_runs_of_marks_take_their_forms),
        cmocka_unit_test(many_marks_take_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
