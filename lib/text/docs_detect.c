/* Which format a text is in, by its name and its first lines. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "text/docs_internal.h"

size_t docs_mark_size(const char *line, size_t size) {
    return size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool docs_is_blank(const char *line, size_t size) {
    while (size && (line[size - 1] == ' ' || line[size - 1] == '\t' || line[size - 1] == '\r')) size--;
    return size == 0;
}

/* " = Title = ": one equals sign on each side, not more. */
bool docs_is_heading(const char *line, size_t size) {
    while (size && (line[size - 1] == ' ' || line[size - 1] == '\r')) size--;
    while (size && *line == ' ') line++, size--;
    return size >= 5 && line[0] == '=' && line[1] == ' ' && line[2] != '=' && line[size - 1] == '=' &&
           line[size - 2] == ' ' && line[size - 3] != '=';
}

/* Is the first line that is not blank a heading? */
static bool begins_with_heading(const struct docs_file *f) {
    const char *at = f->bytes + f->begin, *end = f->bytes + f->end;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) line_end = end;
        if (!docs_is_blank(at, (size_t)(line_end - at))) return docs_is_heading(at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    return false;
}

/* The first line that is not blank: 1 and where it begins, 0 where there is none, -1. */
static int first_line(struct docs_file *f, size_t *begin, const char **line, size_t *size,
                      struct mf_err *err) {
    int more;
    *begin = 0;
    while ((more = docs_line_at(f, *begin, line, size, err)) > 0 && docs_is_blank(*line, *size))
        *begin += *size + 1;
    return more;
}

/* Does the line behind the first `at` bytes begin an object, or is there none? 1 or 0, -1. */
static int goes_on(struct docs_file *f, size_t at, struct mf_err *err) {
    for (;; at++) {
        if (docs_fill(f, at + 4, err) < 0) return -1;
        if (at < f->end - f->begin) at += docs_mark_size(f->bytes + f->begin + at, f->end - f->begin - at);
        if (at >= f->end - f->begin) return 1;
        char c = f->bytes[f->begin + at];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c == '{';
    }
}

/* Is the first line an object with the text, and the next one, where there is one, perhaps another? 1 or 0,
 * -1. */
static int begins_with_object(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err) {
    json_error_t why;
    const char *line;
    size_t begin, size, at = f->begin;
    while (at < f->end && strchr(" \t\r\n", f->bytes[at]) && f->bytes[at]) at++;
    if (at == f->end || f->bytes[at] != '{') return 0;
    int found = first_line(f, &begin, &line, &size, err);
    if (found <= 0) return found;
    json_t *object = docs_json_line(line, size, o, &why);
    found = json_is_string(json_object_get(object, o->text_key));
    json_decref(object);
    return found ? goes_on(f, begin + size, err) : 0;
}

/* "c.JSONL.1": lines of JSON also where a number was put behind the name. */
static bool is_named_jsonl(const char *id) {
    size_t n = strlen(id), end = n;
    while (end > 0 && id[end - 1] >= '0' && id[end - 1] <= '9') end--;
    if (end == n || end == 0 || id[end - 1] != '.') end = n + 1;
    char *name = mf_format("%.*s", (int)(end - 1), id);
    bool is = docs_ends_with(name, ".jsonl") || docs_ends_with(name, ".ndjson");
    free(name);
    return is;
}

int docs_format_of(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err) {
    if (o->format != MF_DOCS_AUTO) return (int)o->format;
    if (is_named_jsonl(f->id)) return MF_DOCS_JSONL;
    int object = begins_with_object(f, o, err);
    if (object) return object < 0 ? -1 : MF_DOCS_JSONL;
    return f->end > f->begin && begins_with_heading(f) ? MF_DOCS_WIKITEXT : MF_DOCS_TEXT;
}
