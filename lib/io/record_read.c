/* Finds the end of one msgpack object among bytes nobody vouches for, then decodes it. The walk comes first
 * because a decoder that meets a count allocates for it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/stream_internal.h"

void mf_record_init(struct mf_record *rec, const char *stream) {
    *rec = (struct mf_record){.stream = stream};
    if (!msgpack_zone_init(&rec->zone, 4096)) mf_no_memory();
}

void mf_record_clear(struct mf_record *rec) {
    msgpack_zone_destroy(&rec->zone);
    free(rec->raw.bytes);
    rec->raw = (struct mf_buffer){0};
}

int mf_record_fail(const struct mf_record *rec, struct mf_err *err, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (rec->number == 0) return mf_err_set(err, EX_DATAERR, "%s: header: %s", rec->stream, text);
    return mf_err_set(err, EX_DATAERR, "%s: record %llu at byte %llu: %s", rec->stream,
                      (unsigned long long)rec->number, (unsigned long long)rec->offset, text);
}

/* Appends `size` bytes of the input. The buffer grows as they arrive, at most to twice their number. */
static int receive(struct mf_record *rec, struct mf_in *in, uint64_t size, struct mf_err *err) {
    struct mf_buffer *b = &rec->raw;
    if (size > MF_RECORD_LIMIT - b->used)
        return mf_record_fail(rec, err, "a record of more than %zu bytes", MF_RECORD_LIMIT);
    while (size > 0) {
        if (b->used == b->capacity) {
            size_t capacity = b->capacity ? 2 * b->capacity : 4096;
            unsigned char *bytes = realloc(b->bytes, capacity);
            if (!bytes)
                return mf_err_set(err, EX_OSERR, "%s: no memory for %zu bytes", rec->stream, capacity);
            b->bytes = bytes;
            b->capacity = capacity;
        }
        size_t part = b->capacity - b->used < size ? b->capacity - b->used : (size_t)size;
        int64_t n = mf_in_read(in, b->bytes + b->used, part, err);
        if (n < 0) return -1;
        b->used += (size_t)n;
        if ((size_t)n < part) return mf_record_fail(rec, err, "the input ends inside it (truncated)");
        size -= part;
    }
    return 0;
}

/* A number of `size` bytes, most significant first. */
static int receive_number(struct mf_record *rec, struct mf_in *in, int size, uint64_t *value,
                          struct mf_err *err) {
    if (receive(rec, in, (uint64_t)size, err) < 0) return -1;
    *value = 0;
    for (int i = 0; i < size; i++)
        *value = *value << 8 | rec->raw.bytes[rec->raw.used - (size_t)size + (size_t)i];
    return 0;
}

/* The rest of a value whose size or number of values follows its first byte, in 1, 2 or 4 bytes. */
static int receive_counted(struct mf_record *rec, struct mf_in *in, unsigned first, uint64_t *inner,
                           struct mf_err *err) {
    uint64_t count;
    int width = first >= 0xde   ? 2 << (first - 0xde)  /* map 16, 32 */
                : first >= 0xdc ? 2 << (first - 0xdc)  /* array 16, 32 */
                : first >= 0xd9 ? 1 << (first - 0xd9)  /* str 8, 16, 32 */
                                : 1 << (first - 0xc4); /* bin 8, 16, 32 */
    if (receive_number(rec, in, width, &count, err) < 0) return -1;
    if (first < 0xdc) return receive(rec, in, count, err);
    *inner = first < 0xde ? count : 2 * count;
    return 0;
}

/* Reads the head of one value: its own payload is read too, and `inner` becomes the number of values inside
 * it. */
static int receive_value(struct mf_record *rec, struct mf_in *in, uint64_t *inner, struct mf_err *err) {
    uint64_t first;
    *inner = 0;
    if (receive_number(rec, in, 1, &first, err) < 0) return -1;
    unsigned c = (unsigned)first;
    if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3)
        return 0;                                        /* small ints, nil, booleans */
    if (c <= 0x8f) return *inner = 2 * (first & 15), 0;  /* fixmap */
    if (c <= 0x9f) return *inner = c & 15, 0;            /* fixarray */
    if (c <= 0xbf) return receive(rec, in, c & 31, err); /* fixstr */
    if ((c >= 0xc4 && c <= 0xc6) || c >= 0xd9) return receive_counted(rec, in, c, inner, err);
    if (c == 0xca || c == 0xcb) return receive(rec, in, c == 0xca ? 4 : 8, err); /* float 32, 64 */
    if (c >= 0xcc && c <= 0xd3)                                                  /* uint, int 8 .. 64 */
        return receive(rec, in, UINT64_C(1) << (c & 3), err);
    /* extensions: no format of ours has any */
    return mf_record_fail(rec, err, "byte 0x%02x begins no value that a stream may hold", c);
}

/* Walks the whole object without recursion: `left[d]` values are still to come at depth d. */
static int receive_object(struct mf_record *rec, struct mf_in *in, struct mf_err *err) {
    uint64_t left[MF_RECORD_DEPTH + 1] = {1};
    int depth = 0;
    size_t nodes = 0;
    while (depth >= 0) {
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        uint64_t inner;
        if (receive_value(rec, in, &inner, err) < 0) return -1;
        if (++nodes > MF_RECORD_NODES || inner > MF_RECORD_NODES)
            return mf_record_fail(rec, err, "more than %zu values", MF_RECORD_NODES);
        if (inner == 0) continue;
        if (depth == MF_RECORD_DEPTH)
            return mf_record_fail(rec, err, "more than %d levels of nesting", MF_RECORD_DEPTH);
        left[++depth] = inner;
    }
    return 0;
}

static int check_keys(const struct mf_record *rec, struct mf_err *err) {
    const msgpack_object_map *map = &rec->object.via.map;
    if (map->size > MF_RECORD_FIELDS)
        return mf_record_fail(rec, err, "more than %d fields", MF_RECORD_FIELDS);
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR)
            return mf_record_fail(rec, err, "a field's name is not a string");
        for (uint32_t j = 0; j < i; j++) {
            const msgpack_object *other = &map->ptr[j].key;
            if (other->via.str.size != key->via.str.size) continue;
            if (memcmp(other->via.str.ptr, key->via.str.ptr, key->via.str.size) != 0) continue;
            int shown = key->via.str.size < 64 ? (int)key->via.str.size : 64;
            return mf_record_fail(rec, err, "the field '%.*s' is there twice", shown, key->via.str.ptr);
        }
    }
    return 0;
}

/* msgpack-c has no bytes for what is empty; memcmp and memcpy want some. */
static void point_empty(msgpack_object *o) {
    if (o->type == MSGPACK_OBJECT_STR && o->via.str.size == 0) o->via.str.ptr = "";
    if (o->type == MSGPACK_OBJECT_BIN && o->via.bin.size == 0) o->via.bin.ptr = "";
    for (uint32_t i = 0; o->type == MSGPACK_OBJECT_ARRAY && i < o->via.array.size; i++)
        point_empty(&o->via.array.ptr[i]);
    for (uint32_t i = 0; o->type == MSGPACK_OBJECT_MAP && i < o->via.map.size; i++) {
        point_empty(&o->via.map.ptr[i].key);
        point_empty(&o->via.map.ptr[i].val);
    }
}

int mf_record_read(struct mf_record *rec, struct mf_in *in, struct mf_err *err) {
    const unsigned char *next;
    rec->offset = mf_in_offset(in);
    rec->raw.used = 0;
    msgpack_zone_clear(&rec->zone);
    int64_t n = mf_in_peek(in, &next, 1, err);
    if (n <= 0) return (int)n;
    bool map = (*next & 0xf0) == 0x80 || *next == 0xde || *next == 0xdf;
    if (!map) return mf_record_fail(rec, err, "byte 0x%02x does not begin a map", *next);
    if (receive_object(rec, in, err) < 0) return -1;
    size_t end = 0;
    msgpack_unpack_return result =
        msgpack_unpack((const char *)rec->raw.bytes, rec->raw.used, &end, &rec->zone, &rec->object);
    if (result == MSGPACK_UNPACK_NOMEM_ERROR) return mf_err_set(err, EX_OSERR, "%s: no memory", rec->stream);
    if (result != MSGPACK_UNPACK_SUCCESS || end != rec->raw.used)
        return mf_record_fail(rec, err, "not valid msgpack");
    point_empty(&rec->object);
    if (check_keys(rec, err) < 0) return -1;
    return 1;
}
