/* JSON texts of others, and whole files of JSON in and out. */
#ifndef MF_IO_JSON_FILE_H
#define MF_IO_JSON_FILE_H

#include <jansson.h>
#include "io/file.h"

/* The most values in a small JSON text (a manifest, a line) and in a large one (a tokenizer, a report). In
 * memory a value takes up to 100 times its bytes, and a text may be smaller still in its file. */
#define MF_JSON_SMALL ((size_t)1 << 20)
#define MF_JSON_LARGE ((size_t)1 << 21)

/* json_loadb for a text that may be anything: one of more than `max` values is refused before memory is
 * taken for it. NULL with what is wrong in `error` (line and text). */
json_t *mf_json_parse(const char *bytes, size_t size, size_t flags, size_t max, json_error_t *error);

/* Where the string ends whose quote is at `at`: behind its closing quote. */
size_t mf_json_string_end(const char *bytes, size_t size, size_t at);

/* A part of a text; begin == end: there is none. */
struct mf_json_span {
    size_t begin, end;
};

/* The value of a key of the object that the text is, without what stands around it. Text that is no JSON
 * gives anything inside it: what is found is to be parsed before it is believed. */
struct mf_json_span mf_json_find(const char *bytes, size_t size, const char *key);

/* mf_json_parse for the text of a whole file `name`, which may be large. EX_DATAERR, naming file and line. */
json_t *mf_json_text(const char *bytes, size_t size, size_t flags, const char *name, struct mf_err *err);

/* Reads a JSON text of at most `limit` bytes (path NULL or "-": standard input) with jansson's flags; new.
 * As mf_json_text and mf_read_all. */
json_t *mf_json_read(const char *path, size_t limit, size_t flags, struct mf_err *err);

/* Writes `json` (taken over) with jansson's flags and a line end to `path` (NULL: standard output). */
int mf_json_write(const char *path, json_t *json, size_t flags, struct mf_err *err);

/* Writes `json` (taken over) as a line of compact JSON. EX_IOERR. */
int mf_json_line(struct mf_out *out, json_t *json, struct mf_err *err);

#endif
