/* The fields of a record by name. */
#include <string.h>

#include "io/stream_internal.h"

/* The value called `name`; NULL when it is absent or nil. */
static const msgpack_object *find(const struct mf_record *rec, const char *name) {
    const msgpack_object_map *map = &rec->object.via.map;
    size_t n = strlen(name);
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_str *key = &map->ptr[i].key.via.str;
        if (key->size != n || memcmp(key->ptr, name, n) != 0) continue;
        return map->ptr[i].val.type == MSGPACK_OBJECT_NIL ? NULL : &map->ptr[i].val;
    }
    return NULL;
}

int mf_record_string(const struct mf_record *rec, const char *name, const char **bytes, size_t *size,
                     struct mf_err *err) {
    const msgpack_object *value = find(rec, name);
    if (!value) return 0;
    if (value->type != MSGPACK_OBJECT_STR)
        return mf_record_fail(rec, err, "field '%s' is not a string", name);
    *bytes = value->via.str.ptr;
    *size = value->via.str.size;
    return 1;
}

int mf_record_bin(const struct mf_record *rec, const char *name, const void **bytes, size_t *size,
                  struct mf_err *err) {
    const msgpack_object *value = find(rec, name);
    if (!value) return 0;
    if (value->type != MSGPACK_OBJECT_BIN) return mf_record_fail(rec, err, "field '%s' is not a bin", name);
    *bytes = value->via.bin.ptr;
    *size = value->via.bin.size;
    return 1;
}

int mf_record_int(const struct mf_record *rec, const char *name, int64_t *value, struct mf_err *err) {
    const msgpack_object *found = find(rec, name);
    if (!found) return 0;
    if (found->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *value = found->via.i64;
    else if (found->type == MSGPACK_OBJECT_POSITIVE_INTEGER && found->via.u64 <= INT64_MAX)
        *value = (int64_t)found->via.u64;
    else
        return mf_record_fail(rec, err, "field '%s' is not a 64-bit integer", name);
    return 1;
}

int mf_record_real(const struct mf_record *rec, const char *name, double *value, struct mf_err *err) {
    const msgpack_object *found = find(rec, name);
    if (!found) return 0;
    if (found->type == MSGPACK_OBJECT_FLOAT32 || found->type == MSGPACK_OBJECT_FLOAT64)
        *value = found->via.f64;
    else if (found->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        *value = (double)found->via.u64;
    else if (found->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *value = (double)found->via.i64;
    else
        return mf_record_fail(rec, err, "field '%s' is not a number", name);
    return 1;
}
