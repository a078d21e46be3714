/* Lists of names in a file, one a line: what does not fit on a command line. */
#ifndef MF_IO_LINES_H
#define MF_IO_LINES_H

#include "base/err.h"
#include "base/strings.h"

/* Appends each line of the file (NULL: none is read; "-": standard input) to `list`. Empty lines are passed
 * over; everything else belongs to the name, blanks too. The names are borrowed from *text, which is new
 * (NULL for no file) and freed by free() when the list is no longer needed. They are names of files that are
 * read. EX_NOINPUT, EX_IOERR; EX_DATAERR: more than 64 MiB, or a zero byte; EX_USAGE: one of them is that of
 * `output` (NULL: standard output). */
int mf_lines_add(struct mf_strs *list, char **text, const char *path, const char *output, struct mf_err *err);

#endif
