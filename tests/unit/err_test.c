/* The line of an error: what it may hold, and what of long names is left in it. */
#include "scratch.h"

#include <errno.h>

#include "base/err.h"

static void test_error_lines_are_clean(void **state) {
    (void)state;
    struct mf_err err = {0};
    assert_int_equal(mf_err_set(&err, EX_DATAERR, "a\nb\x1b[31m\x7f%s",
                                "\xc2\x9b"
                                "c"),
                     -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_string_equal(err.text, "a?b?[31m???c");
    mf_err_set(&err, EX_IOERR, "outer: %s", err.text); /* may be built upon itself */
    assert_string_equal(err.text, "outer: a?b?[31m???c");
    errno = ENOENT;
    mf_err_sys(&err, EX_NOINPUT, "x");
    assert_string_equal(err.text, "x: No such file or directory");
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    for (size_t shift = 0; shift < 2; shift++) { /* a cut never leaves half a character */
        for (size_t i = shift; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa9", 2);
        mf_err_set(&err, 1, "%.*s", 998, longer);
        size_t n = strlen(err.text);
        assert_true(n < sizeof err.text && n > 470);
        assert_int_equal((unsigned char)err.text[n - 1], 0xa9);
    }
}

/* Strings shorten in their middle, the longest first; numbers, widths and texts without an end do not disturb
 * that. */
static void test_long_names_leave_the_reason(void **state) {
    (void)state;
    struct mf_err err = {0};
    char path[4001], other[300];
    memset(path, 'p', 4000);
    memcpy(path, "/from", 5);
    memcpy(path + 3995, "/last", 6);
    memset(other, 'q', 299);
    memcpy(other + 294, "/tail", 6);
    errno = ENOENT;
    mf_err_sys(&err, 1, "%s", path);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(strncmp(err.text, "/frompp", 7), 0);
    assert_non_null(strstr(err.text, "p...p"));
    assert_non_null(strstr(err.text, "p/last: No such file or directory"));
    const char unended[] = {'a', 'b', 'c'};
    mf_err_set(&err, 1, "%zu%% %5.1f %.*s %lld %c %s: is %s, not %.12s as in %s", (size_t)7, 2.5, 3, unended,
               -1LL, 'x', path, "short", "0123456789abcdef", other);
    assert_int_equal(strncmp(err.text, "7%   2.5 abc -1 x /frompp", 25), 0);
    assert_non_null(strstr(err.text, "p/last: is short, not 0123456789ab as in qqq"));
    assert_non_null(strstr(err.text, "q/tail"));
    for (size_t shift = 0; shift < 4; shift++) { /* no half of a character */
        for (size_t i = shift; i + 3 < sizeof path; i += 3) memcpy(path + i, "\xe2\x82\xac", 3);
        memset(path + 3990, 'z', 10);
        mf_err_set(&err, 1, "%s: %d", path, 5);
        char *dots = strstr(err.text, "...");
        assert_non_null(dots);
        assert_int_equal((unsigned char)dots[-1], 0xac);
        assert_int_equal((unsigned char)dots[3], 0xe2);
        assert_string_equal(err.text + strlen(err.text) - 5, "zz: 5");
    }
    memset(path, 0x80, 4000); /* nor an endless search for one */
    mf_err_set(&err, 1, "%s: %s", path, "why");
    assert_string_equal(err.text + strlen(err.text) - 5, ": why");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_lines_are_clean),
        cmocka_unit_test(test_long_names_leave_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
