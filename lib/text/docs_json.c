/* Lines of JSON of which some fields are used. What stands in the others does not matter, so it is made
 * harmless before the line is parsed: numbers that no machine has become 0, halves of surrogate pairs and
 * zeros in keys become U+FFFD. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/json_file.h"
#include "text/docs_internal.h"

struct scan {
    const char *line, *own; /* own: a copy that was changed, or NULL */
    size_t size;
    const char *used[3];
    bool seen[3];
    bool matters; /* what stands here is the value of a field that is used */
    size_t depth;
};

static void change(struct scan *s, size_t at, size_t n, const char *what, size_t what_size) {
    if (!s->own) {
        char *copy = malloc(s->size);
        if (!copy) mf_no_memory();
        memcpy(copy, s->line, s->size);
        s->own = copy;
    }
    char *own = (char *)(uintptr_t)s->own;
    memset(own + at, ' ', n);
    memcpy(own + at, what, what_size);
}

/* Where the string that begins at `at` ends: at its closing quote, or the line's end. */
static size_t string_end(const struct scan *s, size_t at) {
    for (at++; at < s->size && s->line[at] != '"'; at++) at += s->line[at] == '\\';
    return at < s->size ? at : s->size;
}

static void calm_string(struct scan *s, size_t at, size_t end, bool key) {
    for (; at + 5 < end; at++) {
        const char *c = s->line + at;
        if (*c != '\\') continue;
        bool surrogate = c[1] == 'u' && (c[2] == 'd' || c[2] == 'D') && strchr("89abABcdefCDEF", c[3]);
        if (surrogate || (key && memcmp(c, "\\u0000", 6) == 0)) change(s, at, 6, "\\ufffd", 6);
        at++;
    }
}

static int used_key(const struct scan *s, size_t at, size_t end) {
    for (int k = 0; k < 3; k++)
        if (s->used[k] && strlen(s->used[k]) == end - at && memcmp(s->used[k], s->line + at, end - at) == 0)
            return k;
    return -1;
}

/* A string: a key where a colon follows. Returns where it ends; s->size + 1 for a key that is used and was
 * there. */
static size_t scan_string(struct scan *s, size_t at) {
    size_t end = string_end(s, at), next = end + 1;
    while (next < s->size && strchr(" \t\r", s->line[next]) && s->line[next]) next++;
    bool key = next < s->size && s->line[next] == ':';
    int used = key && s->depth == 1 ? used_key(s, at + 1, end) : -1;
    if (key && s->depth == 1) s->matters = used >= 0;
    if (used >= 0 && s->seen[used]) return s->size + 1;
    if (used >= 0) s->seen[used] = true;
    if (key ? used < 0 : !s->matters) calm_string(s, at, end, key);
    return end;
}

/* Is bytes [n] a number that is too large for a machine's, or none? */
static bool is_too_large(const char *bytes, size_t n) {
    char *text = strndup(bytes, n);
    if (!text) mf_no_memory();
    bool real = memchr(text, '.', n) || memchr(text, 'e', n) || memchr(text, 'E', n);
    errno = 0;
    if (real)
        real = isinf(strtod(text, NULL));
    else
        real = strtoll(text, NULL, 10) != 0 && errno == ERANGE;
    free(text);
    return real;
}

static size_t scan_number(struct scan *s, size_t at) {
    static const char *const none[] = {"NaN", "Infinity", "-Infinity"};
    const char *c = s->line + at;
    size_t n = 0, left = s->size - at;
    for (size_t i = 0; i < 3; i++)
        if (left >= strlen(none[i]) && memcmp(c, none[i], strlen(none[i])) == 0) n = strlen(none[i]);
    bool number = n == 0;
    while (number && n < left && c[n] && strchr("0123456789+-.eE", c[n])) n++;
    bool suspect = !number || n > 18 || memchr(c, 'e', n) || memchr(c, 'E', n);
    if (suspect && !s->matters && (!number || is_too_large(c, n))) change(s, at, n, "0", 1);
    return n ? at + n - 1 : at;
}

/* False for a key that is used and stands twice. */
static bool scan_line(struct scan *s) {
    for (size_t i = 0; i < s->size; i++) {
        char c = s->line[i];
        if (c == '{' || c == '[') s->depth++;
        /* what follows the object is the parser's to refuse */
        if ((c == '}' || c == ']') && s->depth > 0 && --s->depth == 0) break;
        if (c == ',' && s->depth == 1) s->matters = false;
        if (c == '"') i = scan_string(s, i);
        if (c == '-' || c == 'N' || c == 'I' || (c >= '0' && c <= '9')) i = scan_number(s, i);
        if (i > s->size) return false;
    }
    return true;
}

json_t *docs_json_line(const char *line, size_t size, const struct mf_docs_options *o, json_error_t *why) {
    struct scan s = {.line = line, .size = size, .used = {o->text_key, o->id_key, o->domain_key}};
    json_t *object = NULL;
    *why = (json_error_t){.line = 1, .text = "a key that is used stands twice"};
    if (scan_line(&s)) object = mf_json_parse(s.own ? s.own : line, size, JSON_ALLOW_NUL, MF_JSON_SMALL, why);
    free((char *)(uintptr_t)s.own);
    return object;
}
