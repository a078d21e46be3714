/* The tar of a bundle that is read. Its claims are checked: plain files only, an end, nothing behind it. */
#include "io/bundle_internal.h"

#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include "base/memory.h"

static int64_t read_input(void *context, void *buffer, size_t size, struct mf_err *err) {
    struct mf_bundle *b = context;
    int64_t n = mf_in_read(b->in, buffer, size, err);
    b->packed = mf_in_offset(b->in);
    return n;
}

static la_ssize_t read_block(struct archive *a, void *context, const void **bytes) {
    struct mf_bundle *b = context;
    int64_t n = mf_unpack_read(b->unpack, b->block, BUNDLE_BLOCK, b->err);
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
    return mf_err_set(err, EX_DATAERR, "%s: damaged or truncated bundle: %s", mf_bundle_name(b),
                      why ? why : "bad tar");
}

int bundle_next_member(struct mf_bundle *b, const char **name, int64_t *size, struct mf_err *err) {
    struct archive_entry *entry;
    b->err = err;
    int result = archive_read_next_header(b->archive, &entry);
    if (result == ARCHIVE_EOF) return 0;
    if (result != ARCHIVE_OK) return archive_fail(b, err);
    *name = archive_entry_pathname(entry);
    if (!*name) return mf_err_set(err, EX_DATAERR, "%s: a member without a name", mf_bundle_name(b));
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
        archive_entry_symlink(entry) || archive_entry_sparse_count(entry) > 0 ||
        !archive_entry_size_is_set(entry))
        return mf_err_set(err, EX_DATAERR, "%s: member '%s' is not a plain file", mf_bundle_name(b), *name);
    *size = archive_entry_size(entry);
    return 1;
}

int bundle_read_data(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err) {
    unsigned char *to = buffer;
    b->err = err;
    while (size > 0) {
        la_ssize_t n = archive_read_data(b->archive, to, size);
        if (n < 0) return archive_fail(b, err);
        if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: truncated bundle", mf_bundle_name(b));
        to += n;
        size -= (size_t)n;
    }
    return 0;
}

/* What libarchive has taken: up to the end of the member's header. */
uint64_t bundle_place(const struct mf_bundle *b) {
    return (uint64_t)archive_filter_bytes(b->archive, 0);
}

/* libarchive takes the end of the input for the end of a tar; we want the two zero blocks, and nothing but
 * zeros after the last member. */
int bundle_check_end(struct mf_bundle *b, struct mf_err *err) {
    b->ended = true;
    uint64_t end = (uint64_t)archive_read_header_position(b->archive);
    b->err = err;
    const void *bytes;
    la_ssize_t n;
    do n = read_block(b->archive, b, &bytes);
    while (n > 0);
    if (n < 0) return -1;
    if (b->last_byte > end)
        return mf_err_set(err, EX_DATAERR, "%s: more data after the last tensor", mf_bundle_name(b));
    if (b->unpacked < end + 1024)
        return mf_err_set(err, EX_DATAERR, "%s: truncated bundle: the end of the tar is missing",
                          mf_bundle_name(b));
    return 0;
}

static bool is_zstd(const unsigned char *bytes, size_t n) {
    return n >= 4 && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0;
}

bool mf_bundle_begins(const unsigned char *bytes, size_t n) {
    return is_zstd(bytes, n) || (n >= 262 && memcmp(bytes + 257, "ustar", 5) == 0);
}

int bundle_open_archive(struct mf_bundle *b, struct mf_err *err) {
    const unsigned char *first;
    int64_t n = mf_in_peek(b->in, &first, 512, err);
    if (n < 0) return -1;
    if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: empty, not a bundle", mf_bundle_name(b));
    b->compressed = is_zstd(first, (size_t)n);
    if (!mf_bundle_begins(first, (size_t)n) || (!b->compressed && n < 512))
        return mf_err_set(err, EX_DATAERR, "%s: not a bundle", mf_bundle_name(b));
    const struct mf_source input = {read_input, b, mf_bundle_name(b), &b->packed};
    if (mf_unpack_open(&b->unpack, &input, b->compressed, err) < 0) return -1;
    b->archive = archive_read_new();
    if (!b->archive) mf_no_memory();
    b->err = err;
    if (archive_read_support_format_tar(b->archive) != ARCHIVE_OK) return archive_fail(b, err);
    if (archive_read_open(b->archive, b, NULL, read_block, NULL) != ARCHIVE_OK) return archive_fail(b, err);
    return 0;
}
