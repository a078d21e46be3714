/* The help page of a program (purpose, usage, options in columns, notes), and which form is asked for. */
#include "cli/help.h"

#include <string.h>

#define WIDTH  100 /* columns of the page */
#define COLUMN 30  /* where the explanations start at the latest */

/* Everything was written, or EX_IOERR. */
static int check_output(struct mf_err *err) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    return mf_err_sys(err, EX_IOERR, "standard output");
}

/* "  -o, --output FILE" */
static void write_option(char *text, size_t size, const struct mf_option *o) {
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(text, size, "  %s--%s%s%s", letter, o->name, o->argument ? " " : "",
             o->argument ? o->argument : "");
}

/* Prints `text` in lines of words that start at `column`; the first line's column is reached already. */
static void print_wrapped(const char *text, size_t column) {
    size_t at = column;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > column && at + 1 + n > WIDTH) {
            printf("\n%*s", (int)column, "");
            at = column;
        }
        if (at > column) at += (size_t)printf(" ");
        at += (size_t)printf("%.*s", (int)n, text);
        text += n;
        while (*text == ' ') text++;
    }
    printf("\n");
}

static void print_item(const char *name, const char *help, size_t column) {
    printf("%s", name);
    size_t n = strlen(name);
    if (n + 2 > column) {
        printf("\n");
        n = 0;
    }
    printf("%*s", (int)(column - n), "");
    print_wrapped(help, column);
}

/* The column of the explanations: behind the longest option, but no further than COLUMN. */
static size_t find_column(const struct mf_option *options, size_t column) {
    for (const struct mf_option *o = options; o && o->name; o++) {
        char text[128];
        write_option(text, sizeof text, o);
        size_t n = strlen(text) + 2;
        if (n > column && n <= COLUMN) column = n;
    }
    return column;
}

static void print_options(const char *title, const struct mf_option *options, size_t column) {
    if (!options || !options->name) return;
    printf("\n%s:\n", title);
    for (const struct mf_option *o = options; o->name; o++) {
        char text[128];
        write_option(text, sizeof text, o);
        print_item(text, o->help, column);
    }
}

/* Each line of the synopsis behind "usage: ", the following ones under the first. */
static void print_synopsis(const char *synopsis) {
    const char *lead = "usage: ";
    while (*synopsis) {
        size_t n = strcspn(synopsis, "\n");
        printf("%s%.*s\n", lead, (int)n, synopsis);
        synopsis += n + (synopsis[n] != 0);
        lead = "       ";
    }
}

const struct mf_option mf_help_options[] = {
    {"help", 'h', MF_OPT_FLAG, NULL, NULL,
     "print this page (--help=man: for man; --help=bash: completion for bash)", 0, 0},
    {"version", 0, MF_OPT_FLAG, NULL, NULL, "print the version", 0, 0},
    {0},
};

/* The forms by the order of enum mf_help_form; people ask for the first three. */
static const char *const forms[] = {
    "--help", "--help=man", "--help=bash", "--help=man-command", "--help=man-examples", "--help=bash-command",
};

int mf_help_ask(const struct mf_command *commands, enum mf_help_form form) {
    int status = 0;
    for (const struct mf_command *c = commands; c->name && status == 0; c++) {
        char *argv[] = {(char *)c->name, (char *)forms[form], NULL};
        status = c->run(2, argv);
    }
    return status;
}

int mf_help_asked(const char *argument, enum mf_help_form *form, struct mf_err *err) {
    size_t n = strlen("--help");
    if (strncmp(argument, "--help", n) != 0 || (argument[n] && argument[n] != '=')) return 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(argument, forms[i]) == 0) return *form = (enum mf_help_form)i, 1;
    return mf_err_set(err, EX_USAGE, "option '--help' is one of man|bash, or alone, not '%.60s'",
                      argument + n + 1);
}

bool mf_note_next(const char **notes, struct mf_note *note) {
    static const char *const heads[] = {"example:\n", "examples:\n", "exit status: "};
    const char *at = *notes;
    if (!at) return false;
    at += strspn(at, "\n");
    if (!*at) return false;
    const char *end = strstr(at, "\n\n");
    if (!end) end = at + strlen(at);
    *notes = end;
    note->kind = MF_NOTE_TEXT;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (strncmp(at, heads[i], strlen(heads[i])) != 0) continue;
        note->kind = i < 2 ? MF_NOTE_EXAMPLES : MF_NOTE_STATUS;
        at += strlen(heads[i]);
        break;
    }
    while (end > at && end[-1] == '\n') end--;
    note->text = at;
    note->size = (size_t)(end - at);
    return true;
}

static void print_page(const struct mf_usage *usage, const struct mf_option *common) {
    size_t column = find_column(common, find_column(usage->options, 24));
    printf("%s - %s\n\n", usage->program, usage->purpose);
    print_synopsis(usage->synopsis);
    print_options("options", usage->options, column);
    print_options("common options", common, column);
    for (const struct mf_option *o = mf_help_options; o->name; o++) {
        char text[128];
        write_option(text, sizeof text, o);
        print_item(text, o->help, column);
    }
    if (usage->notes) {
        size_t n = strlen(usage->notes);
        printf("\n%s%s", usage->notes, n && usage->notes[n - 1] == '\n' ? "" : "\n");
    }
}

int mf_help_print(enum mf_help_form form, const struct mf_usage *usage, const struct mf_option *common,
                  struct mf_err *err) {
    if (form == MF_HELP_BASH && strchr(usage->program, ' '))
        return mf_err_set(err, EX_USAGE, "bash completes whole programs: %.*s --help=bash",
                          (int)strcspn(usage->program, " "), usage->program);
    switch (form) {
    case MF_HELP_TEXT:
        print_page(usage, common);
        break;
    case MF_HELP_MAN:
    case MF_HELP_MAN_COMMAND:
    case MF_HELP_MAN_EXAMPLES:
        mf_manual_print(form, usage, common);
        break;
    case MF_HELP_BASH:
    case MF_HELP_BASH_COMMAND:
        mf_completion_print(form, usage, common);
        break;
    }
    return check_output(err);
}

int mf_version_print(const char *program, struct mf_err *err) {
    printf("%.*s (ModularForge) %s\n", (int)strcspn(program, " "), program, MF_VERSION);
    return check_output(err);
}

static void print_commands(const char *program, const char *purpose, const struct mf_command *commands) {
    printf("%s - %s\n\nusage: %s COMMAND [OPTION]... [FILE]...\n\ncommands:\n", program, purpose, program);
    for (const struct mf_command *c = commands; c->name; c++) {
        char name[64];
        snprintf(name, sizeof name, "  %s", c->name);
        print_item(name, c->purpose, 18);
    }
    printf(
        "\n`%s COMMAND --help` explains one of them, with an example; `%s --version` prints the version.\n",
        program, program);
    printf("`%s --help=man` prints all of it as a manual page.\n", program);
}

int mf_commands_print(enum mf_help_form form, const char *program, const char *purpose,
                      const struct mf_command *commands, const struct mf_option *common, struct mf_err *err) {
    int status = 0;
    if (form == MF_HELP_MAN)
        status = mf_manual_commands(program, purpose, commands, common);
    else if (form == MF_HELP_BASH)
        status = mf_completion_commands(program, commands, common);
    else
        print_commands(program, purpose, commands);
    return status ? status : check_output(err);
}
