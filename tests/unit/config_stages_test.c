/* What a stage prints and sees of a configuration: the keys that it reads and no others. */
#include "config_fixture.h"

#include "config/schema.h"

/* A stage's YAML and its JSON hold the keys it reads and no others. */
static void test_stages(void **state) {
    (void)state;
    size_t count, size;
    const struct mf_key *keys = mf_keys(&count);
    struct mf_config config, again;
    struct mf_err err;
    assert_int_equal(load(&config, NULL, &err), 0);
    for (const char *const *stage = mf_config_stages(); *stage; stage++) {
        char *text = print(&config, *stage, &size);
        json_t *json = mf_config_json(&config, *stage);
        size_t read = 0, in_json = 0, lines = 0;
        for (size_t i = 0; i < count; i++) read += (keys[i].stages & mf_stage_bit(*stage)) != 0;
        for (const char *c = text; *c; c++) lines += *c == '\n' && c[-1] != ':';
        const char *name;
        json_t *value;
        json_object_foreach(json, name, value) in_json += json_is_object(value) ? json_object_size(value) : 1;
        assert_int_equal(lines, read);
        assert_int_equal(in_json, read);
        assert_int_equal(load_text(&again, text, size, &err), 0);
        assert_memory_equal(&config, &again, sizeof config);
        json_decref(json);
        free(text);
    }
    json_t *json = mf_config_json(&config, "train-shared");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "model"), "d_ff")), 2048);
    assert_true(json_real_value(json_object_get(json_object_get(json, "train_shared"), "lr")) == 6e-4);
    json_decref(json);
}

/* A stage sees the values it reads by the schema, and of all others the defaults. */
static void test_stage_sees(void **state) {
    (void)state;
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    struct mf_err err;
    for (const char *const *stage = mf_config_stages(); *stage; stage++)
        for (size_t i = 0; i < count; i++) {
            struct mf_config config;
            char set[128], text[1100];
            const char *sets[] = {set}, *value = keys[i].kind == MF_KEY_TEXT ? "x" : NULL;
            if (keys[i].kind == MF_KEY_BOOL) value = "false";
            if (keys[i].kind == MF_KEY_CHOICE) value = keys[i].choices;
            if (!value) continue; /* numbers may not go together with others */
            snprintf(set, sizeof set, "%s=%.*s", keys[i].name, (int)strcspn(value, "|"), value);
            struct mf_settings settings = {.sets = {sets, 1, 1}, .seed = -1};
            assert_int_equal(mf_config_load_stage(&config, &settings, *stage, &err), 0);
            mf_key_format(&keys[i], &config, text, sizeof text);
            if (keys[i].stages & mf_stage_bit(*stage))
                assert_string_equal(text, strchr(set, '=') + 1);
            else
                assert_string_equal(text, keys[i].fallback);
        }
    struct mf_config config;
    const char *sets[] = {"model.d_ff=64"};
    struct mf_settings settings = {.sets = {sets, 1, 1}, .seed = 7};
    assert_int_equal(mf_config_load_stage(&config, &settings, "train-shared", &err), 0);
    assert_int_equal(config.model.d_ff, 64);
    assert_int_equal(config.seed, 7);
    assert_int_equal(mf_config_load_stage(&config, &settings, "docs", &err), 0);
    assert_int_equal(config.model.d_ff, 2048);
    assert_int_equal(config.seed, 1);
    sets[0] = "model.d_ff=0"; /* wrong for every stage */
    assert_int_equal(mf_config_load_stage(&config, &settings, "docs", &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_stage_sees),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
