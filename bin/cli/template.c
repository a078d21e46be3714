/* Filling templates. */
#include "cli/template.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct filler {
    FILE *file;
    const char *name, *text; /* the template, for messages */
    struct mf_err *err;
};

struct tag {
    const char *begin;
    char kind; /* # ? ^ / ! { or, for a field, 0 */
    char name[32], format[8];
};

json_t *mf_template_find(const json_t *row, const char *path) {
    json_t *found = (json_t *)row; /* as jansson's own: what is found may be changed */
    char key[32];
    if (strcmp(path, ".") == 0) return found;
    while (found && *path) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        found = isdigit((unsigned char)*key) ? json_array_get(found, strtoul(key, NULL, 10))
                                             : json_object_get(found, key);
        path += n + (path[n] == '.');
    }
    return found;
}

/* --- fields --- */

static void escaped(FILE *f, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (strchr("&<>\"", c) && c)
            fprintf(f, "&%s;", c == '&' ? "amp" : c == '<' ? "lt" : c == '>' ? "gt" : "quot");
        else if (c < 0x20 && c != '\n' && c != '\t')
            fprintf(f, "&#x%x;", 0x2400 + c);
        else if (c == 0x7f)
            fputs("&#x2421;", f);
        else if (c == 0xc2 && i + 1 < size && (unsigned char)text[i + 1] < 0xa0) { /* U+0080 to U+009F */
            fputs("&#xfffd;", f);
            i++;
        } else
            putc(c, f);
    }
}

static void duration(FILE *f, double seconds) {
    long long whole = (long long)fmin(fmax(seconds, 0), 1e15);
    if (seconds < .95)
        fprintf(f, "%.0f ms", 1000 * seconds);
    else if (seconds < 10)
        fprintf(f, "%.1f s", seconds);
    else if (seconds < 59.5)
        fprintf(f, "%.0f s", seconds);
    else if (seconds < 3600)
        fprintf(f, "%lld min %02lld s", whole / 60, whole % 60);
    else
        fprintf(f, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

static void count(FILE *f, double x) {
    char digits[400]; /* of the largest double */
    int n = snprintf(digits, sizeof digits, "%.0f", x);
    for (int i = 0; i < n; i++) fprintf(f, "%s%c", i > 0 && (n - i) % 3 == 0 ? "," : "", digits[i]);
}

static void real(FILE *f, double x, const char *format) {
    bool sign = *format == '+';
    int digits = format[sign] == '.' ? format[sign + 1] - '0' : 0;
    if (fabs(x) < .5 * pow(10, -digits)) x = 0; /* no "-0.0" */
    if (sign && x >= 0) putc('+', f);
    if (fabs(x) < 1e6)
        fprintf(f, "%.*f", digits, x);
    else
        fprintf(f, "%.1e", x);
}

static void field(FILE *f, const json_t *value, const char *format) {
    double x = json_number_value(value);
    if (json_is_string(value) && !*format)
        escaped(f, json_string_value(value), json_string_length(value));
    else if (!json_is_number(value) || (strcmp(format, "colour") == 0 && !json_is_integer(value)))
        return;
    else if (json_is_integer(value) && !*format)
        fprintf(f, "%lld", (long long)json_integer_value(value));
    else if (strcmp(format, "count") == 0)
        count(f, x);
    else if (strcmp(format, "time") == 0)
        duration(f, x);
    else if (strcmp(format, "colour") == 0)
        fprintf(f, "%lld", ((json_integer_value(value) % 8) + 8) % 8);
    else if (strcmp(format, "MB") == 0)
        fprintf(f, "%.0f", x / 1e6);
    else if (strcmp(format, "g") == 0)
        fprintf(f, "%.12g", x);
    else
        real(f, x, format);
}

/* --- tags and sections --- */

/* Sets `err` and returns NULL. */
static const char *wrong(const struct filler *t, const char *at, const char *what) {
    size_t line = 1;
    for (const char *c = t->text; c < at; c++) line += *c == '\n';
    (void)mf_err_set(t->err, EX_SOFTWARE, "%s: line %zu: %s", t->name, line, what);
    return NULL;
}

/* The next word of a tag into `word`; returns what follows it. */
static const char *read_word(const char *at, char *word, size_t size) {
    at += strspn(at, " ");
    size_t n = strcspn(at, " }");
    snprintf(word, size, "%.*s", (int)n, at);
    return at + n;
}

/* Reads the tag at `at`, and returns what follows it; NULL when it does not end. */
static const char *read_tag(const char *at, struct tag *tag) {
    const char *from = at + 2, *close = strncmp(from, "!--", 3) == 0 ? "--}}" : *from == '{' ? "}}}" : "}}";
    const char *end = strstr(from, close);
    if (!end) return NULL;
    tag->begin = at;
    tag->kind = '\0';
    if (strchr("#?^/!{", *from)) tag->kind = *from++;
    read_word(read_word(from, tag->name, sizeof tag->name), tag->format, sizeof tag->format);
    end += strlen(close);
    if (tag->kind && tag->kind != '{' && *end == '\n') end += 1 + strspn(end + 1, " \t");
    return end;
}

static const char *section(const struct filler *t, const char *at, const struct tag *tag, const json_t *row);

/* Writes from `at` to the end of the section that `of` begins, or of the text if it is NULL; nothing if `row`
 * is NULL. Returns what follows, or NULL on failure. */
static const char *fill(const struct filler *t, const char *at, const struct tag *of, const json_t *row) {
    const char *open;
    while ((open = strstr(at, "{{"))) {
        struct tag tag;
        if (row) fwrite(at, 1, (size_t)(open - at), t->file);
        if (!(at = read_tag(open, &tag))) return wrong(t, open, "this tag does not end");
        const json_t *value = row ? mf_template_find(row, tag.name) : NULL;
        if (tag.kind == '/' && of && strcmp(tag.name, of->name) == 0) return at;
        if (tag.kind == '/') return wrong(t, open, "no such section has begun");
        if (tag.kind == '#' || tag.kind == '?' || tag.kind == '^') {
            if (!(at = section(t, at, &tag, row))) return NULL;
        } else if (tag.kind == '{' && json_is_string(value))
            fputs(json_string_value(value), t->file);
        else if (!tag.kind)
            field(t->file, value, tag.format);
    }
    if (of) return wrong(t, of->begin, "this section does not end");
    if (row) fputs(at, t->file);
    return at;
}

static bool is_there(const json_t *value) {
    return json_is_array(value)    ? json_array_size(value) > 0
           : json_is_object(value) ? json_object_size(value) > 0
           : json_is_string(value) ? json_string_length(value) > 0
                                   : json_is_true(value) || json_is_number(value);
}

/* What is between a tag with # ? or ^ and its end tag. */
static const char *section(const struct filler *t, const char *at, const struct tag *tag, const json_t *row) {
    const json_t *value = row ? mf_template_find(row, tag->name) : NULL, *item;
    const char *after = NULL;
    if (!row || is_there(value) == (tag->kind == '^')) return fill(t, at, tag, NULL);
    if (tag->kind != '#') return fill(t, at, tag, row);
    if (!json_is_array(value)) return fill(t, at, tag, json_is_object(value) ? value : row);
    for (size_t i = 0; (item = json_array_get(value, i)); i++)
        if (!(after = fill(t, at, tag, item))) return NULL;
    return after;
}

int mf_template_fill(char **filled, size_t *size, const char *name, const char *text, const json_t *row,
                     struct mf_err *err) {
    *filled = NULL;
    struct filler t = {open_memstream(filled, size), name, text, err};
    if (!t.file) return mf_err_sys(err, EX_OSERR, "cannot fill %s", name);
    int status = fill(&t, text, NULL, row) ? 0 : -1;
    if (fclose(t.file) != 0 && status == 0) status = mf_err_sys(err, EX_OSERR, "cannot fill %s", name);
    if (status == 0) return 0;
    free(*filled);
    *filled = NULL;
    return -1;
}
