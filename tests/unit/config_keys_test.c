/* Keys one at a time: set by --set, and asked for by name. */
#include "config_fixture.h"

static void test_get(void **state) {
    (void)state;
    struct mf_config config;
    struct mf_err err;
    char text[1100];
    assert_int_equal(load(&config, NULL, &err), 0);
    assert_int_equal(mf_config_get(&config, "router.init", text, sizeof text, &err), 0);
    assert_string_equal(text, "data_stats");
    assert_int_equal(mf_config_get(&config, "router.inti", text, sizeof text, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
    assert_string_equal(err.text, "unknown key 'router.inti', did you mean 'router.init'?");
    assert_int_equal(mf_config_get(&config, "", text, sizeof text, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
}

static void test_sets(void **state) {
    (void)state;
    struct mf_config config;
    struct mf_err err;
    const char *sets[] = {"model.d_ff=64", "model.d_ff=65", "eval.prompts=a=b"};
    struct mf_settings settings = {.sets = {sets, 3, 3}, .seed = 7};
    assert_int_equal(mf_config_load(&config, &settings, &err), 0);
    assert_int_equal(config.model.d_ff, 65); /* the last one counts */
    assert_string_equal(config.eval.prompts, "a=b");
    assert_int_equal(config.seed, 7);
    sets[2] = "model.top_k=6";
    assert_int_equal(mf_config_load(&config, &settings, &err), -1);
    assert_string_equal(err.text, "--set: model.top_k is 6, above model.n_experts, which is 5");
    sets[2] = "d_ff";
    assert_int_equal(mf_config_load(&config, &settings, &err), -1);
    assert_int_equal(err.status, EX_USAGE);
    sets[2] = "d_ff=3";
    assert_int_equal(mf_config_load(&config, &settings, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
    assert_string_equal(err.text, "--set: unknown key 'd_ff', did you mean 'model.d_ff'?");
    sets[2] = "eval.prompts=\xc3"; /* half a character */
    assert_int_equal(mf_config_load(&config, &settings, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
