/* Streams as numbers about their fields: in fixed memory, whatever the number of records. */
#include "cli/show_stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/quantiles.h"

/* A field over all records: its value if it is a number, else its size in bytes or items. */
struct field {
    char *name; /* owned */
    size_t size;
    const char *what;
    struct mf_spread spread;
    struct mf_quantiles *lengths; /* NULL for numbers */
};

struct show_stats {
    size_t count; /* at most MF_RECORD_FIELDS: later ones are not shown */
    struct field fields[MF_RECORD_FIELDS];
    struct mf_spread bytes; /* of the records */
    struct show_domains domains;
};

static struct field *find_field(struct show_stats *s, const msgpack_object_str *name) {
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

static double number(const msgpack_object *o) {
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER) return (double)o->via.u64;
    return o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? (double)o->via.i64 : o->via.f64;
}

/* What one value adds to its field; sets the word for it. */
static double measure(const struct mf_record *rec, const msgpack_object_kv *kv, const char **what) {
    const msgpack_object *o = &kv->val;
    *what = "value";
    if (show_is_number(o)) return number(o);
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

static void add_length(struct field *f, double length) {
    if (!f->lengths && !(f->lengths = calloc(1, sizeof *f->lengths))) mf_no_memory();
    mf_quantiles_add(f->lengths, (uint64_t)length);
}

/* Is this the field that a document's length is counted in? */
static bool is_content(const msgpack_object_str *name) {
    return (name->size == 4 && memcmp(name->ptr, "text", 4) == 0) ||
           (name->size == 6 && memcmp(name->ptr, "tokens", 6) == 0);
}

void show_stats_add(struct show_stats *s, const struct mf_record *rec) {
    double size = (double)rec->raw.used, content = 0;
    const msgpack_object_str *domain = NULL;
    mf_spread_add(&s->bytes, &size, 1);
    for (uint32_t i = 0; i < rec->object.via.map.size; i++) {
        const msgpack_object_kv *kv = &rec->object.via.map.ptr[i];
        const msgpack_object_str *name = &kv->key.via.str;
        struct field *f = find_field(s, name);
        if (!f || kv->val.type == MSGPACK_OBJECT_NIL) continue;
        double value = measure(rec, kv, &f->what);
        mf_spread_add(&f->spread, &value, 1);
        if (f->what[0] != 'v') add_length(f, value);
        if (is_content(name)) content = value;
        if (name->size == 6 && memcmp(name->ptr, "domain", 6) == 0 && kv->val.type == MSGPACK_OBJECT_STR)
            domain = &kv->val.via.str;
    }
    show_domains_add(&s->domains, domain ? domain->ptr : NULL, domain ? domain->size : 0, content);
}

/* Percentiles of the lengths that differ. */
static int write_lengths(struct mf_out *out, const struct show_stats *s, struct mf_err *err) {
    static const double at[] = {0.01, 0.1, 0.5, 0.9, 0.99};
    bool titled = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        char name[81];
        if (!f->lengths || f->spread.min == f->spread.max) continue;
        if (!titled && mf_out_printf(out, err, "\n%-20s %-7s %10s %12s %12s %12s %12s\n",
                                     "length (within 0.8%)", "of", "1%", "10%", "median", "90%", "99%") < 0)
            return -1;
        titled = true;
        mf_show_clean(name, f->name, f->size, 20);
        if (mf_out_printf(out, err, "%-20s %-7s", name, f->what) < 0) return -1;
        for (size_t k = 0; k < 5; k++)
            if (mf_out_printf(out, err, " %*llu", k ? 12 : 10,
                              (unsigned long long)mf_quantiles_at(f->lengths, at[k])) < 0)
                return -1;
        if (mf_out_write(out, "\n", 1, err) < 0) return -1;
    }
    return 0;
}

int show_stats_write(struct mf_out *out, const struct mf_stream_reader *r, const struct show_stats *s,
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
    if (write_lengths(out, s, err) < 0) return -1;
    return show_domains_write(out, &s->domains, err);
}

struct show_stats *show_stats_new(void) {
    struct show_stats *s = calloc(1, sizeof *s);
    if (!s) mf_no_memory();
    return s;
}

void show_stats_free(struct show_stats *s) {
    for (size_t i = 0; i < s->count; i++) {
        free(s->fields[i].name);
        free(s->fields[i].lengths);
    }
    free(s->domains.items);
    free(s);
}
