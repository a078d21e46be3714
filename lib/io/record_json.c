/* A record as a line of JSON for people. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "io/stream_internal.h"
#include "io/utf8.h"

static void write_string(FILE *f, const char *bytes, size_t size) {
    const unsigned char *s = (const unsigned char *)bytes;
    fputc('"', f);
    for (size_t i = 0; i < size;) {
        bool valid;
        size_t n = mf_utf8_step(s + i, size - i, &valid);
        if (s[i] == '"' || s[i] == '\\')
            fprintf(f, "\\%c", s[i]);
        else if (s[i] == '\n')
            fputs("\\n", f);
        else if (s[i] == '\t')
            fputs("\\t", f);
        else if (s[i] < 0x20 || s[i] == 0x7f)
            fprintf(f, "\\u%04x", s[i]);
        else if (!valid)
            fputs("\xef\xbf\xbd", f);
        else if (s[i] == 0xc2 && s[i + 1] < 0xa0)
            fprintf(f, "\\u%04x", s[i + 1]); /* C1 controls */
        else
            fwrite(s + i, 1, n, f);
        i += valid ? n : 1;
    }
    fputc('"', f);
}

/* JSON has no NaN and no infinity: those become strings. */
static void write_real(FILE *f, double value, bool float32) {
    char text[MF_REAL_TEXT];
    if (!isfinite(value)) {
        fputs(isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"", f);
        return;
    }
    mf_real_text(text, value, float32);
    fputs(text, f);
}

static void write_tokens(FILE *f, const msgpack_object_bin *bin, size_t width) {
    const unsigned char *b = (const unsigned char *)bin->ptr;
    fputc('[', f);
    for (size_t i = 0; i + width <= bin->size; i += width) {
        unsigned long token = 0;
        for (size_t k = width; k-- > 0;) token = token << 8 | b[i + k];
        fprintf(f, "%s%lu", i ? "," : "", token);
    }
    fputc(']', f);
}

static void write_value(FILE *f, const msgpack_object *o);

static void write_array(FILE *f, const msgpack_object_array *array) {
    fputc('[', f);
    for (uint32_t i = 0; i < array->size; i++) {
        if (i) fputc(',', f);
        write_value(f, &array->ptr[i]);
    }
    fputc(']', f);
}

static void write_map(FILE *f, const msgpack_object_map *map) {
    fputc('{', f);
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (i) fputc(',', f);
        if (key->type == MSGPACK_OBJECT_STR)
            write_string(f, key->via.str.ptr, key->via.str.size);
        else
            fputs("\"?\"", f);
        fputc(':', f);
        write_value(f, &map->ptr[i].val);
    }
    fputc('}', f);
}

/* Recursion is bounded: records are at most MF_RECORD_DEPTH deep. */
static void write_value(FILE *f, const msgpack_object *o) {
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        fputs("null", f);
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        fputs(o->via.boolean ? "true" : "false", f);
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        fprintf(f, "%llu", (unsigned long long)o->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        fprintf(f, "%lld", (long long)o->via.i64);
        return;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        write_real(f, o->via.f64, o->type == MSGPACK_OBJECT_FLOAT32);
        return;
    case MSGPACK_OBJECT_STR:
        write_string(f, o->via.str.ptr, o->via.str.size);
        return;
    case MSGPACK_OBJECT_BIN:
        fprintf(f, "{\"bin\":%u}", o->via.bin.size);
        return;
    case MSGPACK_OBJECT_EXT:
        fprintf(f, "{\"ext\":%u}", o->via.ext.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
        write_array(f, &o->via.array);
        return;
    case MSGPACK_OBJECT_MAP:
        write_map(f, &o->via.map);
        return;
    }
}

static bool holds_tokens(const struct mf_record *rec, const msgpack_object_kv *field) {
    const msgpack_object_str *key = &field->key.via.str;
    return rec->token_width && rec->number && field->val.type == MSGPACK_OBJECT_BIN && key->size == 6 &&
           memcmp(key->ptr, "tokens", 6) == 0;
}

char *mf_record_json(const struct mf_record *rec, struct mf_err *err) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f) return mf_err_sys(err, EX_OSERR, "%s", rec->stream), NULL;
    fputc('{', f);
    for (uint32_t i = 0; i < rec->object.via.map.size; i++) {
        const msgpack_object_kv *field = &rec->object.via.map.ptr[i];
        if (i) fputc(',', f);
        write_string(f, field->key.via.str.ptr, field->key.via.str.size);
        fputc(':', f);
        if (holds_tokens(rec, field))
            write_tokens(f, &field->val.via.bin, (size_t)rec->token_width);
        else
            write_value(f, &field->val);
    }
    fputc('}', f);
    int failed = ferror(f);
    if (fclose(f) == 0 && !failed) return text;
    free(text);
    return mf_err_set(err, EX_OSERR, "%s: no memory for a record's text", rec->stream), NULL;
}
