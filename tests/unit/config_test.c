/* The schema is sound, what is printed reads back as the same values, and what is wrong is named. */
#include "scratch.h"

#include <math.h>
#include <utf8proc.h>
#include "base/rng.h"
#include "config/config.h"
#include "config/schema.h"

static int load(struct mf_config *config, const char *file, struct mf_err *err) {
    struct mf_settings settings = {.config = file, .seed = -1};
    memset(err, 0, sizeof *err);
    return mf_config_load(config, &settings, err);
}

static int load_text(struct mf_config *config, const char *text, size_t size, struct mf_err *err) {
    write_file("c.yaml", text, size);
    return load(config, "c.yaml", err);
}

/* What `stage` reads, as YAML; owned by the caller. */
static char *print(const struct mf_config *config, const char *stage, size_t *size) {
    char *text;
    FILE *f = open_memstream(&text, size);
    assert_non_null(f);
    assert_int_equal(mf_config_print(config, stage, f), 0);
    fclose(f);
    return text;
}

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

/* Valid UTF-8 of any code points, those that YAML treats specially more often; without zero bytes. */
static void random_text(struct mf_rng *rng, char *text, size_t size) {
    static const utf8proc_int32_t special[] = {'"',    '\\', '\n', '\r', '\t',   ' ',    '#',
                                               ':',    0x7f, 0x85, 0xa0, 0x2028, 0x2029, 0xfeff,
                                               0xfffe, '\'', '|',  '%',  0x9fff, 0xffff, 0x80};
    size_t n = 0, wanted = mf_rng_below(rng, size - 4);
    while (n < wanted) {
        utf8proc_int32_t c = (utf8proc_int32_t)(1 + mf_rng_below(rng, 0x10ffff));
        if (mf_rng_below(rng, 2)) c = special[mf_rng_below(rng, sizeof special / sizeof *special)];
        if (c >= 0xd800 && c < 0xe000) continue;
        n += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)text + n);
    }
    text[n] = 0;
}

/* A value in the key's range, small and large ones alike. */
static void random_value(struct mf_rng *rng, const struct mf_key *key, struct mf_config *config) {
    char text[1100];
    struct mf_err err;
    double high = key->high, low = key->low;
    double share = mf_rng_uniform(rng), real = low + (high - low) * pow(share, 1 + 40 * mf_rng_uniform(rng));
    size_t choices = 1;
    switch (key->kind) {
    case MF_KEY_INT:
        snprintf(text, sizeof text, "%.0f", floor(real));
        break;
    case MF_KEY_REAL:
        snprintf(text, sizeof text, "%.17g", real);
        break;
    case MF_KEY_CHOICE:
        for (const char *c = key->choices; *c; c++) choices += *c == '|';
        memcpy((char *)config + key->offset, &(int){(int)mf_rng_below(rng, choices)}, sizeof(int));
        return;
    case MF_KEY_BOOL:
        snprintf(text, sizeof text, "%s", mf_rng_below(rng, 2) ? "true" : "false");
        break;
    case MF_KEY_TEXT:
        random_text(rng, text, (size_t)key->high + 1);
        break;
    }
    assert_int_equal(mf_key_parse(key, config, text, "random", &err), 0);
}

static void fit_training(struct mf_train_config *t) {
    if (t->min_lr > t->lr) t->min_lr = t->lr / 3;
    if (t->warmup > t->steps) t->warmup = t->steps;
}

static void random_config(struct mf_rng *rng, struct mf_config *c) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    for (size_t i = 0; i < count; i++) random_value(rng, &keys[i], c);
    c->model.n_heads = 1 + (int64_t)mf_rng_below(rng, 64);
    c->model.d_model = 2 * c->model.n_heads * (1 + (int64_t)mf_rng_below(rng, 100));
    c->model.n_kv_heads = mf_rng_below(rng, 2) ? c->model.n_heads : 0;
    c->model.head_dim -= c->model.head_dim % 2;
    if (c->model.top_k > c->model.n_experts) c->model.top_k = c->model.n_experts;
    c->docs.val_fraction /= 2.1;
    c->docs.test_fraction /= 2.1;
    if (c->docs.max_chars < c->docs.min_chars) c->docs.max_chars = 0;
    fit_training(&c->train_shared);
    fit_training(&c->train_expert);
    if (c->expert.rank) c->expert.init = MF_INIT_SHARED;
}

static void test_round_trip(void **state) {
    (void)state;
    struct mf_rng rng;
    mf_rng_seed(&rng, 1);
    for (int i = 0; i < 300; i++) {
        struct mf_config config, again;
        struct mf_err err;
        size_t size;
        memset(&config, 0, sizeof config);
        random_config(&rng, &config);
        char *text = print(&config, NULL, &size);
        if (load_text(&again, text, size, &err) < 0) fail_msg("%s\n%s", err.text, text);
        if (memcmp(&config, &again, sizeof config) != 0) fail_msg("differs when read again:\n%s", text);
        free(text);
    }
}

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

/* The whole message for each way to be wrong. */
static void test_messages(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"model:\n  d_model: 30\n  n_heads: 4\n",
         "c.yaml:2: model.d_model 30 is not a multiple of model.n_heads 4"},
        {"model:\n  n_heads: 7\n", "c.yaml:2: model.d_model 512 is not a multiple of model.n_heads 7"},
        {"model:\n  n_heads: 1\n  d_model: 33\n", "c.yaml:3: model.d_model is 33, must be even"},
        {"model:\n  n_experts: 2\n\n  top_k: 3\n",
         "c.yaml:4: model.top_k is 3, above model.n_experts, which is 2"},
        {"docs:\n  test_fraction: 0.95\n",
         "c.yaml:2: docs.val_fraction 0.05 and docs.test_fraction 0.95 leave nothing to train on"},
        {"docs:\n  min_chars: 10\n  max_chars: 9\n",
         "c.yaml:3: docs.max_chars is 9, below docs.min_chars, which is 10"},
        {"train_expert:\n  warmup: 11\n  steps: 10\n",
         "c.yaml:2: train_expert.warmup is 11, above steps, which is 10"},
        {"train_expert:\n  lr: 1e-3\n  min_lr: 2e-3\n",
         "c.yaml:3: train_expert.min_lr is 0.002, above lr, which is 0.001"},
        {"seed: -1\n", "c.yaml:1: seed is -1, must be at least 0"},
        {"docs:\n  max_docs: 2000000000000000\n",
         "c.yaml:2: docs.max_docs is 2000000000000000, must be at most 1e+15"},
        {"tokenizer: {vocab_size: 259}\n", "c.yaml:1: tokenizer.vocab_size is 259, must be 260 to 1048576"},
        {"seed: 99999999999999999999\n", "c.yaml:1: seed is '99999999999999999999', must be a whole number"},
        {"seed: 1.5\n", "c.yaml:1: seed is '1.5', must be a whole number"},
        {"seed:\n", "c.yaml:1: seed is '', must be a whole number"},
        {"seed: [1]\n", "c.yaml:1: one value is expected here"},
        {"seed: 1\nseed: 1\n", "c.yaml:2: seed is given twice, first in line 1"},
        {"model:\n  d_ff: 4\ndocs:\n  max_docs: 1\nmodel:\n  context: 4\n",
         "c.yaml:5: section model is given twice, first in line 1"},
        {"model: 3\n", "c.yaml:1: keys are expected below a section"},
        {"model: {d_ff: {a: 1}}\n", "c.yaml:1: one value is expected here"},
        {"model: {? [d_ff] : 1}\n", "c.yaml:1: a key is expected here"},
        {"calibrate: {norms: yes}\n", "c.yaml:1: calibrate.norms is 'yes', must be true or false"},
        {"seed: 1\n---\nseed: 2\n", "c.yaml:2: a second document"},
        {"just words\n", "c.yaml:1: sections with keys are expected here"},
        {"quite_unlike_any_section: {a: 1}\n",
         "c.yaml:1: unknown section 'quite_unlike_any_section' (mf-config keys lists them)"},
        {"a: &x 1\n", "c.yaml:1: unknown key 'a' (mf-config keys lists them)"},
        {"seed: 1\ndocs: *x\n", "c.yaml:2: aliases are not used here"},
        {"eval: {prompts: \"a\\0b\"}\n", "c.yaml:1: a value too long or with a zero byte"},
        {"seed: 1\n# two\nmodel:\n  d_ff: \xff\n", "c.yaml:4: invalid leading UTF-8 octet"},
        {"seed: 1\n\x01\n", "c.yaml:2: control characters are not allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mf_config config;
        struct mf_err err;
        assert_int_equal(load_text(&config, cases[i].yaml, strlen(cases[i].yaml), &err), -1);
        assert_string_equal(err.text, cases[i].message);
        assert_int_equal(err.status, EX_CONFIG);
    }
}

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
        cmocka_unit_test(test_schema),  cmocka_unit_test(test_round_trip), cmocka_unit_test(test_stages),
        cmocka_unit_test(test_get),     cmocka_unit_test(test_messages),   cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_sets),       cmocka_unit_test(test_stage_sees),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
