/* Are the fields of an object of the types that they have to be? jansson reads a number that is none as 0,
 * and text that is none as nothing: what a file says is checked before it is read. */
#ifndef MF_IO_JSON_FIELDS_H
#define MF_IO_JSON_FIELDS_H

#include <jansson.h>
#include "base/err.h"

enum mf_json_kind {
    MF_JSON_TEXT,
    MF_JSON_FLAG,    /* true or false */
    MF_JSON_INTEGER, /* a whole number */
    MF_JSON_COUNT,   /* a whole number from 0 on */
    MF_JSON_REAL,    /* a number */
    MF_JSON_AMOUNT,  /* a number from 0 on */
    MF_JSON_LIST,
};

/* What else a field may be. */
enum { MF_JSON_NULL = 1, MF_JSON_ABSENT = 2 };

struct mf_json_field {
    const char *key;
    enum mf_json_kind kind;
    int may; /* 0, MF_JSON_NULL or MF_JSON_ABSENT */
};

/* Checks fields, {0} behind the last; others may be anything. EX_DATAERR, with `file` and `what` before what
 * is wrong: no object, or the first field that does not fit. */
int mf_json_fields(const json_t *object, const struct mf_json_field *fields, const char *file,
                   const char *what, struct mf_err *err);

/* The same of each object of a list. */
int mf_json_rows(const json_t *list, const struct mf_json_field *fields, const char *file, const char *what,
                 struct mf_err *err);

#endif
