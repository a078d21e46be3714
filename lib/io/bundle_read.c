/* Reading bundles in one pass. The archive's claims are checked against the manifest, the manifest's against
 * the bytes. */
#include "io/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/bundle_internal.h"
#include "io/json_tensor.h"
#include "io/sha256.h"
#include "io/unpack.h"

#define MANIFEST_LIMIT ((int64_t)16 << 20)
#define TENSOR_LIMIT   ((size_t)100000)
#define BLOCK          ((size_t)64 << 10)

struct mf_bundle {
    struct mf_in *in;
    struct mf_unpack *unpack; /* reads `in` */
    struct archive *archive;  /* reads `unpack` */
    struct mf_err *err;       /* of the call in progress, for the archive's callback */
    bool failed;              /* reading the input failed and `err` holds the reason */
    bool compressed;
    bool ended;         /* all was there */
    uint64_t packed;    /* bytes read of the input */
    uint64_t unpacked;  /* bytes of the tar */
    uint64_t last_byte; /* one past the last byte of the tar that is not zero */
    json_t *manifest;
    char hash[65]; /* of the manifest's bytes */
    struct mf_tensor *tensors;
    const char **hashes; /* promised SHA-256 of each tensor, in the manifest */
    size_t count;
    size_t next;           /* tensors already begun */
    uint64_t left;         /* unread bytes of the current tensor */
    struct mf_sha256 *sha; /* over the current tensor; NULL when it is checked */
    unsigned char block[BLOCK];
};

static const char *name_of(const struct mf_bundle *b) {
    return mf_in_name(b->in);
}

/* --- the archive --- */

static int64_t read_input(void *context, void *buffer, size_t size, struct mf_err *err) {
    struct mf_bundle *b = context;
    int64_t n = mf_in_read(b->in, buffer, size, err);
    b->packed = mf_in_offset(b->in);
    return n;
}

static la_ssize_t read_block(struct archive *a, void *context, const void **bytes) {
    struct mf_bundle *b = context;
    int64_t n = mf_unpack_read(b->unpack, b->block, BLOCK, b->err);
    if (n < 0) {
        b->failed = true;
        archive_set_error(a, EIO, "read failed");
        return -1;
    }
    for (int64_t i = n; i > 0; i--) {
        if (b->block[i - 1] == 0) continue;
        b->last_byte = b->unpacked + (uint64_t)i;
        break;
    }
    b->unpacked += (uint64_t)n;
    *bytes = b->block;
    return (la_ssize_t)n;
}

static int archive_fail(const struct mf_bundle *b, struct mf_err *err) {
    if (b->failed) return -1;
    const char *why = archive_error_string(b->archive);
    return mf_err_set(err, EX_DATAERR, "%s: damaged or truncated bundle: %s", name_of(b),
                      why ? why : "bad tar");
}

/* The next member: 1 with a plain file's name and size, 0 at the end, -1. */
static int next_member(struct mf_bundle *b, const char **name, int64_t *size, struct mf_err *err) {
    struct archive_entry *entry;
    b->err = err;
    int result = archive_read_next_header(b->archive, &entry);
    if (result == ARCHIVE_EOF) return 0;
    if (result != ARCHIVE_OK) return archive_fail(b, err);
    *name = archive_entry_pathname(entry);
    if (!*name) return mf_err_set(err, EX_DATAERR, "%s: a member without a name", name_of(b));
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
        archive_entry_symlink(entry) || archive_entry_sparse_count(entry) > 0 ||
        !archive_entry_size_is_set(entry))
        return mf_err_set(err, EX_DATAERR, "%s: member '%s' is not a plain file", name_of(b), *name);
    *size = archive_entry_size(entry);
    return 1;
}

static int read_data(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err) {
    unsigned char *to = buffer;
    b->err = err;
    while (size > 0) {
        la_ssize_t n = archive_read_data(b->archive, to, size);
        if (n < 0) return archive_fail(b, err);
        if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: truncated bundle", name_of(b));
        to += n;
        size -= (size_t)n;
    }
    return 0;
}

/* libarchive takes the end of the input for the end of a tar; we want the two zero blocks, and nothing but
 * zeros after the last member. */
static int check_end(struct mf_bundle *b, struct mf_err *err) {
    b->ended = true;
    uint64_t end = (uint64_t)archive_read_header_position(b->archive);
    b->err = err;
    const void *bytes;
    la_ssize_t n;
    do n = read_block(b->archive, b, &bytes);
    while (n > 0);
    if (n < 0) return -1;
    if (b->last_byte > end)
        return mf_err_set(err, EX_DATAERR, "%s: more data after the last tensor", name_of(b));
    if (b->unpacked < end + 1024)
        return mf_err_set(err, EX_DATAERR, "%s: truncated bundle: the end of the tar is missing", name_of(b));
    return 0;
}

/* --- the manifest --- */

static int check_kind(struct mf_bundle *b, const char *kind, struct mf_err *err) {
    const char *mf = json_string_value(json_object_get(b->manifest, "mf"));
    const json_t *version = json_object_get(b->manifest, "version");
    if (!mf || strcmp(mf, "bundle") != 0)
        return mf_err_set(err, EX_DATAERR, "%s: not a bundle: manifest.json does not say \"mf\": \"bundle\"",
                          name_of(b));
    if (!json_is_integer(version) || json_integer_value(version) != MF_BUNDLE_VERSION)
        return mf_err_set(err, EX_DATAERR, "%s: version %lld of the bundle format, this program knows %d",
                          name_of(b), (long long)json_integer_value(version), MF_BUNDLE_VERSION);
    const char *found = json_string_value(json_object_get(b->manifest, "kind"));
    if (!found) return mf_err_set(err, EX_DATAERR, "%s: manifest.json names no kind", name_of(b));
    if (kind && strcmp(kind, found) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: a bundle of kind '%s', not '%s'", name_of(b), found, kind);
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
            result = mf_err_set(err, EX_DATAERR, "%s: manifest.json has the tensor %s twice", name_of(b),
                                names[i]);
    free(names);
    return result;
}

static int read_tensors(struct mf_bundle *b, struct mf_err *err) {
    const json_t *list = json_object_get(b->manifest, "tensors");
    if (!json_is_array(list))
        return mf_err_set(err, EX_DATAERR, "%s: manifest.json lists no tensors", name_of(b));
    b->count = json_array_size(list);
    if (b->count > TENSOR_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: %zu tensors are too many", name_of(b), b->count);
    b->tensors = calloc(b->count ? b->count : 1, sizeof *b->tensors);
    b->hashes = calloc(b->count ? b->count : 1, sizeof *b->hashes);
    if (!b->tensors || !b->hashes) mf_no_memory();
    uint64_t total = 0;
    for (size_t i = 0; i < b->count; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (mf_tensor_from_json(&b->tensors[i], name ? name : "", entry, name_of(b), err) < 0) return -1;
        b->hashes[i] = json_string_value(json_object_get(entry, "sha256"));
        if (!mf_sha256_valid(b->hashes[i]))
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s: no sha256 of 64 hex digits", name_of(b), name);
        if (__builtin_add_overflow(total, mf_tensor_bytes(&b->tensors[i]), &total)) total = UINT64_MAX;
    }
    int64_t size = mf_in_size(b->in);
    if (size >= 0 && !b->compressed && total > (uint64_t)size)
        return mf_err_set(err, EX_DATAERR,
                          "%s: truncated bundle: its tensors have %llu bytes, the file has %lld", name_of(b),
                          (unsigned long long)total, (long long)size);
    if (size >= 0 && mf_unpack_check(name_of(b), (uint64_t)size, total, err) < 0) return -1;
    return check_distinct(b, err);
}

static int read_manifest(struct mf_bundle *b, struct mf_err *err) {
    const char *name;
    int64_t size;
    int result = next_member(b, &name, &size, err);
    if (result < 0) return -1;
    if (result == 0 || strcmp(name, MF_MANIFEST) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: not a bundle: the first member is not manifest.json",
                          name_of(b));
    if (size < 0 || size > MANIFEST_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: a manifest of %lld bytes is too large", name_of(b),
                          (long long)size);
    char *text = malloc((size_t)size + 1);
    if (!text) mf_no_memory();
    json_t *manifest = NULL;
    if (read_data(b, text, (size_t)size, err) == 0) {
        mf_sha256_of(text, (size_t)size, b->hash);
        manifest = mf_json_object(text, (size_t)size, name_of(b), "manifest.json", err);
    }
    free(text);
    b->manifest = manifest;
    return manifest ? 0 : -1;
}

static bool is_zstd(const unsigned char *bytes, size_t n) {
    return n >= 4 && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0;
}

bool mf_bundle_begins(const unsigned char *bytes, size_t n) {
    return is_zstd(bytes, n) || (n >= 262 && memcmp(bytes + 257, "ustar", 5) == 0);
}

static int open_archive(struct mf_bundle *b, struct mf_err *err) {
    const unsigned char *first;
    int64_t n = mf_in_peek(b->in, &first, 512, err);
    if (n < 0) return -1;
    if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: empty, not a bundle", name_of(b));
    b->compressed = is_zstd(first, (size_t)n);
    if (!mf_bundle_begins(first, (size_t)n) || (!b->compressed && n < 512))
        return mf_err_set(err, EX_DATAERR, "%s: not a bundle", name_of(b));
    const struct mf_source input = {read_input, b, name_of(b), &b->packed};
    if (mf_unpack_open(&b->unpack, &input, b->compressed, err) < 0) return -1;
    b->archive = archive_read_new();
    if (!b->archive) mf_no_memory();
    b->err = err;
    if (archive_read_support_format_tar(b->archive) != ARCHIVE_OK) return archive_fail(b, err);
    if (archive_read_open(b->archive, b, NULL, read_block, NULL) != ARCHIVE_OK) return archive_fail(b, err);
    return 0;
}

int mf_bundle_open_in(struct mf_bundle **bundle, struct mf_in *in, const char *kind, struct mf_err *err) {
    struct mf_bundle *b = calloc(1, sizeof *b);
    if (!b) mf_no_memory();
    b->in = in;
    if (open_archive(b, err) < 0 || read_manifest(b, err) < 0 || check_kind(b, kind, err) < 0 ||
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
    return name_of(b);
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

/* --- the tensors --- */

/* After the last byte of the current tensor. */
static int check_hash(struct mf_bundle *b, struct mf_err *err) {
    char hash[65];
    mf_sha256_end(b->sha, hash);
    b->sha = NULL;
    if (strcmp(hash, b->hashes[b->next - 1]) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: tensor %s: bytes do not match their sha256: %.12s, not %.12s",
                      name_of(b), b->tensors[b->next - 1].name, hash, b->hashes[b->next - 1]);
}

int mf_bundle_read(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err) {
    if (size > b->left)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %zu bytes wanted, %llu left", name_of(b),
                          b->next ? b->tensors[b->next - 1].name : "(none)", size,
                          (unsigned long long)b->left);
    if (read_data(b, buffer, size, err) < 0) return -1;
    b->left -= size;
    if (b->sha) mf_sha256_add(b->sha, buffer, size);
    return b->left == 0 && b->sha ? check_hash(b, err) : 0;
}

const struct mf_tensor *mf_bundle_current(const struct mf_bundle *b) {
    return &b->tensors[b->next - 1];
}

/* Reads what the caller left of the current tensor, for its hash. */
static int finish_tensor(struct mf_bundle *b, struct mf_err *err) {
    unsigned char rest[8192];
    while (b->left > 0) {
        size_t part = b->left < sizeof rest ? (size_t)b->left : sizeof rest;
        if (mf_bundle_read(b, rest, part, err) < 0) return -1;
    }
    return b->sha ? check_hash(b, err) : 0; /* a tensor of no bytes */
}

/* Says what is wrong with a member that is not the expected one. */
static int wrong_member(const struct mf_bundle *b, const char *found, struct mf_err *err) {
    char name[MF_MEMBER_NAME];
    for (size_t i = 0; i < b->count; i++) {
        mf_bundle_member(&b->tensors[i], name);
        if (strcmp(name, found) != 0) continue;
        if (i < b->next)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s is there twice", name_of(b),
                              b->tensors[i].name);
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor %s", name_of(b), b->tensors[b->next].name);
    }
    return mf_err_set(err, EX_DATAERR, "%s: unexpected member '%s'", name_of(b), found);
}

int mf_bundle_next(struct mf_bundle *b, size_t *index, struct mf_err *err) {
    if (b->ended) return 0;
    if (finish_tensor(b, err) < 0) return -1;
    const char *found;
    char name[MF_MEMBER_NAME];
    int64_t size;
    int result = next_member(b, &found, &size, err);
    if (result < 0) return -1;
    if (result == 0 && b->next < b->count)
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor %s", name_of(b), b->tensors[b->next].name);
    if (result == 0) return check_end(b, err);
    if (b->next == b->count) return wrong_member(b, found, err);
    const struct mf_tensor *t = &b->tensors[b->next];
    mf_bundle_member(t, name);
    if (strcmp(name, found) != 0) return wrong_member(b, found, err);
    if (size < 0 || (uint64_t)size != mf_tensor_bytes(t)) {
        char shape[64];
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %lld bytes for %s %s, which has %zu", name_of(b),
                          t->name, (long long)size, mf_dtype_name(t->dtype), mf_tensor_shape(t, shape),
                          mf_tensor_bytes(t));
    }
    b->left = (uint64_t)size;
    b->sha = mf_sha256_new();
    *index = b->next++;
    return 1;
}

bool mf_bundle_mappable(const struct mf_bundle *b) {
    return !b->compressed && mf_in_size(b->in) > 0;
}

const struct mf_in *mf_bundle_in(const struct mf_bundle *b) {
    return b->in;
}

/* What libarchive has taken: up to the end of the member's header. */
uint64_t mf_bundle_place(const struct mf_bundle *b) {
    return (uint64_t)archive_filter_bytes(b->archive, 0);
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
