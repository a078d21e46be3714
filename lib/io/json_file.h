/* Whole JSON files, in and out. */
#ifndef MF_IO_JSON_FILE_H
#define MF_IO_JSON_FILE_H

#include <jansson.h>
#include "io/file.h"

/* Reads a JSON text of at most `limit` bytes (path NULL or "-": standard input) with jansson's flags; new.
 * NULL with EX_DATAERR, naming the line, when it is none; others as mf_read_all. */
json_t *mf_json_read(const char *path, size_t limit, size_t flags, struct mf_err *err);

/* Writes `json` (taken over) with jansson's flags and a line end to `path` (NULL: standard output). */
int mf_json_write(const char *path, json_t *json, size_t flags, struct mf_err *err);

#endif
