/* Command lines as data: one table per program serves parsing, "did you mean" and --help, of which manual
 * pages and the completion for bash are made.
 *
 * Every program also has the common options of `struct mf_common`. Long options take their value as the next
 * argument or after '='; `--` ends the options; `-` is an operand. */
#ifndef MF_CLI_OPTIONS_H
#define MF_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/err.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "base/strings.h"
#include "config/config.h"

#define MF_VERSION "0.1.0"
#define MF_DATE    "2026-11-25" /* of the version; what manual pages show, so that builds are alike */

enum mf_option_kind {
    MF_OPT_FLAG,   /* bool *           no value; sets true */
    MF_OPT_INT,    /* int64_t *        in [low, high] */
    MF_OPT_REAL,   /* double *         in [low, high]; NaN refused */
    MF_OPT_SIZE,   /* uint64_t *       bytes, with K, M, G */
    MF_OPT_STRING, /* const char **    borrowed from argv */
    MF_OPT_OUTPUT, /* const char **    the same; a file that is written at the end */
    MF_OPT_LIST,   /* struct mf_strs * may be given several times */
    MF_OPT_CHOICE, /* int *            index into `choices`, "a|b|c" */
};

struct mf_option {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* short name, or 0 */
    enum mf_option_kind kind;
    void *target;
    const char *argument; /* shown in --help: "FILE", "DIR" and "KEY=VALUE" are also what bash completes;
                             for a choice, the choices "text|parse|error" */
    const char *help;     /* one line; defaults in it */
    double low, high;     /* for INT and REAL; both 0 means any */
};

/* Rows that several programs have; `target` is a const char **. */
/* clang-format off */
#define MF_OUTPUT_OPTION(target) \
    {"output", 'o', MF_OPT_OUTPUT, target, "FILE", "write to FILE instead of standard output", 0, 0}
#define MF_TOKENIZER_OPTION(target) {"tokenizer", 't', MF_OPT_STRING, target, "FILE", "tokenizer.json", 0, 0}
/* clang-format on */

/* The options that all programs have. `seed` and `threads` override the config when given. */
struct mf_common {
    struct mf_settings settings; /* --config FILE, --set section.key=value (repeatable), --seed N */
    int64_t threads;             /* --threads N; default the number of processors this process may use */
    bool quiet;
    bool help, version; /* was asked for, and has been printed */
    int progress;       /* enum mf_progress_mode */
};

/* What --help prints around the table. */
struct mf_usage {
    const char *program;  /* "mf-docs", or "mf-tokenize encode" for a command of a program */
    const char *purpose;  /* one line, without final stop */
    const char *synopsis; /* one or more lines, each without the leading program name's indentation */
    const struct mf_option *options;
    const char *notes; /* in paragraphs parted by an empty line: what it reads and writes;
                          "example:\n" or "examples:\n" and lines indented by two spaces, perhaps an
                          explanation behind three spaces; "exit status: 0, or 64 wrong use, ..." */
};

/* Parses argv (argv[0] is skipped) into the targets and `common`, which is first set to its defaults.
 * Operands are appended to `operands`. Returns 0, or 1 when --help or --version was asked for and has been
 * printed on standard output (the program then exits 0), or -1 with EX_USAGE: unknown option (names the
 * nearest known one), missing or superfluous value, value not a number or out of range, unknown choice, two
 * outputs that are one file, an output that is read, too (an operand or an option's FILE); or with
 * EX_CANTCREAT where an output could not be written, before the work, not after hours of it. */
int mf_options_parse(const struct mf_usage *usage, struct mf_common *common, struct mf_strs *operands,
                     int argc, char **argv, struct mf_err *err);

/* The operand of a program that takes one `what` ("tokens stream") at most: NULL where there is none.
 * EX_USAGE for more of them. */
int mf_options_operand(const struct mf_strs *operands, const char *what, const char **operand,
                       struct mf_err *err);

/* What a program does once its command line is parsed: 0, an exit status, or -1 with the error. It may add to
 * the operands. */
typedef int mf_options_work(void *request, const struct mf_common *common, struct mf_strs *operands,
                            struct mf_err *err);

/* A whole program, or a command of one: parses argv (mf_options_parse), does the work on `request`, which the
 * options fill, and prints its error. Returns the exit status. */
int mf_options_run(const struct mf_usage *usage, mf_options_work *work, void *request, int argc, char **argv);

/* A program with commands ("mf-eval perplexity"). */
struct mf_command {
    const char *name, *purpose;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
};

/* Runs the command named by argv[1]; handles --help and --version before it. An unknown or missing command is
 * EX_USAGE, one line on standard error naming the nearest. `commands` ends with a NULL name. */
int mf_command_run(const char *program, const char *purpose, const struct mf_command *commands, int argc,
                   char **argv);

#endif
