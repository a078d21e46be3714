/* The pages that --help and --version print; used by options.c alone.
 *
 * help2man makes the manual pages of them, and mf.bash reads them to complete command lines, so options and
 * commands are in no second list. */
#ifndef MF_CLI_HELP_H
#define MF_CLI_HELP_H

#include "cli/options.h"

/* Each prints on standard output. EX_IOERR when that cannot be written. */
int mf_help_print(const struct mf_usage *usage, const struct mf_option *common, struct mf_err *err);
int mf_commands_print(const char *program, const char *purpose, const struct mf_command *commands,
                      const struct mf_option *common, struct mf_err *err);
int mf_version_print(const char *program, struct mf_err *err); /* a program's name up to its first space */

#endif
