/* Command lines from a table: parsing and errors. Their help pages are in help.c. */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

#include "cli/help.h"
#include "base/pool.h"
#include "io/file.h"

#define COMMON_OPTIONS 9 /* entries of the table of common options, with the ending one */

/* The table of the common options, bound to `c`. */
static void bind_common(struct mf_option table[COMMON_OPTIONS], struct mf_common *c) {
    const struct mf_option bound[COMMON_OPTIONS] = {
        {"config", 0, MF_OPT_STRING, &c->settings.config, "FILE", "read the settings from FILE (YAML)", 0, 0},
        {"set", 0, MF_OPT_LIST, &c->settings.sets, "KEY=VALUE",
         "change one setting, e.g. model.top_k=1; repeatable", 0, 0},
        {"threads", 0, MF_OPT_INT, &c->threads, "N", "use N threads (default: the processors there are)", 1,
         1024},
        {"seed", 0, MF_OPT_INT, &c->settings.seed, "N", "random seed (default: the config's)", 0, 0x1p62},
        {"quiet", 'q', MF_OPT_FLAG, &c->quiet, NULL, "print errors only", 0, 0},
        {"progress", 0, MF_OPT_CHOICE, &c->progress, "auto|always|never",
         "when to show progress (default: auto)", 0, 0},
        {"help", 'h', MF_OPT_FLAG, &c->help, NULL, "print this page", 0, 0},
        {"version", 0, MF_OPT_FLAG, &c->version, NULL, "print the version", 0, 0},
        {0},
    };
    memcpy(table, bound, sizeof bound);
}

static int check_range(const struct mf_option *o, double value, const char *text, struct mf_err *err) {
    if (o->low == 0 && o->high == 0) return 0;
    if (value >= o->low && value <= o->high) return 0;
    if (o->high > 1e15)
        return mf_err_set(err, EX_USAGE, "option '--%s' must be at least %g, not %s", o->name, o->low, text);
    if (o->low < -1e15)
        return mf_err_set(err, EX_USAGE, "option '--%s' must be at most %g, not %s", o->name, o->high, text);
    return mf_err_set(err, EX_USAGE, "option '--%s' must be from %.10g to %.10g, not %s", o->name, o->low,
                      o->high, text);
}

/* `text` is no value of the option, which needs `wanted`. */
static int unfit(const struct mf_option *o, const char *wanted, const char *text, struct mf_err *err) {
    return mf_err_set(err, EX_USAGE, "option '--%s' %s, not '%s'", o->name, wanted, text);
}

static int store_int(const struct mf_option *o, const char *text, struct mf_err *err) {
    int64_t value;
    if (mf_parse_int(text, &value) < 0) return unfit(o, "needs a whole number", text, err);
    *(int64_t *)o->target = value;
    return check_range(o, (double)value, text, err);
}

static int store_real(const struct mf_option *o, const char *text, struct mf_err *err) {
    double value;
    if (mf_parse_real(text, &value) < 0) return unfit(o, "needs a number", text, err);
    *(double *)o->target = value;
    return check_range(o, value, text, err);
}

static int store_choice(const struct mf_option *o, const char *text, struct mf_err *err) {
    int choice = mf_choice(o->argument, text, strlen(text));
    if (choice < 0)
        return mf_err_set(err, EX_USAGE, "option '--%s' is one of %s, not '%s'", o->name, o->argument, text);
    *(int *)o->target = choice;
    return 0;
}

static int store(const struct mf_option *o, const char *text, struct mf_err *err) {
    switch (o->kind) {
    case MF_OPT_FLAG:
        *(bool *)o->target = true;
        return 0;
    case MF_OPT_STRING:
    case MF_OPT_OUTPUT:
        *(const char **)o->target = text;
        return 0;
    case MF_OPT_LIST:
        mf_strs_add(o->target, text);
        return 0;
    case MF_OPT_INT:
        return store_int(o, text, err);
    case MF_OPT_REAL:
        return store_real(o, text, err);
    case MF_OPT_SIZE:
        if (mf_parse_size(text, o->target) == 0) return 0;
        return unfit(o, "needs a size such as 64K, 200M or 2G", text, err);
    case MF_OPT_CHOICE:
        return store_choice(o, text, err);
    }
    abort();
}

struct parser {
    const struct mf_option *tables[2]; /* the program's own, then the common ones */
    int argc, next;
    char **argv;
};

static const struct mf_option *find_long(const struct parser *p, const char *name, size_t n) {
    for (int t = 0; t < 2; t++)
        for (const struct mf_option *o = p->tables[t]; o && o->name; o++)
            if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) return o;
    return NULL;
}

static const struct mf_option *find_letter(const struct parser *p, char letter) {
    for (int t = 0; t < 2; t++)
        for (const struct mf_option *o = p->tables[t]; o && o->name; o++)
            if (o->letter == letter) return o;
    return NULL;
}

static int unknown_long(const struct parser *p, const char *name, size_t n, struct mf_err *err) {
    struct mf_strs names = {0};
    for (int t = 0; t < 2; t++)
        for (const struct mf_option *o = p->tables[t]; o && o->name; o++) mf_strs_add(&names, o->name);
    char given[64];
    snprintf(given, sizeof given, "%.*s", (int)(n < 60 ? n : 60), name);
    const char *near = mf_nearest(given, names.items, names.count);
    if (near)
        mf_err_set(err, EX_USAGE, "unknown option '--%s', did you mean '--%s'?", given, near);
    else
        mf_err_set(err, EX_USAGE, "unknown option '--%s' (--help lists them)", given);
    mf_strs_free(&names);
    return -1;
}

/* Stores the value that is attached, or the next argument. Something that looks like a long option is not
 * taken for a value: then the value was forgotten. */
static int take_value(struct parser *p, const struct mf_option *o, const char *attached, struct mf_err *err) {
    if (attached) return store(o, attached, err);
    const char *value = p->next < p->argc ? p->argv[p->next] : NULL;
    if (!value || (strncmp(value, "--", 2) == 0 && value[2]))
        return mf_err_set(err, EX_USAGE, "option '--%s' needs a value (%s)", o->name, o->argument);
    p->next++;
    return store(o, value, err);
}

static int parse_long(struct parser *p, const char *argument, struct mf_err *err) {
    size_t n = strcspn(argument, "=");
    const char *attached = argument[n] ? argument + n + 1 : NULL;
    const struct mf_option *o = find_long(p, argument, n);
    if (!o) return unknown_long(p, argument, n, err);
    if (o->kind != MF_OPT_FLAG) return take_value(p, o, attached, err);
    if (attached) return mf_err_set(err, EX_USAGE, "option '--%s' takes no value", o->name);
    return store(o, NULL, err);
}

/* "-qo FILE", "-oFILE". */
static int parse_letters(struct parser *p, const char *letters, struct mf_err *err) {
    for (; *letters; letters++) {
        const struct mf_option *o = find_letter(p, *letters);
        if (!o) return mf_err_set(err, EX_USAGE, "unknown option '-%c' (--help lists them)", *letters);
        if (o->kind != MF_OPT_FLAG) return take_value(p, o, letters[1] ? letters + 1 : NULL, err);
        if (store(o, NULL, err) < 0) return -1;
    }
    return 0;
}

/* The file of an option for one; NULL: it is for something else, or was not given. */
static const char *output_of(const struct mf_option *o) {
    return o->kind == MF_OPT_OUTPUT ? *(const char **)o->target : NULL;
}

/* Is it a file that is read? Then it would be lost. */
static int check_input(const struct mf_option *o, const char *input, struct mf_err *err) {
    return mf_out_check_input(output_of(o), o->name, input, err);
}

static int check_inputs(const struct mf_option *output, const struct mf_option *table, struct mf_err *err) {
    int status = 0;
    for (const struct mf_option *o = table; o && o->name && status == 0; o++) {
        const struct mf_strs *list = o->kind == MF_OPT_LIST ? o->target : NULL;
        if (!o->argument || strcmp(o->argument, "FILE") != 0) continue;
        if (o->kind == MF_OPT_STRING) status = check_input(output, *(const char **)o->target, err);
        for (size_t i = 0; list && i < list->count && status == 0; i++)
            status = check_input(output, list->items[i], err);
    }
    return status;
}

/* Each can be written, no two are one, and none is a file that is read. */
static int check_outputs(const struct parser *p, const struct mf_strs *operands, struct mf_err *err) {
    const struct mf_option *table = p->tables[0];
    for (const struct mf_option *o = table; o && o->name; o++) {
        const char *path = output_of(o);
        if (!path) continue;
        for (const struct mf_option *before = table; before < o; before++) {
            const char *other = output_of(before);
            if (other && mf_same_path(other, path))
                return mf_err_set(err, EX_USAGE, "%s is both --%s and --%s", path, before->name, o->name);
        }
        for (int t = 0; t < 2; t++)
            if (check_inputs(o, p->tables[t], err) < 0) return -1;
        for (size_t i = 0; i < operands->count; i++)
            if (check_input(o, operands->items[i], err) < 0) return -1;
        if (mf_out_check(path, err) < 0) return -1;
    }
    return 0;
}

int mf_options_parse(const struct mf_usage *usage, struct mf_common *common, struct mf_strs *operands,
                     int argc, char **argv, struct mf_err *err) {
    mf_program_begin();
    *common =
        (struct mf_common){.threads = mf_processors(), .settings.seed = -1, .progress = MF_PROGRESS_AUTO};
    struct mf_option table[COMMON_OPTIONS];
    bind_common(table, common);
    struct parser p = {.tables = {usage->options, table}, .argc = argc, .next = 1, .argv = argv};
    while (p.next < argc) {
        const char *argument = argv[p.next++];
        if (argument[0] != '-' || argument[1] == 0) {
            mf_strs_add(operands, argument);
            continue;
        }
        if (strcmp(argument, "--") == 0) break;
        int result =
            argument[1] == '-' ? parse_long(&p, argument + 2, err) : parse_letters(&p, argument + 1, err);
        if (result < 0) return -1;
        if (common->help) return mf_help_print(usage, table, err) < 0 ? -1 : 1;
        if (common->version) return mf_version_print(usage->program, err) < 0 ? -1 : 1;
    }
    while (p.next < argc) mf_strs_add(operands, argv[p.next++]);
    return check_outputs(&p, operands, err);
}

int mf_options_operand(const struct mf_strs *operands, const char *what, const char **operand,
                       struct mf_err *err) {
    if (operands->count > 1)
        return mf_err_set(err, EX_USAGE, "one %s at a time, not %zu", what, operands->count);
    *operand = operands->count ? operands->items[0] : NULL;
    return 0;
}

int mf_options_run(const struct mf_usage *usage, mf_options_work *work, void *request, int argc,
                   char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    int parsed = mf_options_parse(usage, &common, &operands, argc, argv, &err);
    int status = parsed == 0 ? work(request, &common, &operands, &err) : parsed < 0 ? -1 : 0;
    mf_strs_free(&operands);
    mf_strs_free(&common.settings.sets);
    return status < 0 ? mf_fail(usage->program, &err) : status;
}

static int no_command(const char *program, const struct mf_command *commands, const char *given) {
    struct mf_strs names = {0};
    struct mf_err err = {0};
    char list[256] = "";
    for (const struct mf_command *c = commands; c->name; c++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", c->name);
        mf_strs_add(&names, c->name);
    }
    const char *near = given ? mf_nearest(given, names.items, names.count) : NULL;
    if (near)
        mf_err_set(&err, EX_USAGE, "unknown command '%s', did you mean '%s'?", given, near);
    else if (given)
        mf_err_set(&err, EX_USAGE, "unknown command '%s'; there is %s", given, list);
    else
        mf_err_set(&err, EX_USAGE, "which command? There is %s", list);
    mf_strs_free(&names);
    return mf_fail(program, &err);
}

int mf_command_run(const char *program, const char *purpose, const struct mf_command *commands, int argc,
                   char **argv) {
    struct mf_err err = {0};
    mf_program_begin();
    if (argc < 2) return no_command(program, commands, NULL);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        struct mf_common common = {0};
        struct mf_option table[COMMON_OPTIONS];
        bind_common(table, &common);
        int status = mf_commands_print(program, purpose, commands, table, &err);
        return status < 0 ? mf_fail(program, &err) : 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        return mf_version_print(program, &err) < 0 ? mf_fail(program, &err) : 0;
    for (const struct mf_command *c = commands; c->name; c++)
        if (strcmp(c->name, argv[1]) == 0) return c->run(argc - 1, argv + 1);
    return no_command(program, commands, argv[1]);
}
