/* Streams as lines of JSON, as a table, and as numbers about their fields. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/show_internal.h"
#include "io/stream_internal.h"

#define WIDTH  24 /* characters of a text in a table */
#define NUMBER 12 /* characters of a number in a table */

static int write_json(struct mf_out *out, const struct mf_record *rec, struct mf_err *err) {
    char *json = mf_record_json(rec, err);
    if (!json) return -1;
    int result = mf_out_write(out, json, strlen(json), err);
    free(json);
    return result < 0 ? -1 : mf_out_write(out, "\n", 1, err);
}

/* --- a table --- */

static bool is_number(const msgpack_object *o) {
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER || o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ||
           o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64;
}

static double number(const msgpack_object *o) {
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER) return (double)o->via.u64;
    return o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? (double)o->via.i64 : o->via.f64;
}

/* The columns are the fields of the first record, in its order. */
struct columns {
    size_t count;
    struct column {
        char *name; /* owned, `size` bytes and a zero */
        size_t size;
        bool numeric;
    } * items;
};

static void make_columns(struct columns *c, const struct mf_record *rec) {
    c->count = rec->object.via.map.size;
    c->items = calloc(c->count ? c->count : 1, sizeof *c->items);
    if (!c->items) mf_no_memory();
    for (size_t i = 0; i < c->count; i++) {
        const msgpack_object_kv *field = &rec->object.via.map.ptr[i];
        struct column *column = &c->items[i];
        column->size = field->key.via.str.size;
        column->name = malloc(column->size + 1);
        if (!column->name) mf_no_memory();
        memcpy(column->name, field->key.via.str.ptr, column->size);
        column->name[column->size] = 0;
        column->numeric = is_number(&field->val);
    }
}

static void free_columns(struct columns *c) {
    for (size_t i = 0; i < c->count; i++) free(c->items[i].name);
    free(c->items);
}

/* Padded by characters, not bytes; the last column is not padded. */
static int write_cell(struct mf_out *out, const char *text, bool numeric, bool last, struct mf_err *err) {
    int width = numeric ? NUMBER : WIDTH, n = 0;
    for (const char *p = text; *p; p++) n += ((unsigned char)*p & 0xc0) != 0x80;
    int pad = n < width ? width - n : 0;
    if (numeric) return mf_out_printf(out, err, "%*s%s%s", pad, "", text, last ? "\n" : "  ");
    return mf_out_printf(out, err, "%s%*s%s", text, last ? 0 : pad, "", last ? "\n" : "  ");
}

static int write_names(struct mf_out *out, const struct columns *c, struct mf_err *err) {
    char text[4 * WIDTH + 1];
    for (size_t i = 0; i < c->count; i++) {
        const struct column *column = &c->items[i];
        mf_show_clean(text, column->name, column->size, column->numeric ? NUMBER : WIDTH);
        if (write_cell(out, text, column->numeric, i + 1 == c->count, err) < 0) return -1;
    }
    return 0;
}

static void describe(char text[4 * WIDTH + 1], const msgpack_object *o) {
    const size_t size = 4 * WIDTH + 1;
    switch (o->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        snprintf(text, size, "%llu", (unsigned long long)o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        snprintf(text, size, "%lld", (long long)o->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        snprintf(text, size, "%.6g", o->via.f64);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        snprintf(text, size, "%s", o->via.boolean ? "true" : "false");
        break;
    case MSGPACK_OBJECT_STR:
        mf_show_clean(text, o->via.str.ptr, o->via.str.size, WIDTH);
        break;
    case MSGPACK_OBJECT_BIN:
        snprintf(text, size, "(%u bytes)", o->via.bin.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        snprintf(text, size, "(%u values)", o->via.array.size);
        break;
    case MSGPACK_OBJECT_MAP:
        snprintf(text, size, "(%u fields)", o->via.map.size);
        break;
    default:
        snprintf(text, size, "-");
    }
}

static int write_row(struct mf_out *out, const struct columns *c, const struct mf_record *rec,
                     struct mf_err *err) {
    char text[4 * WIDTH + 1];
    const msgpack_object_map *map = &rec->object.via.map;
    for (size_t i = 0; i < c->count; i++) {
        const struct column *column = &c->items[i];
        snprintf(text, sizeof text, "-");
        for (uint32_t k = 0; k < map->size; k++) {
            const msgpack_object_str *key = &map->ptr[k].key.via.str;
            if (key->size == column->size && memcmp(key->ptr, column->name, key->size) == 0)
                describe(text, &map->ptr[k].val);
        }
        if (write_cell(out, text, column->numeric, i + 1 == c->count, err) < 0) return -1;
    }
    return 0;
}

/* --- numbers --- */

/* A field over all records: its value if it is a number, else its size in bytes or items. */
struct field {
    char *name; /* owned */
    size_t size;
    const char *what;
    struct mf_spread spread;
};

struct stats {
    size_t count; /* at most MF_RECORD_FIELDS: later ones are not shown */
    struct field fields[MF_RECORD_FIELDS];
    struct mf_spread bytes; /* of the records */
};

static struct field *find_field(struct stats *s, const msgpack_object_str *name) {
    for (size_t i = 0; i < s->count; i++)
        if (s->fields[i].size == name->size && memcmp(s->fields[i].name, name->ptr, name->size) == 0)
            return &s->fields[i];
    if (s->count == MF_RECORD_FIELDS) return NULL;
    struct field *f = &s->fields[s->count++];
    f->size = name->size;
    f->name = malloc(name->size + 1);
    if (!f->name) mf_no_memory();
    memcpy(f->name, name->ptr, name->size);
    return f;
}

/* What one value adds to its field; sets the word for it. */
static double measure(const struct mf_record *rec, const msgpack_object_kv *kv, const char **what) {
    const msgpack_object *o = &kv->val;
    *what = "value";
    if (is_number(o)) return number(o);
    if (o->type == MSGPACK_OBJECT_BOOLEAN) return o->via.boolean;
    *what = "items";
    if (o->type == MSGPACK_OBJECT_ARRAY) return o->via.array.size;
    if (o->type == MSGPACK_OBJECT_MAP) return o->via.map.size;
    *what = "bytes";
    if (o->type == MSGPACK_OBJECT_STR) return o->via.str.size;
    if (o->type != MSGPACK_OBJECT_BIN) return 0;
    const msgpack_object_str *key = &kv->key.via.str;
    if (!rec->token_width || key->size != 6 || memcmp(key->ptr, "tokens", 6) != 0) return o->via.bin.size;
    *what = "tokens";
    return (double)o->via.bin.size / rec->token_width;
}

static void add_record(struct stats *s, const struct mf_record *rec) {
    double size = (double)rec->raw.used;
    mf_spread_add(&s->bytes, &size, 1);
    for (uint32_t i = 0; i < rec->object.via.map.size; i++) {
        const msgpack_object_kv *kv = &rec->object.via.map.ptr[i];
        struct field *f = find_field(s, &kv->key.via.str);
        if (!f || kv->val.type == MSGPACK_OBJECT_NIL) continue;
        double value = measure(rec, kv, &f->what);
        mf_spread_add(&f->spread, &value, 1);
    }
}

static int write_stats(struct mf_out *out, const struct mf_stream_reader *r, const struct stats *s,
                       struct mf_err *err) {
    const struct mf_spread *b = &s->bytes;
    if (mf_out_printf(out, err, "kind %s  records %llu  bytes %.0f\n", mf_stream_kind(r),
                      (unsigned long long)b->count, b->mean * (double)b->count) < 0)
        return -1;
    if (mf_out_printf(out, err, "%-20s %-7s %10s %12s %12s %12s %12s %6s\n", "field", "of", "records", "min",
                      "mean", "max", "sum", "bad") < 0)
        return -1;
    if (b->count && mf_out_printf(out, err, "%-20s %-7s %10llu %12.6g %12.6g %12.6g %12.6g %6d\n", "(record)",
                                  "bytes", (unsigned long long)b->count, b->min, b->mean, b->max,
                                  b->mean * (double)b->count, 0) < 0)
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        const struct mf_spread *v = &f->spread;
        char name[81];
        mf_show_clean(name, f->name, f->size, 20);
        if (mf_out_printf(out, err, "%-20s %-7s %10llu %12.6g %12.6g %12.6g %12.6g %6llu\n", name,
                          f->what ? f->what : "-", (unsigned long long)v->count + v->bad, v->min, v->mean,
                          v->max, v->mean * (double)v->count, (unsigned long long)v->bad) < 0)
            return -1;
    }
    return 0;
}

/* --- all forms --- */

struct view {
    struct mf_out *out;
    const struct mf_show *show;
    struct columns columns;
    struct stats *stats;
};

static int show_record(struct view *v, const struct mf_record *rec, uint64_t n, struct mf_err *err) {
    switch (v->show->form) {
    case MF_SHOW_JSON:
        return write_json(v->out, rec, err);
    case MF_SHOW_STATS:
        return add_record(v->stats, rec), 0;
    case MF_SHOW_TABLE:
        if (n == 0) make_columns(&v->columns, rec);
        if (n == 0 && write_names(v->out, &v->columns, err) < 0) return -1;
        return write_row(v->out, &v->columns, rec, err);
    }
    abort();
}

static int show_records(struct view *v, struct mf_stream_reader *r, struct mf_err *err) {
    const struct mf_record *rec;
    const struct mf_show *show = v->show;
    if (show->form == MF_SHOW_JSON && write_json(v->out, mf_stream_header(r), err) < 0) return -1;
    for (uint64_t n = 0; show->head < 0 || n < (uint64_t)show->head; n++) {
        if (show->follow && mf_out_flush(v->out, err) < 0) return -1;
        int result = mf_stream_next(r, &rec, err);
        if (result < 0) return -1;
        if (result == 0) break;
        if (show_record(v, rec, n, err) < 0) return -1;
    }
    return show->form == MF_SHOW_STATS ? write_stats(v->out, r, v->stats, err) : 0;
}

int mf_show_stream(struct mf_out *out, struct mf_stream_reader *r, const struct mf_show *show,
                   struct mf_err *err) {
    struct view v = {.out = out, .show = show, .stats = calloc(1, sizeof *v.stats)};
    if (!v.stats) mf_no_memory();
    int result = show_records(&v, r, err);
    for (size_t i = 0; i < v.stats->count; i++) free(v.stats->fields[i].name);
    free(v.stats);
    free_columns(&v.columns);
    return result;
}
