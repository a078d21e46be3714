/* The table of keys is sound: names, places, stages, and defaults as they are printed. */
#include "config_fixture.h"

#include "config/schema.h"

static void test_schema(void **state) {
    (void)state;
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    struct mf_config config;
    struct mf_err err;
    assert_int_equal(load(&config, NULL, &err), 0);
    for (size_t i = 0; i < count; i++) {
        char text[1100], again[1100];
        size_t n = mf_key_section(&keys[i]);
        assert_ptr_equal(mf_key_find(keys[i].name), &keys[i]);
        assert_true((keys[i].stages == 0) == (strncmp(keys[i].name, "cluster.", 8) == 0));
        assert_int_equal(keys[i].stages & ~mf_stage_bit(NULL), 0);
        assert_true(keys[i].offset < sizeof config);
        mf_key_format(&keys[i], &config, text, sizeof text);
        assert_string_equal(text, keys[i].fallback); /* defaults are spelled as they are printed */
        assert_int_equal(mf_key_parse(&keys[i], &config, text, "test", &err), 0);
        mf_key_format(&keys[i], &config, again, sizeof again);
        assert_string_equal(text, again);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(keys[i].offset, keys[j].offset);
            /* a section is not left and entered again */
            bool same = mf_key_section(&keys[j]) == n && memcmp(keys[j].name, keys[i].name, n) == 0;
            bool before = mf_key_section(&keys[i - 1]) == n && memcmp(keys[i - 1].name, keys[i].name, n) == 0;
            assert_true(!same || before);
        }
    }
    unsigned bits = 0;
    for (const char *const *stage = mf_config_stages(); *stage; stage++) bits |= mf_stage_bit(*stage);
    assert_int_equal(bits, mf_stage_bit(NULL));
    assert_int_equal(mf_stage_bit("no stage"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
