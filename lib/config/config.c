/* Loads the configuration: defaults, then a YAML file, then --set, then --seed. */
#include "config/config_internal.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/memory.h"
#include "io/file.h"

#define FILE_LIMIT ((size_t)1 << 20)

/* --- YAML --- */

struct yaml_file {
    const char *path;
    char *where; /* "PATH:LINE" */
    unsigned char *bytes;
    size_t size;
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct mf_config *config;
    struct config_origins *origins;
};

/* The place for messages; borrowed until the next call. */
static const char *place(struct yaml_file *y, long line) {
    free(y->where);
    return y->where = mf_format("%s:%ld", y->path, line);
}

static long line_of(const struct yaml_file *y) {
    return (long)y->event.start_mark.line + 1;
}

static int malformed(const struct yaml_file *y, long line, const char *what, struct mf_err *err) {
    return mf_err_set(err, EX_CONFIG, "%s:%ld: %s", y->path, line, what);
}

/* The line of what the parser could not read. Bytes that are no text have only their place in the file. */
static long problem_line(const struct yaml_file *y) {
    if (y->parser.error != YAML_READER_ERROR) return (long)y->parser.problem_mark.line + 1;
    long line = 1;
    for (size_t i = 0; i < y->size && i < y->parser.problem_offset; i++) line += y->bytes[i] == '\n';
    return line;
}

static int next_event(struct yaml_file *y, struct mf_err *err) {
    if (y->has_event) yaml_event_delete(&y->event);
    y->has_event = yaml_parser_parse(&y->parser, &y->event) != 0;
    if (!y->has_event)
        return malformed(y, problem_line(y), y->parser.problem ? y->parser.problem : "not YAML", err);
    if (y->event.type == YAML_ALIAS_EVENT) return malformed(y, line_of(y), "aliases are not used here", err);
    return 0;
}

/* The scalar of the current event as a string without zero bytes; -1 for anything else. */
static int scalar(const struct yaml_file *y, char *text, size_t size, const char *what, struct mf_err *err) {
    const yaml_event_t *e = &y->event;
    if (e->type != YAML_SCALAR_EVENT) return malformed(y, line_of(y), what, err);
    size_t n = e->data.scalar.length;
    if (n >= size || memchr(e->data.scalar.value, 0, n))
        return malformed(y, line_of(y), "a value too long or with a zero byte", err);
    memcpy(text, e->data.scalar.value, n);
    text[n] = 0;
    return 0;
}

/* The current event is the value of `name`. */
static int set_value(struct yaml_file *y, const char *name, long line, struct mf_err *err) {
    char text[2048];
    const struct mf_key *key = mf_key_find(name);
    const char *where = place(y, line);
    if (!key) return mf_key_unknown(name, where, err);
    if (y->origins->lines[config_index(key)] != 0)
        return mf_err_set(err, EX_CONFIG, "%s: %s is given twice, first in line %ld", where, name,
                          y->origins->lines[config_index(key)]);
    if (scalar(y, text, sizeof text, "one value is expected here", err) < 0) return -1;
    y->origins->lines[config_index(key)] = line;
    return mf_key_parse(key, y->config, text, where, err);
}

/* The first key of this section, or -1 when there is no such section. */
static long section_start(const char *name) {
    size_t count, n = strlen(name);
    const struct mf_key *keys = mf_keys(&count);
    for (size_t i = 0; n > 0 && i < count; i++)
        if (mf_key_section(&keys[i]) == n && memcmp(keys[i].name, name, n) == 0) return (long)i;
    return -1;
}

/* Sections are keys of the file too: none comes twice. */
static int open_section(struct yaml_file *y, const char *name, long line, struct mf_err *err) {
    long *first = &y->origins->sections[section_start(name)];
    if (*first)
        return mf_err_set(err, EX_CONFIG, "%s:%ld: section %s is given twice, first in line %ld", y->path,
                          line, name, *first);
    *first = line;
    return 0;
}

static int unknown_section(const char *name, const char *where, struct mf_err *err) {
    const char *names[128];
    char sections[128][32];
    size_t count, n = 0;
    const struct mf_key *keys = mf_keys(&count);
    for (size_t i = 0; i < count && i < 128; i++) {
        snprintf(sections[n], sizeof sections[n], "%.*s", (int)mf_key_section(&keys[i]), keys[i].name);
        names[n] = sections[n];
        n++;
    }
    const char *near = mf_nearest(name, names, n);
    if (near && *near)
        return mf_err_set(err, EX_CONFIG, "%s: unknown section '%.100s', did you mean '%s'?", where, name,
                          near);
    return mf_err_set(err, EX_CONFIG, "%s: unknown section '%.100s' (mf-config keys lists them)", where,
                      name);
}

static int read_section(struct yaml_file *y, const char *section, struct mf_err *err) {
    char key[128], name[300];
    for (;;) {
        if (next_event(y, err) < 0) return -1;
        if (y->event.type == YAML_MAPPING_END_EVENT) return 0;
        long line = line_of(y);
        if (scalar(y, key, sizeof key, "a key is expected here", err) < 0 || next_event(y, err) < 0)
            return -1;
        snprintf(name, sizeof name, "%s.%s", section, key);
        if (set_value(y, name, line, err) < 0) return -1;
    }
}

static int read_top(struct yaml_file *y, struct mf_err *err) {
    char name[128];
    for (;;) {
        if (next_event(y, err) < 0) return -1;
        if (y->event.type == YAML_MAPPING_END_EVENT) return 0;
        long line = line_of(y);
        if (scalar(y, name, sizeof name, "a key is expected here", err) < 0 || next_event(y, err) < 0)
            return -1;
        if (y->event.type == YAML_MAPPING_START_EVENT) {
            if (section_start(name) < 0) return unknown_section(name, place(y, line), err);
            if (open_section(y, name, line, err) < 0 || read_section(y, name, err) < 0) return -1;
        } else if (section_start(name) >= 0) { /* "section:" with nothing below */
            char text[8];
            if (open_section(y, name, line, err) < 0) return -1;
            if (scalar(y, text, sizeof text, "keys are expected below a section", err) < 0) return -1;
            if (*text) return malformed(y, line, "keys are expected below a section", err);
        } else if (set_value(y, name, line, err) < 0) {
            return -1;
        }
    }
}

static int read_document(struct yaml_file *y, struct mf_err *err) {
    do
        if (next_event(y, err) < 0) return -1;
    while (y->event.type == YAML_STREAM_START_EVENT);
    if (y->event.type == YAML_STREAM_END_EVENT) return 0; /* nothing but comments: all defaults */
    if (next_event(y, err) < 0) return -1;
    if (y->event.type == YAML_SCALAR_EVENT && y->event.data.scalar.length == 0) return 0;
    if (y->event.type != YAML_MAPPING_START_EVENT)
        return malformed(y, line_of(y), "sections with keys are expected here", err);
    if (read_top(y, err) < 0 || next_event(y, err) < 0 || next_event(y, err) < 0) return -1;
    if (y->event.type != YAML_STREAM_END_EVENT) return malformed(y, line_of(y), "a second document", err);
    return 0;
}

static int read_yaml(struct mf_config *config, struct config_origins *origins, const char *path,
                     struct mf_err *err) {
    struct yaml_file y = {.path = path, .config = config, .origins = origins};
    if (mf_read_all(path, FILE_LIMIT, &y.bytes, &y.size, err) < 0) {
        if (err->status == EX_DATAERR) err->status = EX_CONFIG;
        return -1;
    }
    if (!yaml_parser_initialize(&y.parser)) mf_no_memory();
    yaml_parser_set_input_string(&y.parser, y.bytes, y.size);
    int status = read_document(&y, err);
    if (y.has_event) yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);
    free(y.where);
    free(y.bytes);
    return status;
}

/* --- --set --- */

static int apply_set(struct mf_config *config, struct config_origins *origins, const char *text,
                     struct mf_err *err) {
    char name[300];
    const char *equals = strchr(text, '=');
    if (!equals || (size_t)(equals - text) >= sizeof name)
        return mf_err_set(err, EX_USAGE, "--set %.100s: section.key=value is expected", text);
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    const struct mf_key *key = mf_key_find(name);
    if (!key) return mf_key_unknown(name, "--set", err);
    origins->lines[config_index(key)] = -1;
    return mf_key_parse(key, config, equals + 1, "--set", err);
}

static void set_default(struct mf_config *config, const struct mf_key *key) {
    struct mf_err err = {0};
    if (mf_key_parse(key, config, key->fallback, "default", &err) < 0) abort();
}

static int load(struct mf_config *config, const struct mf_settings *settings, int64_t experts, bool whole,
                struct mf_err *err) {
    struct config_origins origins = {.file = settings->config, .experts = experts, .whole = whole};
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    if (count > sizeof origins.lines / sizeof *origins.lines) abort();
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < count; i++) set_default(config, &keys[i]);
    if (settings->config && read_yaml(config, &origins, settings->config, err) < 0) return -1;
    for (size_t i = 0; i < settings->sets.count; i++)
        if (apply_set(config, &origins, settings->sets.items[i], err) < 0) return -1;
    if (settings->seed >= 0) config->seed = settings->seed;
    if (experts) config->model.n_experts = experts;
    config_follow(config, &origins);
    return config_check(config, &origins, err);
}

int mf_config_load(struct mf_config *config, const struct mf_settings *settings, struct mf_err *err) {
    return load(config, settings, 0, true, err);
}

int mf_config_load_stage(struct mf_config *config, const struct mf_settings *settings, const char *stage,
                         struct mf_err *err) {
    return mf_config_load_given(config, settings, stage, 0, err);
}

int mf_config_load_given(struct mf_config *config, const struct mf_settings *settings, const char *stage,
                         int64_t experts, struct mf_err *err) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    if (load(config, settings, experts, false, err) < 0) return -1;
    for (size_t i = 0; i < count; i++)
        if (!(keys[i].stages & mf_stage_bit(stage))) set_default(config, &keys[i]);
    return 0;
}
