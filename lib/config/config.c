/* Loads the configuration: defaults, then a YAML file, then --set, then --seed; and checks that values fit
 * together. */
#include "config/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/memory.h"
#include "io/file.h"
#include "config/schema.h"

#define FILE_LIMIT ((size_t)1 << 20)

/* Where each key got its value, for messages about values that do not fit together: 0 a default, -1 --set or
 * --seed, else the line of the file. */
struct origins {
    const char *file;
    long lines[128];
    long sections[128]; /* the line of a section, kept at its first key */
    int64_t experts;    /* in the place of model.n_experts, or 0 */
};

static size_t index_of(const struct mf_key *key) {
    size_t count;
    return (size_t)(key - mf_keys(&count));
}

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
    struct origins *origins;
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
    if (y->origins->lines[index_of(key)] != 0)
        return mf_err_set(err, EX_CONFIG, "%s: %s is given twice, first in line %ld", where, name,
                          y->origins->lines[index_of(key)]);
    if (scalar(y, text, sizeof text, "one value is expected here", err) < 0) return -1;
    y->origins->lines[index_of(key)] = line;
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

static int read_yaml(struct mf_config *config, struct origins *origins, const char *path,
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

static int apply_set(struct mf_config *config, struct origins *origins, const char *text,
                     struct mf_err *err) {
    char name[300];
    const char *equals = strchr(text, '=');
    if (!equals || (size_t)(equals - text) >= sizeof name)
        return mf_err_set(err, EX_USAGE, "--set %.100s: section.key=value is expected", text);
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    const struct mf_key *key = mf_key_find(name);
    if (!key) return mf_key_unknown(name, "--set", err);
    origins->lines[index_of(key)] = -1;
    return mf_key_parse(key, config, equals + 1, "--set", err);
}

/* --- what must fit together --- */

/* Opens the message about two values with the place where `name`, or else `other`, was given. */
static int unfit(const struct origins *o, const char *name, const char *other, const char *what,
                 struct mf_err *err) {
    long line = o->lines[index_of(mf_key_find(name))];
    if (line <= 0) line = o->lines[index_of(mf_key_find(other))];
    if (line <= 0) return mf_err_set(err, EX_CONFIG, "--set: %s", what);
    return mf_err_set(err, EX_CONFIG, "%s:%ld: %s", o->file, line, what);
}

static int check_training(const struct mf_train_config *t, const char *section, const struct origins *o,
                          struct mf_err *err) {
    char name[64], other[64], what[200];
    if (t->min_lr > t->lr) {
        snprintf(name, sizeof name, "%s.min_lr", section);
        snprintf(other, sizeof other, "%s.lr", section);
        snprintf(what, sizeof what, "%s is %g, above lr, which is %g", name, t->min_lr, t->lr);
        return unfit(o, name, other, what, err);
    }
    if (t->warmup > t->steps) {
        snprintf(name, sizeof name, "%s.warmup", section);
        snprintf(other, sizeof other, "%s.steps", section);
        snprintf(what, sizeof what, "%s is %" PRId64 ", above steps, which is %" PRId64, name, t->warmup,
                 t->steps);
        return unfit(o, name, other, what, err);
    }
    return 0;
}

/* Heads and their columns; 0 stands for what the others give. */
static int check_heads(const struct mf_config *c, const struct origins *o, struct mf_err *err) {
    char what[200];
    int64_t D = c->model.d_model, H = c->model.n_heads, K = c->model.n_kv_heads, d = c->model.head_dim;
    if (d % 2) {
        snprintf(what, sizeof what, "model.head_dim is %" PRId64 ", must be even", d);
        return unfit(o, "model.head_dim", "model.head_dim", what, err);
    }
    if ((d == 0 || !c->model.arch) && D % H) {
        snprintf(what, sizeof what, "model.d_model %" PRId64 " is not a multiple of model.n_heads %" PRId64,
                 D, H);
        return unfit(o, "model.d_model", "model.n_heads", what, err);
    }
    if (!c->model.arch) return 0;
    if (K && H % K) {
        snprintf(what, sizeof what,
                 "model.n_heads %" PRId64 " is not a multiple of model.n_kv_heads %" PRId64, H, K);
        return unfit(o, "model.n_heads", "model.n_kv_heads", what, err);
    }
    if (d == 0 && D / H % 2) {
        snprintf(what, sizeof what,
                 "model.d_model %" PRId64 " gives %" PRId64 " heads %" PRId64 " columns each, must be even",
                 D, H, D / H);
        return unfit(o, "model.d_model", "model.n_heads", what, err);
    }
    return 0;
}

static int check(const struct mf_config *c, const struct origins *o, struct mf_err *err) {
    char what[200];
    if (check_heads(c, o, err) < 0) return -1;
    if (c->model.d_model % 2) {
        snprintf(what, sizeof what, "model.d_model is %" PRId64 ", must be even", c->model.d_model);
        return unfit(o, "model.d_model", "model.d_model", what, err);
    }
    if (c->model.top_k > c->model.n_experts + c->assemble.anchor) {
        snprintf(what, sizeof what,
                 o->experts ? "model.top_k is %" PRId64 ", above the number of experts given, %" PRId64
                            : "model.top_k is %" PRId64 ", above model.n_experts, which is %" PRId64,
                 c->model.top_k, c->model.n_experts);
        return unfit(o, "model.top_k", "model.n_experts", what, err);
    }
    if (c->docs.val_fraction + c->docs.test_fraction >= 1) {
        snprintf(what, sizeof what,
                 "docs.val_fraction %g and docs.test_fraction %g leave nothing to train on",
                 c->docs.val_fraction, c->docs.test_fraction);
        return unfit(o, "docs.val_fraction", "docs.test_fraction", what, err);
    }
    if (c->docs.max_chars && c->docs.max_chars < c->docs.min_chars) {
        snprintf(what, sizeof what, "docs.max_chars is %" PRId64 ", below docs.min_chars, which is %" PRId64,
                 c->docs.max_chars, c->docs.min_chars);
        return unfit(o, "docs.max_chars", "docs.min_chars", what, err);
    }
    if (c->expert.rank && c->expert.init != MF_INIT_SHARED) {
        snprintf(what, sizeof what,
                 "expert.rank %" PRId64 " changes the shared FFN: expert.init must be shared",
                 c->expert.rank);
        return unfit(o, "expert.rank", "expert.init", what, err);
    }
    if (check_training(&c->train_shared, "train_shared", o, err) < 0) return -1;
    return check_training(&c->train_expert, "train_expert", o, err);
}

/* Defaults of values that nobody gave follow the values they must fit to: a config of one expert need not say
 * top_k 1, nor a short training its warmup. */
static void follow(struct mf_config *c, const struct origins *o) {
    struct {
        struct mf_train_config *t;
        const char *min_lr, *warmup;
    } both[] = {{&c->train_shared, "train_shared.min_lr", "train_shared.warmup"},
                {&c->train_expert, "train_expert.min_lr", "train_expert.warmup"}};
    for (size_t i = 0; i < 2; i++) {
        struct mf_train_config *t = both[i].t;
        if (o->lines[index_of(mf_key_find(both[i].min_lr))] == 0 && t->min_lr > t->lr) t->min_lr = t->lr / 10;
        if (o->lines[index_of(mf_key_find(both[i].warmup))] == 0 && t->warmup > t->steps)
            t->warmup = t->steps / 10;
    }
    if (o->lines[index_of(mf_key_find("model.top_k"))] == 0 &&
        c->model.top_k > c->model.n_experts + c->assemble.anchor)
        c->model.top_k = c->model.n_experts + c->assemble.anchor;
}

static void set_default(struct mf_config *config, const struct mf_key *key) {
    struct mf_err err;
    if (mf_key_parse(key, config, key->fallback, "default", &err) < 0) abort();
}

static int load(struct mf_config *config, const struct mf_settings *settings, int64_t experts,
                struct mf_err *err) {
    struct origins origins = {.file = settings->config, .experts = experts};
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
    follow(config, &origins);
    return check(config, &origins, err);
}

int mf_config_load(struct mf_config *config, const struct mf_settings *settings, struct mf_err *err) {
    return load(config, settings, 0, err);
}

int mf_config_load_stage(struct mf_config *config, const struct mf_settings *settings, const char *stage,
                         struct mf_err *err) {
    return mf_config_load_given(config, settings, stage, 0, err);
}

int mf_config_load_given(struct mf_config *config, const struct mf_settings *settings, const char *stage,
                         int64_t experts, struct mf_err *err) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    if (load(config, settings, experts, err) < 0) return -1;
    for (size_t i = 0; i < count; i++)
        if (!(keys[i].stages & mf_stage_bit(stage))) set_default(config, &keys[i]);
    return 0;
}
