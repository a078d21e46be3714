/* Numbers read from text and written as text, and the nearest of some names. */
#include "scratch.h"

#include "base/strings.h"

static void test_numbers_are_strict(void **state) {
    (void)state;
    int64_t i;
    double r;
    uint64_t s;
    assert_int_equal(mf_parse_int("-42", &i), 0);
    assert_int_equal(i, -42);
    assert_int_equal(mf_parse_int("9223372036854775807", &i), 0);
    static const char *const bad_ints[] = {"",  " 1", "1 ", "+1", "0x1", "1.0", "9223372036854775808",
                                           "-", "1e3"};
    for (size_t k = 0; k < sizeof bad_ints / sizeof *bad_ints; k++)
        assert_int_equal(mf_parse_int(bad_ints[k], &i), -1);
    assert_int_equal(mf_parse_real("1e-8", &r), 0);
    assert_true(r == 1e-8);
    static const char *const bad_reals[] = {"", "nan", "inf", "-inf", "1e999", "0x1p3", " 1", "1,5", "."};
    for (size_t k = 0; k < sizeof bad_reals / sizeof *bad_reals; k++)
        assert_int_equal(mf_parse_real(bad_reals[k], &r), -1);
    assert_int_equal(mf_parse_size("3M", &s), 0);
    assert_int_equal(s, 3 << 20);
    assert_int_equal(mf_parse_size("17", &s), 0);
    static const char *const bad_sizes[] = {"", "M", "-1", "1KB", "99999999999G", "1.5M"};
    for (size_t k = 0; k < sizeof bad_sizes / sizeof *bad_sizes; k++)
        assert_int_equal(mf_parse_size(bad_sizes[k], &s), -1);
    char text[MF_REAL_TEXT];
    mf_real_text(text, 0.1f, true);
    assert_string_equal(text, "0.1");
    mf_real_text(text, (double)0.1f, false);
    assert_string_equal(text, "0.10000000149011612");
    mf_real_text(text, -1.7976931348623157e308, false);
    assert_string_equal(text, "-1.7976931348623157e+308");
}

static void test_nearest_name(void **state) {
    (void)state;
    static const char *const names[] = {"seed", "threads", "output", "progress"};
    assert_string_equal(mf_nearest("sed", names, 4), "seed");
    assert_string_equal(mf_nearest("thread", names, 4), "threads");
    assert_string_equal(mf_nearest("prog", names, 4), "progress");
    assert_null(mf_nearest("banana", names, 4));
    assert_null(mf_nearest("", names, 4));
    char longer[300];
    memset(longer, 's', 299);
    longer[299] = 0;
    assert_null(mf_nearest(longer, names, 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_strict),
        cmocka_unit_test(test_nearest_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
