/* Opening a bundle: its manifest, which is checked against itself and the size of the file. */
#include "io/bundle_internal.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/json_tensor.h"

#define MANIFEST_LIMIT ((int64_t)16 << 20)
#define TENSOR_LIMIT   ((size_t)100000)

static int check_kind(struct mf_bundle *b, const char *kind, struct mf_err *err) {
    const char *mf = json_string_value(json_object_get(b->manifest, "mf"));
    const json_t *version = json_object_get(b->manifest, "version");
    if (!mf || strcmp(mf, "bundle") != 0)
        return mf_err_set(err, EX_DATAERR, "%s: not a bundle: manifest.json does not say \"mf\": \"bundle\"",
                          mf_bundle_name(b));
    if (!json_is_integer(version) || json_integer_value(version) != MF_BUNDLE_VERSION)
        return mf_err_set(err, EX_DATAERR, "%s: version %lld of the bundle format, this program knows %d",
                          mf_bundle_name(b), (long long)json_integer_value(version), MF_BUNDLE_VERSION);
    const char *found = json_string_value(json_object_get(b->manifest, "kind"));
    if (!found) return mf_err_set(err, EX_DATAERR, "%s: manifest.json names no kind", mf_bundle_name(b));
    if (kind && strcmp(kind, found) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: a bundle of kind '%s', not '%s'", mf_bundle_name(b), found,
                          kind);
    return 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_distinct(const struct mf_bundle *b, struct mf_err *err) {
    const char **names = calloc(b->count ? b->count : 1, sizeof *names);
    if (!names) mf_no_memory();
    for (size_t i = 0; i < b->count; i++) names[i] = b->tensors[i].name;
    qsort(names, b->count, sizeof *names, compare_names);
    int result = 0;
    for (size_t i = 1; i < b->count && result == 0; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            result = mf_err_set(err, EX_DATAERR, "%s: manifest.json has the tensor %s twice",
                                mf_bundle_name(b), names[i]);
    free(names);
    return result;
}

static int read_tensors(struct mf_bundle *b, struct mf_err *err) {
    const json_t *list = json_object_get(b->manifest, "tensors");
    if (!json_is_array(list))
        return mf_err_set(err, EX_DATAERR, "%s: manifest.json lists no tensors", mf_bundle_name(b));
    b->count = json_array_size(list);
    if (b->count > TENSOR_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: %zu tensors are too many", mf_bundle_name(b), b->count);
    b->tensors = calloc(b->count ? b->count : 1, sizeof *b->tensors);
    b->hashes = calloc(b->count ? b->count : 1, sizeof *b->hashes);
    if (!b->tensors || !b->hashes) mf_no_memory();
    uint64_t total = 0;
    for (size_t i = 0; i < b->count; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (mf_tensor_from_json(&b->tensors[i], name ? name : "", entry, mf_bundle_name(b), err) < 0)
            return -1;
        b->hashes[i] = json_string_value(json_object_get(entry, "sha256"));
        if (!mf_sha256_valid(b->hashes[i]))
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s: no sha256 of 64 hex digits", mf_bundle_name(b),
                              name);
        if (__builtin_add_overflow(total, mf_tensor_bytes(&b->tensors[i]), &total)) total = UINT64_MAX;
    }
    int64_t size = mf_in_size(b->in);
    if (size >= 0 && !b->compressed && total > (uint64_t)size)
        return mf_err_set(err, EX_DATAERR,
                          "%s: truncated bundle: its tensors have %llu bytes, the file has %lld",
                          mf_bundle_name(b), (unsigned long long)total, (long long)size);
    if (size >= 0 && mf_unpack_check(mf_bundle_name(b), (uint64_t)size, total, err) < 0) return -1;
    return check_distinct(b, err);
}

static int read_manifest(struct mf_bundle *b, struct mf_err *err) {
    const char *name;
    int64_t size;
    int result = bundle_next_member(b, &name, &size, err);
    if (result < 0) return -1;
    if (result == 0 || strcmp(name, MF_MANIFEST) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: not a bundle: the first member is not manifest.json",
                          mf_bundle_name(b));
    if (size < 0 || size > MANIFEST_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: a manifest of %lld bytes is too large", mf_bundle_name(b),
                          (long long)size);
    char *text = malloc((size_t)size + 1);
    if (!text) mf_no_memory();
    json_t *manifest = NULL;
    if (bundle_read_data(b, text, (size_t)size, err) == 0) {
        mf_sha256_of(text, (size_t)size, b->hash);
        manifest = mf_json_object(text, (size_t)size, mf_bundle_name(b), "manifest.json", err);
    }
    free(text);
    b->manifest = manifest;
    return manifest ? 0 : -1;
}

int mf_bundle_open_in(struct mf_bundle **bundle, struct mf_in *in, const char *kind, struct mf_err *err) {
    struct mf_bundle *b = calloc(1, sizeof *b);
    if (!b) mf_no_memory();
    b->in = in;
    if (bundle_open_archive(b, err) < 0 || read_manifest(b, err) < 0 || check_kind(b, kind, err) < 0 ||
        read_tensors(b, err) < 0) {
        mf_bundle_close(b);
        return -1;
    }
    *bundle = b;
    return 0;
}

int mf_bundle_open(struct mf_bundle **bundle, const char *path, const char *kind, struct mf_err *err) {
    struct mf_in *in;
    return mf_in_open(&in, path, err) < 0 ? -1 : mf_bundle_open_in(bundle, in, kind, err);
}

const char *mf_bundle_kind(const struct mf_bundle *b) {
    return json_string_value(json_object_get(b->manifest, "kind"));
}

const char *mf_bundle_name(const struct mf_bundle *b) {
    return mf_in_name(b->in);
}

const json_t *mf_bundle_meta(const struct mf_bundle *b) {
    return b->manifest;
}

const char *mf_bundle_hash(const struct mf_bundle *b) {
    return b->hash;
}

size_t mf_bundle_count(const struct mf_bundle *b) {
    return b->count;
}

const struct mf_tensor *mf_bundle_tensor(const struct mf_bundle *b, size_t i) {
    return &b->tensors[i];
}

bool mf_bundle_mappable(const struct mf_bundle *b) {
    return !b->compressed && mf_in_size(b->in) > 0;
}

void mf_bundle_close(struct mf_bundle *b) {
    if (!b) return;
    char unused[65];
    if (b->sha) mf_sha256_end(b->sha, unused);
    if (b->archive) archive_read_free(b->archive);
    mf_unpack_close(b->unpack);
    json_decref(b->manifest);
    free(b->tensors);
    free(b->hashes);
    mf_in_close(b->in);
    free(b);
}
