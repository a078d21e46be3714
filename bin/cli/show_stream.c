/* Streams as lines of JSON and as a table. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/show_stats.h"

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

bool show_is_number(const msgpack_object *o) {
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER || o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ||
           o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64;
}

/* The columns are the fields of the first record, in its order, and again of one that has none of them. */
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
        column->numeric = show_is_number(&field->val);
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

static const msgpack_object *find_field(const struct mf_record *rec, const struct column *column) {
    const msgpack_object_map *map = &rec->object.via.map;
    for (uint32_t k = 0; k < map->size; k++) {
        const msgpack_object_str *key = &map->ptr[k].key.via.str;
        if (key->size == column->size && memcmp(key->ptr, column->name, key->size) == 0)
            return &map->ptr[k].val;
    }
    return NULL;
}

static bool has_columns(const struct columns *c, const struct mf_record *rec) {
    for (size_t i = 0; i < c->count; i++)
        if (find_field(rec, &c->items[i])) return true;
    return false;
}

static int write_row(struct mf_out *out, const struct columns *c, const struct mf_record *rec,
                     struct mf_err *err) {
    char text[4 * WIDTH + 1];
    for (size_t i = 0; i < c->count; i++) {
        const struct column *column = &c->items[i];
        const msgpack_object *value = find_field(rec, column);
        snprintf(text, sizeof text, "-");
        if (value) describe(text, value);
        if (write_cell(out, text, column->numeric, i + 1 == c->count, err) < 0) return -1;
    }
    return 0;
}

/* --- all forms --- */

struct view {
    struct mf_out *out;
    const struct mf_show *show;
    struct columns columns;
    struct show_stats *stats;
};

static int begin_table(struct view *v, const struct mf_record *rec, struct mf_err *err) {
    free_columns(&v->columns);
    make_columns(&v->columns, rec);
    return write_names(v->out, &v->columns, err);
}

static int show_record(struct view *v, const struct mf_record *rec, uint64_t n, struct mf_err *err) {
    switch (v->show->form) {
    case MF_SHOW_JSON:
        return write_json(v->out, rec, err);
    case MF_SHOW_STATS:
        return show_stats_add(v->stats, rec), 0;
    case MF_SHOW_TABLE:
        if ((n == 0 || !has_columns(&v->columns, rec)) && begin_table(v, rec, err) < 0) return -1;
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
    return show->form == MF_SHOW_STATS ? show_stats_write(v->out, r, v->stats, err) : 0;
}

int mf_show_stream(struct mf_out *out, struct mf_stream_reader *r, const struct mf_show *show,
                   struct mf_err *err) {
    struct view v = {.out = out, .show = show, .stats = show_stats_new()};
    int result = show_records(&v, r, err);
    show_stats_free(v.stats);
    free_columns(&v.columns);
    return result;
}
