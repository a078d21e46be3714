/* The scanners of families find what PCRE2 finds. */
#include "pattern_search.h"

#include "base/rng.h"
#include "text/families.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanners_find_what_pcre2_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
