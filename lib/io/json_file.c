/* JSON texts and files. */
#include "io/json_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"

/* The line in which a text has its value number most + 1, or 0: a value is the text itself or stands behind a
 * bracket or a comma. */
static int line_of_excess(const char *bytes, size_t size, size_t max) {
    size_t values = 1;
    int line = 1;
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];
        if (c == '"') string = !string;
        if (string) {
            i += c == '\\';
            continue;
        }
        line += c == '\n';
        values += c == ',' || c == '[' || c == '{';
        if (values > max) return line;
    }
    return 0;
}

json_t *mf_json_parse(const char *bytes, size_t size, size_t flags, size_t max, json_error_t *error) {
    json_error_t unused;
    if (!error) error = &unused;
    int line = line_of_excess(bytes, size, max);
    if (line == 0) return json_loadb(bytes, size, flags, error);
    *error = (json_error_t){.line = line};
    snprintf(error->text, sizeof error->text, "more than %zu values", max);
    return NULL;
}

size_t mf_json_string_end(const char *bytes, size_t size, size_t at) {
    for (at++; at < size && bytes[at] != '"'; at++)
        if (bytes[at] == '\\') at++;
    return at < size ? at + 1 : size;
}

struct mf_json_span mf_json_find(const char *bytes, size_t size, const char *key) {
    const size_t n = strlen(key);
    size_t begin = 0;
    int depth = 0;
    bool named = false; /* the last string at depth 1 was the key */
    for (size_t at = 0; at < size;) {
        char c = bytes[at];
        if (c == '"') {
            size_t end = mf_json_string_end(bytes, size, at);
            if (depth == 1 && !begin) named = end - at == n + 2 && memcmp(bytes + at + 1, key, n) == 0;
            at = end;
            continue;
        }
        if (depth == 1 && begin && (c == ',' || c == '}')) return (struct mf_json_span){begin, at};
        if (depth == 1 && c == ':' && named && !begin) begin = at + 1;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        at++;
    }
    return (struct mf_json_span){0, 0};
}

json_t *mf_json_text(const char *bytes, size_t size, size_t flags, const char *name, struct mf_err *err) {
    json_error_t where;
    json_t *json = mf_json_parse(bytes, size, flags, MF_JSON_LARGE, &where);
    if (!json)
        mf_err_set(err, EX_DATAERR, "%s: cannot be read as JSON: line %d: %s", name, where.line, where.text);
    return json;
}

json_t *mf_json_read(const char *path, size_t limit, size_t flags, struct mf_err *err) {
    const char *name = path && strcmp(path, "-") != 0 ? path : "standard input";
    unsigned char *text;
    size_t size;
    if (mf_read_all(path, limit, &text, &size, err) < 0) return NULL;
    json_t *json = mf_json_text((const char *)text, size, flags, name, err);
    free(text);
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

int mf_json_line(struct mf_out *out, json_t *json, struct mf_err *err) {
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (!text) mf_no_memory();
    int status = mf_out_printf(out, err, "%s\n", text);
    free(text);
    return status;
}
