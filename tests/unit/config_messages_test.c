/* The whole message for each way in which a configuration can be wrong. */
#include "config_fixture.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
