/* Documents of plain text, JSON lines and WikiText. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "text/docs_internal.h"

int docs_line_at(struct docs_file *f, size_t at, const char **line, size_t *size, struct mf_err *err) {
    for (size_t looked = at;;) {
        size_t there = f->end - f->begin;
        const char *end = there > looked ? memchr(f->bytes + f->begin + looked, '\n', there - looked) : NULL;
        if (!end && !f->ended) {
            if (there > looked) looked = there;
            if (docs_fill(f, there + 1, err) < 0) return -1;
            continue;
        }
        if (!end && there <= at) return 0;
        *line = f->bytes + f->begin + at;
        *size = end ? (size_t)(end - *line) : there - at;
        return 1;
    }
}

/* Takes the next line: 1, 0 at the end, or -1. */
static int next_line(struct docs_file *f, const char **line, size_t *size, struct mf_err *err) {
    int more = docs_line_at(f, 0, line, size, err);
    if (more <= 0) return more;
    f->begin += *size;
    f->begin += f->begin < f->end; /* its end */
    return 1;
}

static int emit(const struct docs_file *f, const struct mf_docs_options *o, const char *id, size_t id_size,
                const char *text, size_t size, const char *domain, size_t domain_size, struct mf_err *err) {
    struct mf_doc doc = {.id = id, .id_size = id_size, .text = text, .size = size};
    doc.domain = o->domain ? o->domain : domain ? domain : f->place->domain;
    doc.domain_size = o->domain ? strlen(o->domain) : domain ? domain_size : f->place->domain_size;
    return o->take(o->context, &doc, err);
}

/* --- plain text --- */

static int parse_text(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err) {
    if (docs_fill(f, MF_DOC_LIMIT + 1, err) < 0) return -1;
    if (f->end - f->begin > MF_DOC_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: a document of more than %zu bytes", f->place->name,
                          MF_DOC_LIMIT);
    return emit(f, o, f->id, strlen(f->id), f->bytes ? f->bytes + f->begin : "", f->end - f->begin, NULL, 0,
                err);
}

/* --- JSON lines --- */

/* A field that is a string or a number, as text; NULL when it is not there. `number` has room for one. */
static const char *field(const json_t *object, const char *key, char number[32], size_t *size) {
    const json_t *value = key ? json_object_get(object, key) : NULL;
    if (json_is_string(value)) {
        *size = json_string_length(value);
        return json_string_value(value);
    }
    if (!json_is_integer(value)) return NULL;
    *size = (size_t)snprintf(number, 32, "%lld", (long long)json_integer_value(value));
    return number;
}

static int parse_line(const struct docs_file *f, const struct mf_docs_options *o, const char *line,
                      size_t size, uint64_t number, bool *bad, struct mf_err *err) {
    json_error_t why;
    char id_number[32], domain_number[32], *place = NULL;
    size_t id_size = 0, domain_size = 0;
    json_t *object = docs_json_line(line, size, o, &why);
    const json_t *text = json_object_get(object, o->text_key);
    *bad = !json_is_string(text);
    if (!json_is_object(object)) {
        json_decref(object);
        return mf_err_set(err, EX_DATAERR, "%s:%llu: %s", f->place->name, (unsigned long long)number,
                          object ? "not a JSON object" : why.text);
    }
    const char *id = field(object, o->id_key, id_number, &id_size);
    const char *domain = field(object, o->domain_key, domain_number, &domain_size);
    int status;
    if (!id) {
        id = place = mf_format("%s:%llu", f->id, (unsigned long long)number);
        id_size = strlen(id);
    }
    if (*bad)
        status = mf_err_set(err, EX_DATAERR, "%s:%llu: no text under the key '%s' (--text-key)",
                            f->place->name, (unsigned long long)number, o->text_key);
    else
        status = emit(f, o, id, id_size, json_string_value(text), json_string_length(text), domain,
                      domain_size, err);
    json_decref(object);
    free(place);
    return status;
}

/* A line that is blank, a document, or bad and left out: 0 or 1 as parse_line. */
static int parse_or_leave(const struct docs_file *f, const struct mf_docs_options *o, const char *line,
                          size_t size, uint64_t number, struct mf_err *err) {
    struct mf_err why = {0};
    bool bad = false;
    size_t mark = docs_mark_size(line, size);
    line += mark;
    size -= mark;
    if (docs_is_blank(line, size)) return 0;
    int status = parse_line(f, o, line, size, number, &bad, &why);
    if (status < 0 && bad && o->bad && o->bad(o->context, &why)) return 0;
    if (status < 0) *err = why;
    return status;
}

static int parse_jsonl(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err) {
    const char *line;
    size_t size;
    int more, status = 0;
    for (uint64_t number = 1; status == 0 && (more = next_line(f, &line, &size, err)) != 0; number++) {
        if (more < 0) return -1;
        status = parse_or_leave(f, o, line, size, number, err);
    }
    return status;
}

/* --- WikiText --- */

/* A growing document. */
struct gathered {
    char *text;
    size_t size, capacity;
    uint64_t number;
};

static int gather(const struct docs_file *f, struct gathered *g, const char *line, size_t size,
                  struct mf_err *err) {
    if (size >= MF_DOC_LIMIT - g->size)
        return mf_err_set(err, EX_DATAERR, "%s: a document of more than %zu bytes", f->place->name,
                          MF_DOC_LIMIT);
    if (g->capacity - g->size < size + 1) {
        size_t capacity = 2 * g->capacity + size + 4096;
        char *grown = realloc(g->text, capacity);
        if (!grown) return mf_err_set(err, EX_OSERR, "%s: out of memory", f->place->name);
        g->text = grown;
        g->capacity = capacity;
    }
    memcpy(g->text + g->size, line, size);
    g->text[g->size + size] = '\n';
    g->size += size + 1;
    return 0;
}

/* Emits what was gathered, unless it is nothing but blank lines before the first heading. */
static int end_article(const struct docs_file *f, const struct mf_docs_options *o, struct gathered *g,
                       struct mf_err *err) {
    size_t i = 0;
    while (i < g->size && (g->text[i] == ' ' || g->text[i] == '\n' || g->text[i] == '\r')) i++;
    size_t size = g->size;
    g->size = 0;
    if (i == size) return 0;
    char *id = mf_format("%s#%llu", f->id, (unsigned long long)++g->number);
    int status = emit(f, o, id, strlen(id), g->text, size, NULL, 0, err);
    free(id);
    return status;
}

static int parse_wikitext(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err) {
    struct gathered g = {0};
    const char *line;
    size_t size;
    int more = 0, status = 0;
    while (status == 0 && (more = next_line(f, &line, &size, err)) > 0) {
        if (docs_is_heading(line, size)) status = end_article(f, o, &g, err);
        if (status == 0) status = gather(f, &g, line, size, err);
    }
    if (more < 0) status = -1;
    if (status == 0) status = end_article(f, o, &g, err);
    free(g.text);
    return status;
}

int docs_parse(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err) {
    if (docs_fill(f, 4096, err) < 0) return -1;
    if (f->begin == f->end) return 0;
    int format = docs_format_of(f, o, err);
    if (format < 0) return -1;
    if (format == MF_DOCS_JSONL) return parse_jsonl(f, o, err);
    if (format == MF_DOCS_WIKITEXT) return parse_wikitext(f, o, err);
    return parse_text(f, o, err);
}
