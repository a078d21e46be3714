/* What every program begins and ends with. */
#ifndef MF_CLI_PROGRAM_H
#define MF_CLI_PROGRAM_H

#include "base/err.h"

/* Tells the library what it does not look up itself: TMPDIR, and how this process ends without memory. Called
 * by mf_options_parse and mf_command_run.
 *
 * Large blocks are asked for up front and their failure is a `struct mf_err` (base/arena.h). Of the many
 * small ones a failure ends the process: nothing useful could follow, and some libraries crash then or leave
 * a value out, which would make a wrong file. So in programs malloc, calloc and realloc of less than 1 MiB do
 * not return without memory, whoever calls them (not in builds with the address sanitizer, which have their
 * own). */
void mf_program_begin(void);

/* Prints "PROGRAM: text" on standard error and returns the status: the last line of a failing main. */
int mf_fail(const char *program, const struct mf_err *err);

#endif
