/* The help page of a program: purpose, usage, notes, options in columns, exit status, examples. help2man and
 * mf.bash read it too: headings, columns and order are such as they know. */
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

/* Prints `text`, a paragraph, in lines of words that start at `column`, which the first has reached. */
static void print_wrapped(const char *text, size_t column) {
    size_t at = column;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (at > column && at + 1 + n > WIDTH) {
            printf("\n%*s", (int)column, "");
            at = column;
        }
        if (at > column) at += (size_t)printf(" ");
        at += (size_t)printf("%.*s", (int)n, text);
        text += n;
        text += strspn(text, " \n");
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

/* Each line of the synopsis behind "Usage: ", the following ones under the first. */
static void print_synopsis(const char *synopsis) {
    const char *lead = "Usage: ";
    while (*synopsis) {
        size_t n = strcspn(synopsis, "\n");
        printf("%s%.*s\n", lead, (int)n, synopsis);
        synopsis += n + (synopsis[n] != 0);
        lead = "       ";
    }
}

/* Where the paragraph of `notes` that begins with `start` does, or their end. */
static const char *find_note(const char *notes, const char *start) {
    for (const char *at = notes; at; at = strstr(at, "\n\n")) {
        at += strspn(at, "\n");
        if (strncmp(at, start, strlen(start)) == 0) return at;
    }
    return notes + strlen(notes);
}

static void print_part(const char *heading, const char *text, const char *end) {
    while (end > text && end[-1] == '\n') end--;
    if (end > text) printf("\n%s%.*s\n", heading, (int)(end - text), text);
}

int mf_help_print(const struct mf_usage *usage, const struct mf_option *common, struct mf_err *err) {
    size_t column = find_column(common, find_column(usage->options, 24));
    const char *notes = usage->notes ? usage->notes : "";
    const char *examples = find_note(notes, "example"), *status = find_note(notes, "exit status: ");
    printf("%s - %s\n\n", usage->program, usage->purpose);
    print_synopsis(usage->synopsis);
    print_part("", notes, examples);
    print_options("Options", usage->options, column);
    print_options("Common options", common, column);
    if (*status) {
        printf("\nExit status:\n  ");
        print_wrapped(status + strlen("exit status: "), 2);
    }
    const char *line_end = strchr(examples, '\n'); /* of "examples:" */
    if (line_end) print_part("Examples:\n", line_end + 1, status);
    return check_output(err);
}

int mf_version_print(const char *program, struct mf_err *err) {
    printf("%.*s (ModularForge) %s\n", (int)strcspn(program, " "), program, MF_VERSION);
    return check_output(err);
}

int mf_commands_print(const char *program, const char *purpose, const struct mf_command *commands,
                      const struct mf_option *common, struct mf_err *err) {
    printf("%s - %s\n\nUsage: %s COMMAND [OPTION]... [FILE]...\n\nCommands:\n", program, purpose, program);
    for (const struct mf_command *c = commands; c->name; c++) {
        char name[64];
        snprintf(name, sizeof name, "  %s", c->name);
        print_item(name, c->purpose, 18);
    }
    printf("\n`%s COMMAND --help` explains one of them, with an example.\n", program);
    print_options("Common options", common, find_column(common, 24));
    return check_output(err);
}
