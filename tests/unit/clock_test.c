/* The clock does not go back, and a process has a peak of memory. */
#include "scratch.h"

#include "base/clock.h"

static void test_clock(void **state) {
    (void)state;
    double before = mf_now();
    assert_true(mf_now() >= before);
    assert_true(mf_peak_memory() > 100000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
