/* Shards: what reading met, written and read again. */
#include "text/shard.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/minhash.h"

#define SIGNATURE (MF_MINHASHES * sizeof(uint32_t))

static const char *const reasons[MF_DOCS_LEFT] = {[MF_DOCS_NO_TEXT] = "no text", [MF_DOCS_OWN] = "own"};

/* --- writing --- */

int mf_shard_create(struct mf_stream_writer **writer, struct mf_out *out, const struct mf_docs_shard *shard,
                    struct mf_err *err) {
    char files[17];
    snprintf(files, sizeof files, "%016" PRIx64, shard->files);
    if (mf_stream_create(writer, out, "shard", 4, err) < 0) return -1;
    if (mf_put_int(*writer, "number", (int64_t)shard->number, err) == 0 &&
        mf_put_int(*writer, "count", (int64_t)shard->count, err) == 0 &&
        mf_put_int(*writer, "bytes", (int64_t)shard->bytes, err) == 0 &&
        mf_put_text(*writer, "files", files, err) == 0)
        return 0;
    mf_stream_drop(*writer);
    return -1;
}

static int put_signature(struct mf_stream_writer *w, const uint32_t *signature, struct mf_err *err) {
    uint32_t bytes[MF_MINHASHES];
    for (size_t i = 0; i < MF_MINHASHES; i++) bytes[i] = htole32(signature[i]);
    return mf_put_bin(w, "signature", bytes, SIGNATURE, err);
}

int mf_shard_put_doc(struct mf_stream_writer *w, const struct mf_doc *doc, struct mf_err *err) {
    if (mf_stream_begin(w, 2 + (doc->domain != NULL) + (doc->signature != NULL), err) < 0) return -1;
    if (mf_doc_put_fields(w, doc, err) < 0) return -1;
    return doc->signature ? put_signature(w, doc->signature, err) : 0;
}

int mf_shard_put_left(struct mf_stream_writer *w, enum mf_docs_left why, const char *name,
                      struct mf_err *err) {
    if (mf_stream_begin(w, 2, err) < 0 || mf_put_text(w, "left", name, err) < 0) return -1;
    return mf_put_text(w, "why", reasons[why], err);
}

int mf_shard_put_bad(struct mf_stream_writer *w, const char *why, struct mf_err *err) {
    return mf_stream_begin(w, 1, err) < 0 ? -1 : mf_put_text(w, "bad", why, err);
}

/* --- the shards of one input --- */

/* What a shard's header says. */
struct header {
    const char *path;
    int64_t number, count, bytes;
    char files[17];
};

static int header_of(struct mf_stream_reader *r, struct header *h, struct mf_err *err) {
    const struct mf_record *header = mf_stream_header(r);
    const char *files;
    size_t size;
    int there[] = {mf_record_int(header, "number", &h->number, err),
                   mf_record_int(header, "count", &h->count, err),
                   mf_record_int(header, "bytes", &h->bytes, err),
                   mf_record_string(header, "files", &files, &size, err)};
    for (size_t i = 0; i < 4; i++)
        if (there[i] < 0) return -1;
    if (!there[0] || !there[1] || !there[2] || !there[3] || size != 16 || h->number < 0 ||
        h->number >= h->count)
        return mf_err_set(err, EX_DATAERR, "%s: its header does not say which shard it is of how many",
                          h->path);
    memcpy(h->files, files, 16);
    h->files[16] = 0;
    return 0;
}

static int read_header(const char *path, struct header *h, struct mf_err *err) {
    struct mf_stream_reader *r;
    *h = (struct header){.path = path};
    if (mf_stream_open(&r, path, "shard", err) < 0) return -1;
    int status = header_of(r, h, err);
    mf_stream_close(r);
    return status;
}

static int by_number(const void *a, const void *b) {
    const struct header *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int check(const struct header *headers, size_t n, struct mf_err *err) {
    const struct header *first = &headers[0];
    for (size_t i = 0; i < n; i++) {
        const struct header *h = &headers[i];
        if (h->count != first->count || h->bytes != first->bytes || strcmp(h->files, first->files) != 0)
            return mf_err_set(err, EX_DATAERR, "%s: of another input, or of it before it changed, than %s",
                              h->path, first->path);
        if (h->number < (int64_t)i)
            return mf_err_set(err, EX_DATAERR, "%s: shard %lld of %lld is there twice", h->path,
                              (long long)h->number, (long long)h->count);
        if (h->number > (int64_t)i)
            return mf_err_set(err, EX_DATAERR, "shard %zu of %lld is missing", i, (long long)h->count);
    }
    if ((int64_t)n < first->count)
        return mf_err_set(err, EX_DATAERR, "shard %zu of %lld is missing", n, (long long)first->count);
    return 0;
}

int mf_shards_order(struct mf_strs *paths, struct mf_err *err) {
    struct header *headers = calloc(paths->count + 1, sizeof *headers);
    int status = 0;
    if (!headers) mf_no_memory();
    for (size_t i = 0; i < paths->count && status == 0; i++)
        status = read_header(paths->items[i], &headers[i], err);
    if (status == 0) {
        qsort(headers, paths->count, sizeof *headers, by_number);
        status = check(headers, paths->count, err);
    }
    for (size_t i = 0; i < paths->count && status == 0; i++) paths->items[i] = headers[i].path;
    free(headers);
    return status;
}

/* --- reading --- */

static int fail(struct mf_stream_reader *r, const char *what, struct mf_err *err) {
    return mf_err_set(err, EX_DATAERR, "%s: record %llu %s", mf_stream_name(r),
                      (unsigned long long)mf_stream_count(r), what);
}

static int tell_doc(struct mf_stream_reader *r, const struct mf_record *record,
                    const struct mf_docs_options *o, struct mf_err *err) {
    uint32_t signature[MF_MINHASHES];
    const void *bytes;
    struct mf_doc doc;
    size_t size;
    if (mf_doc_of(r, record, &doc, err) < 0) return -1;
    int there = mf_record_bin(record, "signature", &bytes, &size, err);
    if (there < 0) return -1;
    if (there && size != SIGNATURE) return fail(r, "has a signature of another size", err);
    if (there) memcpy(signature, bytes, SIGNATURE);
    for (size_t i = 0; there && i < MF_MINHASHES; i++) signature[i] = le32toh(signature[i]);
    doc.signature = there ? signature : NULL;
    return o->take(o->context, &doc, err);
}

static int tell_left(struct mf_stream_reader *r, const struct mf_record *record, const char *name,
                     size_t size, const struct mf_docs_options *o, struct mf_err *err) {
    const char *text;
    size_t n;
    int there = mf_record_string(record, "why", &text, &n, err);
    if (there < 0) return -1;
    for (int why = 0; there && why < MF_DOCS_LEFT; why++) {
        if (n != strlen(reasons[why]) || memcmp(text, reasons[why], n) != 0) continue;
        char *path = mf_format("%.*s", (int)size, name);
        if (o->left) o->left(o->context, (enum mf_docs_left)why, path);
        free(path);
        return 0;
    }
    return fail(r, "does not say why a file was left out", err);
}

static int tell_bad(const char *why, size_t size, const struct mf_docs_options *o, struct mf_err *err) {
    mf_err_set(err, EX_DATAERR, "%.*s", (int)size, why);
    return o->bad && o->bad(o->context, err) ? 0 : -1;
}

static int tell(struct mf_stream_reader *r, const struct mf_record *record, const struct mf_docs_options *o,
                struct mf_err *err) {
    const char *text;
    size_t size;
    int there = mf_record_string(record, "left", &text, &size, err);
    if (there < 0) return -1;
    if (there) return tell_left(r, record, text, size, o, err);
    there = mf_record_string(record, "bad", &text, &size, err);
    if (there < 0) return -1;
    return there ? tell_bad(text, size, o, err) : tell_doc(r, record, o, err);
}

int mf_shard_read(const char *path, const struct mf_docs_options *o, struct mf_err *err) {
    struct mf_stream_reader *r;
    const struct mf_record *record;
    if (mf_stream_open(&r, path, "shard", err) < 0) return -1;
    int more = 0, status = 0;
    while (status == 0 && (more = mf_stream_next(r, &record, err)) > 0) status = tell(r, record, o, err);
    mf_stream_close(r);
    return more < 0 ? -1 : status;
}
