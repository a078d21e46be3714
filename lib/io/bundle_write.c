/* Writing bundles: hashes first, then a tar whose bytes depend on nothing but its contents. */
#include "io/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/bundle_internal.h"
#include "io/json_tensor.h"
#include "io/sha256.h"

/* What the archive's callback needs, and what is written. */
struct sink {
    struct mf_out *out;
    struct mf_err *err;
    bool failed; /* `err` holds the reason */
    const struct mf_tensor *tensors;
    const struct mf_bundle_source *source; /* NULL: the tensors have data */
    char (*hashes)[65];                    /* of the tensors */
};

static la_ssize_t write_block(struct archive *a, void *context, const void *bytes, size_t size) {
    struct sink *sink = context;
    if (mf_out_write(sink->out, bytes, size, sink->err) == 0) return (la_ssize_t)size;
    sink->failed = true;
    archive_set_error(a, EIO, "write failed");
    return -1;
}

static int fail(const struct sink *sink, struct archive *a) {
    if (sink->failed) return -1;
    return mf_err_set(sink->err, EX_IOERR, "%s: %s", mf_out_name(sink->out), archive_error_string(a));
}

void mf_bundle_member(const struct mf_tensor *t, char name[MF_MEMBER_NAME]) {
    static const char *const suffixes[] = {
        [MF_F32] = "f32", [MF_BF16] = "bf16", [MF_F16] = "f16", [MF_I64] = "i64"};
    snprintf(name, MF_MEMBER_NAME, "%s.%s", t->name, suffixes[t->dtype]);
}

/* --- the tensors' bytes --- */

/* The next bytes of tensor i. */
static int next_bytes(const struct sink *s, size_t i, uint64_t at, const void **bytes, size_t *size) {
    const struct mf_tensor *t = &s->tensors[i];
    if (s->source) return s->source->next(s->source->context, i, at, bytes, size, s->err);
    *bytes = (const unsigned char *)t->data + at;
    *size = mf_tensor_bytes(t) - at;
    return 0;
}

static int hash_tensor(const struct sink *s, size_t i) {
    const void *bytes;
    size_t n, total = mf_tensor_bytes(&s->tensors[i]);
    struct mf_sha256 *sha = mf_sha256_new();
    int status = 0;
    for (uint64_t at = 0; at < total && status == 0; at += n) {
        status = next_bytes(s, i, at, &bytes, &n);
        if (status == 0) mf_sha256_add(sha, bytes, n);
    }
    mf_sha256_end(sha, s->hashes[i]);
    return status;
}

/* --- the archive --- */

static int write_bytes(const struct sink *sink, struct archive *a, const void *bytes, size_t size) {
    const unsigned char *from = bytes;
    while (size > 0) {
        la_ssize_t n = archive_write_data(a, from, size);
        if (n <= 0) return fail(sink, a);
        from += n;
        size -= (size_t)n;
    }
    return 0;
}

/* No time, owner or user's mask: the same contents give the same bytes. */
static int begin_member(const struct sink *sink, struct archive *a, const char *name, size_t size) {
    struct archive_entry *entry = archive_entry_new();
    if (!entry) mf_no_memory();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    int result = archive_write_header(a, entry);
    archive_entry_free(entry);
    return result == ARCHIVE_OK ? 0 : fail(sink, a);
}

static int write_tensor(const struct sink *s, struct archive *a, size_t i) {
    const struct mf_tensor *t = &s->tensors[i];
    char name[MF_MEMBER_NAME], again[65];
    const void *bytes;
    size_t n, total = mf_tensor_bytes(t);
    struct mf_sha256 *sha = s->source ? mf_sha256_new() : NULL;
    mf_bundle_member(t, name);
    int status = begin_member(s, a, name, total);
    for (uint64_t at = 0; at < total && status == 0; at += n) {
        status = next_bytes(s, i, at, &bytes, &n);
        if (status == 0 && sha) mf_sha256_add(sha, bytes, n);
        if (status == 0) status = write_bytes(s, a, bytes, n);
    }
    if (!sha) return status;
    mf_sha256_end(sha, again);
    if (status < 0 || strcmp(again, s->hashes[i]) == 0) return status;
    return mf_err_set(s->err, EX_DATAERR, "%s: tensor %s changed while it was read", mf_out_name(s->out),
                      t->name);
}

/* --- the bundle --- */

/* The manifest: what it is, then the caller's fields, then the tensors in file order. */
static char *make_manifest(const struct sink *sink, const char *kind, const json_t *meta, size_t count) {
    const struct mf_tensor *tensors = sink->tensors;
    json_t *manifest =
               json_pack("{s:s, s:i, s:s}", "mf", "bundle", "version", MF_BUNDLE_VERSION, "kind", kind),
           *list = json_array();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)meta, key, value) {
        if (strcmp(key, "tensors") != 0 && !json_object_get(manifest, key))
            json_object_set(manifest, key, value);
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s}", "name", tensors[i].name, "dtype",
                                              mf_dtype_name(tensors[i].dtype), "shape",
                                              mf_tensor_shape_json(&tensors[i]), "sha256", sink->hashes[i]));
    json_object_set_new(manifest, "tensors", list);
    char *text = json_dumps(manifest, JSON_INDENT(1)); /* for people too: a line for each field */
    json_decref(manifest);
    return text;
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static int open_archive(const struct sink *sink, struct archive *a) {
    bool zstd = ends_in(mf_out_name(sink->out), ".zst");
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK) return fail(sink, a);
    if (zstd && archive_write_add_filter_zstd(a) != ARCHIVE_OK) return fail(sink, a);
    archive_write_set_bytes_per_block(a, 0);
    archive_write_set_bytes_in_last_block(a, 1); /* end with the two zero blocks, no padding to 10 KiB */
    if (archive_write_open(a, (void *)(uintptr_t)sink, NULL, write_block, NULL) != ARCHIVE_OK)
        return fail(sink, a);
    return 0;
}

static int write_archive(const struct sink *sink, const char *manifest, size_t count) {
    struct archive *a = archive_write_new();
    if (!a) mf_no_memory();
    int result = open_archive(sink, a);
    if (result == 0) result = begin_member(sink, a, MF_MANIFEST, strlen(manifest));
    if (result == 0) result = write_bytes(sink, a, manifest, strlen(manifest));
    for (size_t i = 0; i < count && result == 0; i++) result = write_tensor(sink, a, i);
    if (result == 0 && archive_write_close(a) != ARCHIVE_OK) result = fail(sink, a);
    if (result < 0) archive_write_fail(a);
    archive_write_free(a);
    return result;
}

int mf_bundle_write_from(struct mf_out *out, const char *kind, const json_t *meta,
                         const struct mf_tensor *tensors, size_t count, const struct mf_bundle_source *source,
                         struct mf_err *err) {
    struct sink sink = {.out = out, .err = err, .tensors = tensors, .source = source};
    int result = 0;
    sink.hashes = calloc(count + 1, sizeof *sink.hashes);
    if (!sink.hashes) mf_no_memory();
    for (size_t i = 0; i < count && result == 0; i++) result = hash_tensor(&sink, i);
    char *manifest = result == 0 ? make_manifest(&sink, kind, meta, count) : NULL;
    if (result == 0 && !manifest)
        result = mf_err_set(err, EX_DATAERR, "%s: the manifest is not valid UTF-8", mf_out_name(out));
    if (result == 0) result = write_archive(&sink, manifest, count);
    free(manifest);
    free(sink.hashes);
    return result;
}

int mf_bundle_write(struct mf_out *out, const char *kind, const json_t *meta, const struct mf_tensor *tensors,
                    size_t count, struct mf_err *err) {
    return mf_bundle_write_from(out, kind, meta, tensors, count, NULL, err);
}
