/* Command lines: what is accepted, and the line that each mistake causes. */
#include "scratch.h"

#include "cli/options.h"

struct given {
    bool force;
    int64_t steps;
    double rate;
    uint64_t memory;
    const char *output;
    struct mf_strs inputs;
    int sort;
    struct mf_common common;
    struct mf_strs operands;
};

static int parse(struct given *g, struct mf_err *err, int argc, char **argv) {
    *g = (struct given){.steps = 7};
    const struct mf_option options[] = {
        {"force", 'f', MF_OPT_FLAG, &g->force, NULL, "go on", 0, 0},
        {"steps", 'n', MF_OPT_INT, &g->steps, "N", "steps", 1, 100},
        {"rate", 0, MF_OPT_REAL, &g->rate, "X", "rate", 0, 1e300},
        {"max-memory", 0, MF_OPT_SIZE, &g->memory, "SIZE", "cap", 0, 0},
        {"output", 'o', MF_OPT_STRING, &g->output, "FILE", "where to", 0, 0},
        {"input", 0, MF_OPT_LIST, &g->inputs, "FILE", "where from", 0, 0},
        {"sort", 0, MF_OPT_CHOICE, &g->sort, "text|parse|error", "how", 0, 0},
        {0},
    };
    const struct mf_usage usage = {"mf-test", "tests", "mf-test [OPTION]... [FILE]...", options, NULL};
    *err = (struct mf_err){0};
    return mf_options_parse(&usage, &g->common, &g->operands, argc, argv, err);
}

static void release(struct given *g) {
    mf_strs_free(&g->inputs);
    mf_strs_free(&g->operands);
    mf_strs_free(&g->common.settings.sets);
}

#define PARSE(...)                                                                                           \
    char *argv[] = {(char *)"mf-test", __VA_ARGS__, NULL};                                                   \
    struct given g;                                                                                          \
    struct mf_err err;                                                                                       \
    int result = parse(&g, &err, (int)(sizeof argv / sizeof *argv) - 1, argv)

static void test_all_kinds(void **state) {
    (void)state;
    PARSE("a", "-fn", "5", "--rate=0.5", "--max-memory", "2M", "b", "-oout", "--input", "x", "--input=y",
          "--sort", "error", "-", "--seed", "3", "--set", "a.b=1", "-q", "--progress=never", "--", "--rest");
    assert_int_equal(result, 0);
    assert_true(g.force && g.steps == 5 && g.rate == 0.5 && g.memory == 2 << 20 && g.sort == 2);
    assert_string_equal(g.output, "out");
    assert_int_equal(g.inputs.count, 2);
    assert_string_equal(g.inputs.items[1], "y");
    assert_int_equal(g.operands.count, 4);
    assert_string_equal(g.operands.items[2], "-");
    assert_string_equal(g.operands.items[3], "--rest");
    assert_true(g.common.settings.seed == 3 && g.common.quiet && g.common.progress == MF_PROGRESS_NEVER);
    assert_string_equal(g.common.settings.sets.items[0], "a.b=1");
    release(&g);
}

static void test_defaults(void **state) {
    (void)state;
    PARSE("-");
    assert_int_equal(result, 0);
    assert_true(g.common.threads >= 1 && g.common.settings.seed == -1 && !g.common.quiet &&
                !g.common.settings.config);
    assert_true(g.steps == 7);
    release(&g);
}

#define REFUSES(message, ...)                                                                                \
    do {                                                                                                     \
        PARSE(__VA_ARGS__);                                                                                  \
        assert_int_equal(result, -1);                                                                        \
        assert_int_equal(err.status, EX_USAGE);                                                              \
        assert_string_equal(err.text, message);                                                              \
        release(&g);                                                                                         \
    } while (0)

static void test_mistakes(void **state) {
    (void)state;
    REFUSES("unknown option '--sed', did you mean '--seed'?", "--sed", "3");
    REFUSES("unknown option '--sed', did you mean '--seed'?", "--sed=3");
    REFUSES("unknown option '--xyzzy' (--help lists them)", "--xyzzy");
    REFUSES("unknown option '-x' (--help lists them)", "-fx");
    REFUSES("option '--output' needs a value (FILE)", "-o");
    REFUSES("option '--output' needs a value (FILE)", "--output", "--force");
    REFUSES("option '--force' takes no value", "--force=yes");
    REFUSES("option '--steps' needs a whole number, not '1.5'", "--steps", "1.5");
    REFUSES("option '--steps' must be from 1 to 100, not 101", "-n101");
    REFUSES("option '--rate' needs a number, not 'nan'", "--rate", "nan");
    REFUSES("option '--rate' must be at least 0, not -1", "--rate", "-1");
    REFUSES("option '--max-memory' needs a size such as 64K, 200M or 2G, not '2X'", "--max-memory", "2X");
    REFUSES("option '--sort' is one of text|parse|error, not 'tex'", "--sort", "tex");
    REFUSES("option '--threads' must be from 1 to 1024, not 0", "--threads", "0");
    REFUSES("option '--help' takes no value", "--help=man");
    REFUSES("unknown option '--no-force' (--help lists them)", "--no-force");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
