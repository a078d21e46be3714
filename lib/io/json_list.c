/* Finding where values end, and parsing those of some bytes at a time as an array of their own. */
#include "io/json_list.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"

#define PIECE ((size_t)1 << 16) /* bytes of a piece, but for its last value */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blanks(const char *bytes, size_t at, size_t end) {
    while (at < end && is_blank(bytes[at])) at++;
    return at;
}

bool mf_json_list_begin(struct mf_json_list *l, char *bytes, struct mf_json_span span, const char *name) {
    size_t at = skip_blanks(bytes, span.begin, span.end);
    if (at == span.end || bytes[at] != '[') return false;
    *l = (struct mf_json_list){
        .bytes = bytes, .at = at + 1, .end = span.end, .left = MF_JSON_LARGE, .name = name};
    return true;
}

static size_t count_lines(const char *bytes, size_t size) {
    size_t lines = 0;
    for (const char *at = bytes; (at = memchr(at, '\n', size - (size_t)(at - bytes))); at++) lines++;
    return lines;
}

char *mf_json_list_without(const struct mf_json_list *l, size_t text_size, size_t *size) {
    size_t lines = count_lines(l->bytes + l->at, l->end - l->at), behind = text_size - l->end;
    char *text = malloc(l->at + lines + 1 + behind);
    if (!text) mf_no_memory();
    memcpy(text, l->bytes, l->at);
    memset(text + l->at, '\n', lines);
    text[l->at + lines] = ']';
    memcpy(text + l->at + lines + 1, l->bytes + l->end, behind);
    *size = l->at + lines + 1 + behind;
    return text;
}

/* Where the next piece ends: at a comma between two values, or at the bracket behind the last; l->end where
 * there is neither. */
static size_t piece_end(const struct mf_json_list *l) {
    int depth = 0;
    for (size_t at = l->at; at < l->end;) {
        char c = l->bytes[at];
        if (c == '"') {
            at = mf_json_string_end(l->bytes, l->end, at);
            continue;
        }
        if (depth == 0 && (c == ']' || (c == ',' && at - l->at >= PIECE))) return at;
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        at++;
    }
    return l->end;
}

static int refuse(const struct mf_json_list *l, size_t at, int line, const char *what, struct mf_err *err) {
    size_t before = count_lines(l->bytes, at);
    return mf_err_set(err, EX_DATAERR, "%s: cannot be read as JSON: line %zu: %s", l->name,
                      before + (size_t)line, what);
}

/* Values of a piece, those inside its values too. */
static size_t values_of(const json_t *piece) {
    size_t i, values = json_array_size(piece);
    const json_t *value;
    json_array_foreach(piece, i, value) values += json_array_size(value) + json_object_size(value);
    return values;
}

int mf_json_list_next(struct mf_json_list *l, json_t **piece, struct mf_err *err) {
    json_error_t why;
    if (l->done) return 0;
    size_t begin = l->at - 1, end = piece_end(l);
    if (end == l->end) return refuse(l, begin, 1, "a list without end", err);
    bool last = l->bytes[end] == ']';
    l->bytes[begin] = '[';
    l->bytes[end] = ']';
    *piece = mf_json_parse(l->bytes + begin, end - begin + 1, JSON_REJECT_DUPLICATES, l->left, &why);
    if (!*piece) return refuse(l, begin, why.line, why.text, err);
    bool missing = json_array_size(*piece) == 0 && (l->begun || !last);
    if (missing || (last && skip_blanks(l->bytes, end + 1, l->end) != l->end)) {
        json_decref(*piece);
        return refuse(l, end, 1, missing ? "a value is missing" : "something stands behind a list", err);
    }
    size_t values = values_of(*piece);
    l->left -= values < l->left ? values : l->left;
    l->begun = true;
    l->done = last;
    l->at = end + 1;
    return 1;
}
