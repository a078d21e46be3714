/* Configuration files of any shape, size and damage are read or refused. */
#include "config_fixture.h"

#include "base/rng.h"

/* Files of other shapes that are fine. */
static void test_accepted(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "---\n",
        "# only words\n",
        "model:\nseed: 1\n",
        "\xef\xbb\xbfseed: 1\r\n", /* a mark of UTF-8, and lines of DOS */
        "{seed: 1, model: {d_ff: \"2048\"}}\n",
        "%YAML 1.1\n---\nseed: 1\n...\n",
    };
    struct mf_config defaults, config;
    struct mf_err err;
    assert_int_equal(load(&defaults, NULL, &err), 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (load_text(&config, texts[i], strlen(texts[i]), &err) < 0) fail_msg("%zu: %s", i, err.text);
        assert_memory_equal(&config, &defaults, sizeof config);
    }
}

static void test_files(void **state) {
    (void)state;
    struct mf_config config;
    struct mf_err err;
    assert_int_equal(load(&config, "absent.yaml", &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(load(&config, ".", &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    size_t size = ((size_t)1 << 20) + 1;
    char *large = malloc(size);
    assert_non_null(large);
    memset(large, '\n', size);
    assert_int_equal(load_text(&config, large, size - 1, &err), 0);
    assert_int_equal(load_text(&config, large, size, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
    memset(large, '[', size); /* depth without end */
    assert_int_equal(load_text(&config, large, size - 1, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
    free(large);
}

/* Cut and damaged files are read or refused, nothing else. */
static void test_damaged(void **state) {
    (void)state;
    struct mf_config config;
    struct mf_err err;
    size_t size;
    struct mf_rng rng;
    mf_rng_seed(&rng, 2);
    assert_int_equal(load(&config, NULL, &err), 0);
    char *text = print(&config, NULL, &size);
    for (int i = 0; i < 600; i++) {
        char *damaged = malloc(size + 1);
        assert_non_null(damaged);
        memcpy(damaged, text, size);
        size_t n = i % 3 == 0 ? mf_rng_below(&rng, size) : size;
        for (int j = 0; i % 3 && j < i % 3; j++)
            damaged[mf_rng_below(&rng, size)] = (char)mf_rng_below(&rng, 256);
        int status = load_text(&config, damaged, n, &err);
        assert_true(status == 0 || err.status == EX_CONFIG);
        assert_true(status == 0 || strncmp(err.text, "c.yaml:", 7) == 0);
        free(damaged);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
