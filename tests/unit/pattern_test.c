/* Patterns of foreign tokenizers: what Oniguruma means otherwise is refused; a match that takes too long is
 * an error; and what becomes of matches. */
#include "pattern_search.h"

#include "text/families.h"
#include "text/split_steps.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_what_they_mean_in_oniguruma),
        cmocka_unit_test(what_they_mean_otherwise_is_refused),
        cmocka_unit_test(a_match_that_takes_too_long_is_an_error),
        cmocka_unit_test(steps_of_a_text_are_counted_together),
        cmocka_unit_test(a_match_behind_a_dear_place_is_found),
        cmocka_unit_test(a_long_text_is_searched),
        cmocka_unit_test(matches_are_treated_in_five_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
