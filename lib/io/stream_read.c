/* Reading streams: header, records one at a time, trailer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/stream_internal.h"

struct mf_stream_reader {
    struct mf_in *in;
    char kind[64];
    bool ended; /* the trailer was read */
    bool open;  /* followed: a missing trailer is an end */
    struct mf_record header, record;
    uint64_t count;
    XXH64_state_t *hash; /* of all bytes before the trailer */
};

static bool is_text(const msgpack_object *o, const char *text) {
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
           memcmp(o->via.str.ptr, text, o->via.str.size) == 0;
}

/* A header begins {"mf": KIND, "version": 1, ...}. */
static int check_header(struct mf_stream_reader *r, const char *kind, struct mf_err *err) {
    const char *name = mf_in_name(r->in);
    const msgpack_object_map *map = &r->header.object.via.map;
    if (map->size < 2 || !is_text(&map->ptr[0].key, "mf") || !is_text(&map->ptr[1].key, "version"))
        return mf_err_set(err, EX_DATAERR,
                          "%s: not a stream (its first map does not begin with mf and version)", name);
    const msgpack_object_str *found = &map->ptr[0].val.via.str;
    if (map->ptr[0].val.type != MSGPACK_OBJECT_STR || found->size == 0 || found->size >= sizeof r->kind ||
        memchr(found->ptr, 0, found->size))
        return mf_err_set(err, EX_DATAERR, "%s: header: field 'mf' does not name a kind", name);
    memcpy(r->kind, found->ptr, found->size);
    int64_t version = 0;
    if (mf_record_int(&r->header, "version", &version, err) < 0) return -1;
    if (version != 1)
        return mf_err_set(err, EX_DATAERR, "%s: version %lld of the stream format, this program knows 1",
                          name, (long long)version);
    if (kind && strcmp(kind, r->kind) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: a stream of kind '%s', not '%s'", name, r->kind, kind);
    if (strcmp(r->kind, "tokens") != 0) return 0;
    int64_t width = 2;
    if (mf_record_int(&r->header, "width", &width, err) < 0) return -1;
    if (width != 2 && width != 4)
        return mf_err_set(err, EX_DATAERR, "%s: header: width is %lld, not 2 or 4", name, (long long)width);
    r->record.token_width = (int)width;
    return 0;
}

/* Where the first key of a map begins, behind the map's size; 0 when it is no map. */
static size_t map_head(unsigned char first) {
    return first == 0xde ? 3 : first == 0xdf ? 5 : (first & 0xf0) == 0x80 ? 1 : 0;
}

bool mf_stream_begins(const unsigned char *bytes, size_t n) {
    static const struct {
        const char *bytes;
        size_t size;
    } keys[] = {{"\xa2mf", 3}, {"\xd9\2mf", 4}, {"\xda\0\2mf", 5}, {"\xdb\0\0\0\2mf", 7}};
    size_t at = n ? map_head(*bytes) : 0;
    for (size_t i = 0; at && i < sizeof keys / sizeof *keys; i++)
        if (n >= at + keys[i].size && memcmp(bytes + at, keys[i].bytes, keys[i].size) == 0) return true;
    return false;
}

static int read_header(struct mf_stream_reader *r, const char *kind, struct mf_err *err) {
    const unsigned char *first;
    int64_t n = mf_in_peek(r->in, &first, 6, err);
    if (n < 0) return -1;
    if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: empty, not a stream", mf_in_name(r->in));
    size_t at = map_head(*first); /* behind it a short string, or one with its length in 1, 2 or 4 bytes */
    if (at == 0 || ((size_t)n > at && first[at] != 0xa2 && (first[at] < 0xd9 || first[at] > 0xdb)))
        return mf_err_set(err, EX_DATAERR, "%s: not a stream", mf_in_name(r->in));
    if (mf_record_read(&r->header, r->in, err) <= 0) return -1;
    XXH64_update(r->hash, r->header.raw.bytes, r->header.raw.used);
    return check_header(r, kind, err);
}

int mf_stream_open_in(struct mf_stream_reader **reader, struct mf_in *in, const char *kind, bool follow,
                      struct mf_err *err) {
    struct mf_stream_reader *r = calloc(1, sizeof *r);
    if (!r) mf_no_memory();
    r->in = in;
    r->hash = XXH64_createState();
    if (!r->hash) mf_no_memory();
    XXH64_reset(r->hash, 0);
    mf_record_init(&r->header, mf_in_name(in));
    mf_record_init(&r->record, mf_in_name(in));
    r->open = follow;
    if (follow) mf_in_follow(in);
    if (read_header(r, kind, err) < 0) {
        mf_stream_close(r);
        return -1;
    }
    *reader = r;
    return 0;
}

int mf_stream_open(struct mf_stream_reader **reader, const char *path, const char *kind, struct mf_err *err) {
    struct mf_in *in;
    return mf_in_open(&in, path, err) < 0 ? -1 : mf_stream_open_in(reader, in, kind, false, err);
}

const char *mf_stream_kind(const struct mf_stream_reader *reader) {
    return reader->kind;
}

const char *mf_stream_name(const struct mf_stream_reader *reader) {
    return mf_in_name(reader->in);
}

int64_t mf_stream_size(const struct mf_stream_reader *reader) {
    return mf_in_size(reader->in);
}

const struct mf_record *mf_stream_header(const struct mf_stream_reader *reader) {
    return &reader->header;
}

bool mf_record_same(const struct mf_record *a, const struct mf_record *b) {
    return a->raw.used == b->raw.used && memcmp(a->raw.bytes, b->raw.bytes, a->raw.used) == 0;
}

uint64_t mf_stream_count(const struct mf_stream_reader *reader) {
    return reader->count;
}

/* The trailer's number and hash must be ours, and nothing may follow it. */
static int check_trailer(struct mf_stream_reader *r, struct mf_err *err) {
    const char *name = mf_in_name(r->in), *hash = NULL;
    char ours[17];
    int64_t end = -1;
    size_t n = 0;
    if (mf_record_int(&r->record, "end", &end, err) < 0) return -1;
    if (end < 0 || (uint64_t)end != r->count)
        return mf_err_set(err, EX_DATAERR, "%s: the trailer promises %lld records, there are %llu", name,
                          (long long)end, (unsigned long long)r->count);
    snprintf(ours, sizeof ours, "%016llx", (unsigned long long)XXH64_digest(r->hash));
    int there = mf_record_string(&r->record, "xxh64", &hash, &n, err);
    if (there < 0) return -1;
    if (!there || n != 16 || memcmp(hash, ours, 16) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: the bytes do not match the trailer's xxh64 (damaged)", name);
    if (r->open) return r->ended = true, 0; /* to look further would wait for ever */
    const unsigned char *next;
    int64_t more = mf_in_peek(r->in, &next, 1, err);
    if (more < 0) return -1;
    if (more > 0)
        return mf_err_set(err, EX_DATAERR, "%s: more data after the trailer, at byte %llu", name,
                          (unsigned long long)mf_in_offset(r->in));
    r->ended = true;
    return 0;
}

int mf_stream_next(struct mf_stream_reader *r, const struct mf_record **rec, struct mf_err *err) {
    if (r->ended) return 0;
    r->record.number = r->count + 1;
    int result = mf_record_read(&r->record, r->in, err);
    if (result < 0) return -1;
    if (result == 0 && r->open) return r->ended = true, 0;
    if (result == 0)
        return mf_err_set(
            err, EX_DATAERR, "%s: ends without its trailer after record %llu, at byte %llu (truncated)",
            mf_in_name(r->in), (unsigned long long)r->count, (unsigned long long)mf_in_offset(r->in));
    const msgpack_object_map *map = &r->record.object.via.map;
    if (map->size > 0 && is_text(&map->ptr[0].key, "end")) return check_trailer(r, err);
    XXH64_update(r->hash, r->record.raw.bytes, r->record.raw.used);
    r->count++;
    *rec = &r->record;
    return 1;
}

void mf_stream_close(struct mf_stream_reader *reader) {
    if (!reader) return;
    mf_record_clear(&reader->header);
    mf_record_clear(&reader->record);
    XXH64_freeState(reader->hash);
    mf_in_close(reader->in);
    free(reader);
}
