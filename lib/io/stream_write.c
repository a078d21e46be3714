/* Writing streams: every byte goes to the output and into the hash; the trailer is written last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/stream_internal.h"

struct mf_stream_writer {
    struct mf_out *out;
    struct mf_err *err; /* of the call in progress, for the packer's callback */
    msgpack_packer packer;
    XXH64_state_t *hash;
    bool hashing;   /* all but the trailer */
    int open;       /* puts still to come */
    bool first;     /* the next put is the record's first */
    size_t size;    /* bytes of the current record so far */
    uint64_t count; /* records begun */
};

static int write_bytes(void *context, const char *bytes, size_t size) {
    struct mf_stream_writer *w = context;
    if (size > MF_RECORD_LIMIT - w->size)
        return mf_err_set(w->err, EX_DATAERR, "%s: record %llu would be larger than %zu bytes",
                          mf_out_name(w->out), (unsigned long long)w->count, MF_RECORD_LIMIT);
    w->size += size;
    if (w->hashing) XXH64_update(w->hash, bytes, size);
    return mf_out_write(w->out, bytes, size, w->err);
}

static int pack_string(struct mf_stream_writer *w, const char *bytes, size_t size) {
    if (msgpack_pack_str(&w->packer, size) < 0) return -1;
    return size ? msgpack_pack_str_body(&w->packer, bytes, size) : 0;
}

static int pack_map(struct mf_stream_writer *w, int n_fields, struct mf_err *err) {
    if (w->open != 0 || n_fields < 0 || n_fields > MF_RECORD_FIELDS) abort();
    w->err = err;
    w->size = 0;
    w->first = true;
    w->open = n_fields;
    return msgpack_pack_map(&w->packer, (size_t)n_fields);
}

/* Writes a field's name. The name of a record's first field tells a trailer from a record. */
static int pack_name(struct mf_stream_writer *w, const char *name, struct mf_err *err) {
    if (w->open <= 0 || (w->first && w->hashing && strcmp(name, "end") == 0)) abort();
    w->err = err;
    w->open--;
    w->first = false;
    return pack_string(w, name, strlen(name));
}

int mf_put_string(struct mf_stream_writer *w, const char *name, const char *bytes, size_t size,
                  struct mf_err *err) {
    if (pack_name(w, name, err) < 0) return -1;
    if (size > MF_RECORD_LIMIT) return write_bytes(w, bytes, size);
    return pack_string(w, bytes, size);
}

int mf_put_text(struct mf_stream_writer *w, const char *name, const char *text, struct mf_err *err) {
    return mf_put_string(w, name, text, strlen(text), err);
}

int mf_put_bin(struct mf_stream_writer *w, const char *name, const void *bytes, size_t size,
               struct mf_err *err) {
    if (pack_name(w, name, err) < 0) return -1;
    if (size > MF_RECORD_LIMIT) return write_bytes(w, bytes, size);
    if (msgpack_pack_bin(&w->packer, size) < 0) return -1;
    return size ? msgpack_pack_bin_body(&w->packer, bytes, size) : 0;
}

int mf_put_int(struct mf_stream_writer *w, const char *name, int64_t value, struct mf_err *err) {
    return pack_name(w, name, err) < 0 ? -1 : msgpack_pack_int64(&w->packer, value);
}

int mf_put_real(struct mf_stream_writer *w, const char *name, double value, struct mf_err *err) {
    return pack_name(w, name, err) < 0 ? -1 : msgpack_pack_double(&w->packer, value);
}

static struct mf_stream_writer *new_writer(struct mf_out *out) {
    struct mf_stream_writer *w = calloc(1, sizeof *w);
    if (!w) mf_no_memory();
    w->out = out;
    w->hash = XXH64_createState();
    if (!w->hash) mf_no_memory();
    XXH64_reset(w->hash, 0);
    w->hashing = true;
    msgpack_packer_init(&w->packer, w, write_bytes);
    return w;
}

int mf_stream_create_like(struct mf_stream_writer **writer, struct mf_out *out,
                          const struct mf_record *header, struct mf_err *err) {
    struct mf_stream_writer *w = new_writer(out);
    w->err = err;
    if (write_bytes(w, (const char *)header->raw.bytes, header->raw.used) < 0) {
        mf_stream_drop(w);
        return -1;
    }
    *writer = w;
    return 0;
}

int mf_stream_create(struct mf_stream_writer **writer, struct mf_out *out, const char *kind, int n_fields,
                     struct mf_err *err) {
    struct mf_stream_writer *w = new_writer(out);
    if (pack_map(w, n_fields + 2, err) < 0 || mf_put_text(w, "mf", kind, err) < 0 ||
        mf_put_int(w, "version", 1, err) < 0) {
        mf_stream_drop(w);
        return -1;
    }
    *writer = w;
    return 0;
}

int mf_stream_begin(struct mf_stream_writer *w, int n_fields, struct mf_err *err) {
    w->count++;
    return pack_map(w, n_fields, err);
}

int mf_stream_copy(struct mf_stream_writer *w, const struct mf_record *rec, struct mf_err *err) {
    if (w->open != 0) abort();
    w->err = err;
    w->size = 0;
    w->count++;
    return write_bytes(w, (const char *)rec->raw.bytes, rec->raw.used);
}

int mf_stream_finish(struct mf_stream_writer *w, struct mf_err *err) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)XXH64_digest(w->hash));
    w->hashing = false;
    int result = 0;
    if (pack_map(w, 2, err) < 0 || mf_put_int(w, "end", (int64_t)w->count, err) < 0 ||
        mf_put_text(w, "xxh64", hash, err) < 0)
        result = -1;
    mf_stream_drop(w);
    return result;
}

void mf_stream_drop(struct mf_stream_writer *writer) {
    if (!writer) return;
    XXH64_freeState(writer->hash);
    free(writer);
}

int mf_stream_end(struct mf_stream_writer *w, int status, struct mf_err *err) {
    if (status >= 0) return mf_stream_finish(w, err);
    mf_stream_drop(w);
    return -1;
}
