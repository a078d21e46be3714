/* Whole JSON files. */
#include "io/json_file.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"

json_t *mf_json_read(const char *path, size_t limit, size_t flags, struct mf_err *err) {
    json_error_t where;
    unsigned char *text;
    size_t size;
    if (mf_read_all(path, limit, &text, &size, err) < 0) return NULL;
    json_t *json = json_loadb((const char *)text, size, flags, &where);
    free(text);
    if (!json)
        mf_err_set(err, EX_DATAERR, "%s: line %d: %s",
                   path && strcmp(path, "-") != 0 ? path : "standard input", where.line, where.text);
    return json;
}

int mf_json_write(const char *path, json_t *json, size_t flags, struct mf_err *err) {
    char *text = json_dumps(json, flags);
    json_decref(json);
    if (!text) mf_no_memory();
    size_t size = strlen(text);
    text[size] = '\n'; /* where the zero was */
    int status = mf_out_whole(path, text, size + 1, err);
    free(text);
    return status;
}
