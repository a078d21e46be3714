/* A long list in a JSON text, which is parsed piece by piece: all of it as values would take ten times its
 * bytes. */
#ifndef MF_IO_JSON_LIST_H
#define MF_IO_JSON_LIST_H

#include "io/json_file.h"

struct mf_json_list {
    char *bytes;      /* of the text, borrowed; punctuation between pieces is overwritten */
    size_t at, end;   /* of the next piece, and behind the list */
    size_t left;      /* values that may still come */
    const char *name; /* of the file, for messages */
    bool begun, done;
};

/* The list at `span` of a text, if it is one: false otherwise. It may have MF_JSON_LARGE values. */
bool mf_json_list_begin(struct mf_json_list *list, char *bytes, struct mf_json_span span, const char *name);

/* The text without the list's values, as a list that is empty, and with the line ends that it had; new, its
 * size in *size. To be called before the first piece is read. */
char *mf_json_list_without(const struct mf_json_list *list, size_t text_size, size_t *size);

/* An array of the next values; new. 1, or 0 at the end, or -1 (EX_DATAERR, naming file and line). */
int mf_json_list_next(struct mf_json_list *list, json_t **piece, struct mf_err *err);

#endif
