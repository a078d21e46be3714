/* mf-config: shows, checks and slices the configuration.
 *     mf-config [print|get|check|keys|stage|slices] [OPTION]... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/options.h"
#include "io/file.h"
#include "model/config.h"

static const char notes[] =
    "Values come from the defaults, then --config FILE (YAML), then --set section.key=value, then --seed.\n"
    "\n"
    "examples:\n"
    "  mf-config --config my.yaml                  all values, as YAML\n"
    "  mf-config get model.n_experts --config my.yaml\n"
    "  mf-config keys                              every key with default, range, meaning and readers\n"
    "  mf-config slices DIR --config my.yaml       DIR/STAGE.yaml: what each stage reads; unchanged files "
    "keep\n"
    "                                              their time, so make re-runs only the stages that read a "
    "change\n"
    "\n"
    "exit status: 0, or 64 wrong use, 66 the file cannot be opened, 73 or 74 cannot write, 78 bad config "
    "(the line is\n"
    "named, and the nearest key of an unknown one).\n";

/* Parses a command's arguments; the operands are its own. 0, 1 for --help, or -1. */
static int begin(const char *program, const char *purpose, const char *synopsis, size_t n_operands, int argc,
                 char **argv, struct mf_config *config, struct mf_strs *operands, struct mf_err *err) {
    struct mf_common common;
    const struct mf_option options[] = {{NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {program, purpose, synopsis, options, notes};
    int status = mf_options_parse(&usage, &common, operands, argc, argv, err);
    if (status == 0 && operands->count != n_operands)
        status = mf_err_set(err, EX_USAGE, "%zu operand%s expected, not %zu", n_operands,
                            n_operands == 1 ? "" : "s", operands->count);
    if (status == 0) status = mf_config_load(config, &common, err);
    mf_strs_free(&common.sets);
    return status;
}

static int finish(int status, struct mf_strs *operands, struct mf_err *err) {
    mf_strs_free(operands);
    if (status == 0 && fflush(stdout) != 0) status = mf_err_sys(err, EX_IOERR, "standard output");
    return status < 0 ? mf_fail("mf-config", err) : 0;
}

static int run_print(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_config config;
    struct mf_strs operands = {0};
    int status = begin("mf-config print", "print all values as YAML", "mf-config print [OPTION]...", 0, argc,
                       argv, &config, &operands, &err);
    if (status == 0) mf_config_print(&config, NULL, stdout);
    return finish(status, &operands, &err);
}

static int run_get(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_config config;
    struct mf_strs operands = {0};
    char text[1100];
    int status = begin("mf-config get", "print one value", "mf-config get SECTION.KEY [OPTION]...", 1, argc,
                       argv, &config, &operands, &err);
    if (status == 0) status = mf_config_get(&config, operands.items[0], text, sizeof text, &err);
    if (status == 0) puts(text);
    return finish(status, &operands, &err);
}

static int run_check(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_config config;
    struct mf_strs operands = {0};
    int status = begin("mf-config check", "check the values and print nothing", "mf-config check [OPTION]...",
                       0, argc, argv, &config, &operands, &err);
    return finish(status, &operands, &err);
}

static int run_keys(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_config config;
    struct mf_strs operands = {0};
    int status =
        begin("mf-config keys", "list all keys", "mf-config keys", 0, argc, argv, &config, &operands, &err);
    if (status == 0) mf_config_describe(stdout);
    return finish(status, &operands, &err);
}

static const char *find_stage(const char *name, struct mf_err *err) {
    const char *const *stages = mf_config_stages();
    size_t n = 0;
    for (; stages[n]; n++)
        if (strcmp(stages[n], name) == 0) return stages[n];
    const char *near = mf_nearest(name, stages, n);
    mf_err_set(err, EX_USAGE, "unknown stage '%.60s'%s%s%s", name, near ? ", did you mean '" : "",
               near ? near : "", near ? "'?" : "");
    return NULL;
}

static int run_stage(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_config config;
    struct mf_strs operands = {0};
    int status = begin("mf-config stage", "print what one stage reads", "mf-config stage STAGE [OPTION]...",
                       1, argc, argv, &config, &operands, &err);
    const char *stage = status == 0 ? find_stage(operands.items[0], &err) : NULL;
    if (stage) mf_config_print(&config, stage, stdout);
    return finish(status == 0 && !stage ? -1 : status, &operands, &err);
}

/* Is the file there with exactly these bytes? */
static bool holds(const char *path, const char *text, size_t size) {
    unsigned char *bytes;
    size_t have;
    struct mf_err ignored;
    if (mf_read_all(path, size + 1, &bytes, &have, &ignored) < 0) return false;
    bool same = have == size && memcmp(bytes, text, size) == 0;
    free(bytes);
    return same;
}

static int write_slice(const struct mf_config *config, const char *folder, const char *stage,
                       struct mf_err *err) {
    char path[4096], *text = NULL;
    size_t size = 0;
    struct mf_out *out;
    FILE *memory = open_memstream(&text, &size);
    if (!memory) abort();
    mf_config_print(config, stage, memory);
    fclose(memory);
    snprintf(path, sizeof path, "%s/%s.yaml", folder, stage);
    int status = 0;
    if (!holds(path, text, size)) {
        status = mf_out_open(&out, path, err);
        if (status == 0 && mf_out_write(out, text, size, err) < 0) {
            mf_out_abandon(out);
            status = -1;
        } else if (status == 0) {
            status = mf_out_commit(out, err);
        }
    }
    free(text);
    return status;
}

static int run_slices(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_config config;
    struct mf_strs operands = {0};
    struct stat st;
    const char *const *stages = mf_config_stages();
    int status = begin("mf-config slices", "write what each stage reads to DIR/STAGE.yaml",
                       "mf-config slices DIR [OPTION]...", 1, argc, argv, &config, &operands, &err);
    const char *folder = status == 0 ? operands.items[0] : "";
    if (status == 0 && mkdir(folder, 0777) < 0 && (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode)))
        status = mf_err_sys(&err, EX_CANTCREAT, "%s", folder);
    for (size_t i = 0; stages[i] && status == 0; i++) status = write_slice(&config, folder, stages[i], &err);
    return finish(status, &operands, &err);
}

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"print", "print all values as YAML (also without a command)", run_print},
        {"get", "print one value", run_get},
        {"check", "check the values and print nothing", run_check},
        {"keys", "list all keys with default, range and meaning", run_keys},
        {"stage", "print what one stage reads", run_stage},
        {"slices", "write what each stage reads to a folder", run_slices},
        {NULL, NULL, NULL},
    };
    bool bare = argc == 1 ||
                (argv[1][0] == '-' && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "--version") != 0);
    if (bare) return run_print(argc, argv);
    return mf_command_run("mf-config", "show, check and slice the configuration", commands, argc, argv);
}
