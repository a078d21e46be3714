/* The pages that --help and --version print; used by options.c alone. */
#ifndef MF_BASE_HELP_H
#define MF_BASE_HELP_H

#include "base/options.h"

#define MF_COMMON_OPTIONS 7 /* entries of the table of common options, with the ending one */

/* Each prints on standard output. EX_IOERR when that cannot be written. */
int mf_help_print(const struct mf_usage *usage, const struct mf_option *common, struct mf_err *err);
int mf_version_print(const char *program, struct mf_err *err); /* a program's name up to its first space */
int mf_commands_print(const char *program, const char *purpose, const struct mf_command *commands,
                      struct mf_err *err);

#endif
