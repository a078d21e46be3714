/* The pages that --help and --version print; used by options.c alone.
 *
 * One source, the tables of options.h, gives the help page, the manual page (manual.c) and the completion for
 * bash (completion.c). A program with commands makes its pages by asking each command for its part, so that
 * new options and commands are in all of them without a second list. */
#ifndef MF_CLI_HELP_H
#define MF_CLI_HELP_H

#include "cli/options.h"

#define MF_COMMON_OPTIONS 7 /* entries of the table of common options, with the ending one */

enum mf_help_form {
    MF_HELP_TEXT,         /* --help */
    MF_HELP_MAN,          /* --help=man: a whole page in the man(7) macros */
    MF_HELP_BASH,         /* --help=bash: a whole script */
    MF_HELP_MAN_COMMAND,  /* a command's part of its program's page; asked for by the program itself */
    MF_HELP_MAN_EXAMPLES, /* its examples */
    MF_HELP_BASH_COMMAND, /* its arm of the script */
};

/* The options --help and --version, for listing; a NULL name ends them. */
extern const struct mf_option mf_help_options[];

/* Reads "--help" or "--help=FORM". Returns 1 when `argument` is that and `form` has been set, 0 when it is
 * something else, -1 with EX_USAGE for an unknown form. */
int mf_help_asked(const char *argument, enum mf_help_form *form, struct mf_err *err);

/* Has each command print its part, `form`. Returns 0, or the exit status of the one that failed: it has said
 * why, and those behind it were not asked. */
int mf_help_ask(const struct mf_command *commands, enum mf_help_form form);

/* Each prints on standard output. EX_IOERR when that cannot be written; EX_USAGE for MF_HELP_BASH of a
 * command, since bash completes whole programs. */
int mf_help_print(enum mf_help_form form, const struct mf_usage *usage, const struct mf_option *common,
                  struct mf_err *err);
int mf_version_print(const char *program, struct mf_err *err); /* a program's name up to its first space */

/* The same for a program with commands; a positive result is the status of a command, as of mf_help_ask. */
int mf_commands_print(enum mf_help_form form, const char *program, const char *purpose,
                      const struct mf_command *commands, const struct mf_option *common, struct mf_err *err);

/* The forms that are not text, printed without a check of standard output; `form` picks among their parts.
 * Those of commands return as mf_help_ask does. */
void mf_manual_print(enum mf_help_form form, const struct mf_usage *usage, const struct mf_option *common);
int mf_manual_commands(const char *program, const char *purpose, const struct mf_command *commands,
                       const struct mf_option *common);
void mf_completion_print(enum mf_help_form form, const struct mf_usage *usage,
                         const struct mf_option *common);
int mf_completion_commands(const char *program, const struct mf_command *commands,
                           const struct mf_option *common);

/* A paragraph of a usage's notes: text, examples (below the line "example:" or "examples:") or the exit
 * status (behind "exit status: "). `text` is borrowed from the notes and has `size` bytes. */
struct mf_note {
    enum { MF_NOTE_TEXT, MF_NOTE_EXAMPLES, MF_NOTE_STATUS } kind;
    const char *text;
    size_t size;
};

/* Takes the next paragraph from *notes and moves it on; false at the end. Paragraphs are parted by an empty
 * line. */
bool mf_note_next(const char **notes, struct mf_note *note);

#endif
