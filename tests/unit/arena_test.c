/* The arena: where its blocks lie, and what is too large for it. */
#include "scratch.h"

#include "base/arena.h"

static void test_arena(void **state) {
    (void)state;
    struct mf_err err;
    struct mf_arena a = {0};
    assert_null(mf_arena_floats(&a, 3));
    assert_null(mf_arena_take(&a, 5, 8));
    assert_int_equal(a.used, 128);
    assert_int_equal(mf_arena_init(&a, a.used, &err), 0);
    float *f = mf_arena_floats(&a, 3);
    char *second = mf_arena_take(&a, 5, 8);
    assert_int_equal((uintptr_t)f % 64, 0);
    assert_ptr_equal(second, (char *)f + 64);
    assert_true(f[0] == 0 && second[39] == 0);
    mf_arena_free(&a);
    mf_arena_free(&a);
    assert_int_equal(mf_arena_init(&a, (size_t)1 << 62, &err), -1);
    assert_int_equal(err.status, EX_OSERR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
