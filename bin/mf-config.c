/* mf-config: shows, checks and slices the configuration.
 *     mf-config [print|get|check|keys|stage|slices|memory|precision] [OPTION]... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/config_slices.h"
#include "cli/options.h"
#include "cli/precision.h"
#include "cli/train_session.h"
#include "config/config.h"
#include "io/json_file.h"

#define SOURCES                                                                                              \
    "Values come from the defaults, then --config FILE (YAML), then --set section.key=value, then --seed.\n\n"

#define STATUSES                                                                                                         \
    "\n"                                                                                                                 \
    "exit status: 0, or 64 wrong use, 66 the file cannot be opened, 73 or 74 cannot write, 78 bad config (the line is\n" \
    "named, and the nearest key of an unknown one).\n"

#define NOTES(text, example) text SOURCES "example:\n  " example "\n" STATUSES

/* What a command was given; NULL or false where it takes no such thing. */
struct request {
    const char *operand, *output, *shared;
    bool json, dry_run;
    int64_t threads;
};

/* What a command takes; from OUTPUT on in the order of the options in run(). */
enum { OPERAND = 1, OUTPUT = 2, JSON = 4, DRY_RUN = 8, SHARED = 16 };

static int check_operands(const struct mf_strs *operands, bool takes_one, const char *synopsis,
                          struct mf_err *err) {
    if (operands->count > takes_one)
        return mf_err_set(err, EX_USAGE, "unexpected operand '%.100s' (a command comes first)",
                          operands->items[takes_one]);
    if (operands->count < takes_one)
        return mf_err_set(err, EX_USAGE, "an operand is missing: %.*s", (int)strcspn(synopsis, "\n"),
                          synopsis);
    return 0;
}

/* What a command does with the loaded configuration. */
typedef int action(const struct mf_config *config, const struct request *request, struct mf_err *err);

/* A command from its arguments to its exit status. Messages name the program, not the command. */
static int run(struct mf_usage usage, unsigned takes, action *act, int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_config config;
    struct mf_strs operands = {0};
    struct request request = {0};
    const struct mf_option all[] = {
        MF_OUTPUT_OPTION(&request.output),
        {"json", 0, MF_OPT_FLAG, &request.json, NULL, "print JSON", 0, 0},
        {"dry-run", 0, MF_OPT_FLAG, &request.dry_run, NULL,
         "name the files that would be written, and write none", 0, 0},
        {"shared", 's', MF_OPT_STRING, &request.shared, "FILE", "plan for an expert of this shared bundle", 0,
         0},
    };
    struct mf_option options[5] = {0};
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        if (takes & OUTPUT << i) options[n++] = all[i];
    usage.options = options;
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0) status = check_operands(&operands, takes & OPERAND, usage.synopsis, &err);
    if (status == 0) status = mf_config_load(&config, &common.settings, &err);
    request.threads = common.threads;
    if (takes & OPERAND && operands.count) request.operand = operands.items[0];
    if (status == 0) status = act(&config, &request, &err);
    mf_strs_free(&operands);
    mf_strs_free(&common.settings.sets);
    return status < 0 ? mf_fail("mf-config", &err) : 0;
}

static int print(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    size_t size;
    char *text = mf_config_text(config, request->operand, &size);
    int status = mf_out_whole(request->output, text, size, err);
    free(text);
    return status;
}

static int run_print(int argc, char **argv) {
    struct mf_usage usage = {"mf-config print", "print all values as YAML", "mf-config [print] [OPTION]...",
                             NULL, NOTES("", "mf-config --config my.yaml --set model.top_k=1")};
    return run(usage, OUTPUT, print, argc, argv);
}

static int get(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    char text[1100];
    if (mf_config_get(config, request->operand, text, sizeof text - 1, err) < 0) return -1;
    size_t size = strlen(text);
    text[size++] = '\n';
    return mf_out_whole(request->output, text, size, err);
}

static int run_get(int argc, char **argv) {
    struct mf_usage usage = {"mf-config get", "print one value", "mf-config get SECTION.KEY [OPTION]...",
                             NULL, NOTES("", "mf-config get model.n_experts --config my.yaml")};
    return run(usage, OPERAND | OUTPUT, get, argc, argv);
}

static int check(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    (void)config, (void)request, (void)err; /* it has been loaded: it is good */
    return 0;
}

static int run_check(int argc, char **argv) {
    struct mf_usage usage = {"mf-config check", "check the values and print nothing",
                             "mf-config check [OPTION]...", NULL,
                             NOTES("", "mf-config check --config my.yaml")};
    return run(usage, 0, check, argc, argv);
}

static int describe(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    (void)config;
    char *text;
    size_t size;
    if (request->json)
        return mf_json_write(request->output, mf_config_schema(), JSON_INDENT(1) | JSON_REAL_PRECISION(12),
                             err);
    FILE *memory = open_memstream(&text, &size);
    if (!memory) mf_no_memory();
    mf_config_describe(memory);
    if (fclose(memory) != 0) mf_no_memory();
    int status = mf_out_whole(request->output, text, size, err);
    free(text);
    return status;
}

static int run_keys(int argc, char **argv) {
    static const char notes[] =
        "Each key has three lines: its name; its meaning; its default, its range or choices, and the stages that read it.\n"
        "With --json, an array of objects: key, kind, default, low and high or choices, stages, meaning.\n"
        "\n"
        "examples:\n"
        "  mf-config keys\n"
        "  mf-config keys | grep -A 2 '^train_expert'\n" STATUSES;
    struct mf_usage usage = {"mf-config keys", "list all keys", "mf-config keys [OPTION]...", NULL, notes};
    return run(usage, OUTPUT | JSON, describe, argc, argv);
}

static int print_stage(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    const char *const *stages = mf_config_stages(), *name = request->operand;
    size_t n = 0;
    for (; stages[n]; n++)
        if (strcmp(stages[n], name) == 0) return print(config, request, err);
    const char *near = mf_nearest(name, stages, n);
    return mf_err_set(err, EX_USAGE, "unknown stage '%.60s'%s%s%s", name, near ? ", did you mean '" : "",
                      near ? near : "", near ? "'?" : "");
}

static int run_stage(int argc, char **argv) {
    char synopsis[256];
    struct mf_usage usage = {"mf-config stage", "print what one stage reads", synopsis, NULL,
                             NOTES("", "mf-config stage train-expert --config my.yaml")};
    FILE *f = fmemopen(synopsis, sizeof synopsis, "w");
    if (!f) mf_no_memory();
    fputs("mf-config stage ", f);
    for (const char *const *stage = mf_config_stages(); *stage; stage++)
        fprintf(f, stage == mf_config_stages() ? "%s" : "|%s", *stage);
    fputs("\n                [OPTION]...", f);
    fclose(f);
    return run(usage, OPERAND | OUTPUT, print_stage, argc, argv);
}

static int write_slices(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    return request->dry_run ? mf_config_slices_name(config, request->operand, err)
                            : mf_config_slices_write(config, request->operand, err);
}

static int run_slices(int argc, char **argv) {
    static const char notes[] = NOTES(
        "Writes DIR/STAGE.yaml for each stage: what it reads. A file whose values did not change keeps its time, so that\n"
        "make runs only those stages again that read a change.\n",
        "mf-config slices runs/mine/config --config my.yaml");
    struct mf_usage usage = {"mf-config slices", "write what each stage reads to DIR/STAGE.yaml",
                             "mf-config slices DIR [OPTION]...", NULL, notes};
    return run(usage, OPERAND | DRY_RUN, write_slices, argc, argv);
}

static int memory(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    char text[32];
    size_t bytes;
    const char *stage = request->operand;
    bool expert = strcmp(stage, "train-expert") == 0;
    if (!expert && strcmp(stage, "train-shared") != 0)
        return mf_err_set(err, EX_USAGE,
                          "memory is planned for train-shared and train-expert, not for '%.60s'", stage);
    if (request->shared && !expert)
        return mf_err_set(err, EX_USAGE, "--shared is for train-expert, not for train-shared");
    if (mf_train_forecast(config, expert, request->shared, (int)request->threads, &bytes, err) < 0) return -1;
    snprintf(text, sizeof text, "%zu\n", (bytes + 999999) / 1000000);
    return mf_out_whole(request->output, text, strlen(text), err);
}

static int run_memory(int argc, char **argv) {
    static const char notes[] = NOTES(
        "In MB (10^6 bytes), as the training itself says before it begins. With --shared the model is as large as\n"
        "that bundle's; else as the configuration says, with a vocabulary of tokenizer.vocab_size.\n",
        "mf-config memory train-expert --config my.yaml -s shared.tar --threads 8");
    struct mf_usage usage = {"mf-config memory", "print the memory that a training plans to take",
                             "mf-config memory train-shared|train-expert [OPTION]...", NULL, notes};
    return run(usage, OPERAND | OUTPUT | SHARED, memory, argc, argv);
}

static int precision(const struct mf_config *config, const struct request *request, struct mf_err *err) {
    char text[256];
    int n = snprintf(text, sizeof text, "train.precision: %s\neval.precision: %s\n%s\n",
                     mf_precision_name(mf_precision_bf16(config->train.precision)),
                     mf_precision_name(mf_precision_bf16(config->eval.precision)), mf_precision_units());
    return mf_out_whole(request->output, text, (size_t)n, err);
}

static int run_precision(int argc, char **argv) {
    static const char notes[] = NOTES(
        "What the settings come to on this processor, and why: auto is bf16 where that is faster, which is with AMX, and\n"
        "with AVX512-BF16 on processors of AMD. With bf16, what large products multiply is rounded to bf16, and summed in\n"
        "fp32; parameters, norms, losses and optimizer stay in fp32.\n",
        "mf-config precision --set train.precision=fp32");
    struct mf_usage usage = {"mf-config precision",
                             "print the precision of products on this processor, and why",
                             "mf-config precision [OPTION]...", NULL, notes};
    return run(usage, OUTPUT, precision, argc, argv);
}

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"print", "print all values as YAML (also without a command)", run_print},
        {"get", "print one value", run_get},
        {"check", "check the values and print nothing", run_check},
        {"keys", "list all keys with default, range and meaning", run_keys},
        {"stage", "print what one stage reads", run_stage},
        {"slices", "write what each stage reads to a folder", run_slices},
        {"memory", "print the memory that a training plans to take", run_memory},
        {"precision", "print the precision of products on this processor, and why", run_precision},
        {0},
    };
    bool asks = argc > 1 && (strncmp(argv[1], "--help", 6) == 0 || strcmp(argv[1], "-h") == 0 ||
                             strcmp(argv[1], "--version") == 0);
    if (argc == 1 || (argv[1][0] == '-' && !asks)) return run_print(argc, argv);
    return mf_command_run("mf-config", "show, check and slice the configuration", commands, argc, argv);
}
