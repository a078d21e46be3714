/* How far compressed bytes may grow. */
#include "scratch.h"

#include "io/unpack.h"

static struct mf_err err;

static void test_unpack_limit(void **state) {
    (void)state;
    const uint64_t mib = 1 << 20;
    assert_int_equal(mf_unpack_check("f", 0, 0, &err), 0);
    assert_int_equal(mf_unpack_check("f", 1, 32 * mib, &err), 0);
    assert_int_equal(mf_unpack_check("f", 1, 32 * mib + 1, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_int_equal(mf_unpack_check("f", mib, 250 * mib, &err), 0);
    assert_int_equal(mf_unpack_check("f", mib, 250 * mib + 1, &err), -1);
    assert_int_equal(mf_unpack_check("f", UINT64_MAX / 2, UINT64_MAX, &err), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpack_limit),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
