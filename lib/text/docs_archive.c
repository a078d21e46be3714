/* Archives: an archive gives what its folder would. Of two members of one name the last one counts, so that
 * names are read first; an archive that cannot be opened again is copied to a scratch file. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/strings.h"
#include "io/spool.h"
#include "text/docs_internal.h"

struct reader {
    struct archive *archive;
    struct mf_unpack *unpack; /* of a tar; NULL for a zip */
    const struct docs_place *place;
    locale_t utf8, old;   /* names are UTF-8 in either kind of archive, whatever the locale; others stay the
                             bytes they are */
    struct mf_err failed; /* why a read failed: to libarchive that may look like the end of the file */
    uint64_t size;        /* bytes of the tar so far */
    unsigned char block[DOCS_BLOCK];
};

static la_ssize_t read_block(struct archive *a, void *context, const void **bytes) {
    struct reader *r = context;
    int64_t n = mf_unpack_read(r->unpack, r->block, DOCS_BLOCK, &r->failed);
    if (n < 0) archive_set_error(a, EIO, "read failed");
    if (n > 0) r->size += (uint64_t)n;
    *bytes = r->block;
    return (la_ssize_t)n;
}

static int fail(const struct reader *r, struct mf_err *err) {
    const char *why = archive_error_string(r->archive);
    *err = r->failed;
    if (r->failed.status) return -1;
    return mf_err_set(err, archive_errno(r->archive) == EIO ? EX_IOERR : EX_DATAERR, "%s: %s", r->place->name,
                      why ? why : "damaged archive");
}

/* A tar from `u`, or a zip from `fd`. */
static int open_reader(struct reader **reader, struct mf_unpack *u, int fd, const struct docs_place *place,
                       struct mf_err *err) {
    struct reader *r = calloc(1, sizeof *r);
    if (!r) mf_no_memory();
    r->archive = archive_read_new();
    if (!r->archive) mf_no_memory();
    r->unpack = u;
    r->place = place;
    r->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (r->utf8) r->old = uselocale(r->utf8);
    *reader = r;
    if (!u) {
        archive_read_support_format_zip_seekable(r->archive);
        if (archive_read_open_fd(r->archive, fd, DOCS_BLOCK) == ARCHIVE_OK) return 0;
    } else {
        archive_read_support_format_tar(r->archive);
        archive_read_set_options(r->archive, "read_concatenated_archives");
        if (archive_read_open(r->archive, r, NULL, read_block, NULL) == ARCHIVE_OK) return 0;
    }
    return fail(r, err);
}

static void close_reader(struct reader *r) {
    archive_read_free(r->archive);
    if (r->utf8) uselocale(r->old);
    if (r->utf8) freelocale(r->utf8);
    free(r);
}

/* libarchive takes the end of the input for the end of a tar; two blocks of zeros have to be there. */
static int check_end(const struct reader *r, struct mf_err *err) {
    uint64_t end = (uint64_t)archive_read_header_position(r->archive);
    if (r->failed.status) return fail(r, err);
    if (!r->unpack || r->size >= end + 1024) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: the end of the tar is missing", r->place->name);
}

/* The next member, which has a name: 1, 0 at the end, -1. */
static int next_member(struct reader *r, struct archive_entry **entry, struct mf_err *err) {
    int got = archive_read_next_header(r->archive, entry);
    if (got == ARCHIVE_EOF) return check_end(r, err);
    if (got != ARCHIVE_OK || r->failed.status) return fail(r, err);
    if (archive_entry_pathname(*entry)) return 1;
    return mf_err_set(err, EX_DATAERR, "%s: a member without a name", r->place->name);
}

/* --- members --- */

static int read_names(struct reader *r, struct docs_names *names, uint64_t *members, struct mf_err *err) {
    struct archive_entry *entry;
    int more;
    while ((more = next_member(r, &entry, err)) > 0)
        docs_names_add(names, archive_entry_pathname(entry), (*members)++);
    docs_names_keep_replaced(names);
    return more;
}

static int64_t read_member(void *context, void *buffer, size_t size, struct mf_err *err) {
    struct reader *r = context;
    size_t done = 0;
    while (done < size) {
        la_ssize_t n = archive_read_data(r->archive, (char *)buffer + done, size - done);
        if (n < 0 || r->failed.status) return fail(r, err);
        if (n == 0) break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int read_one(struct reader *r, const char *member, const struct mf_docs_options *o,
                    struct mf_err *err) {
    struct docs_place place = *r->place;
    struct mf_unpack *u = NULL;
    if (place.depth == DOCS_NESTING)
        return mf_err_set(err, EX_DATAERR, "%s: more than %d archives in one another", place.name,
                          DOCS_NESTING);
    char *name = mf_format("%s/%s", place.name, member), *id = mf_format("%s/%s", place.id, member);
    const struct mf_source source = {read_member, r, name, &place.root->packed};
    place.path = NULL;
    place.name = name;
    place.id = id;
    place.depth++;
    int status = 0;
    if (!o->all && docs_names_no_text(member)) {
        if (o->left) o->left(o->context, MF_DOCS_NO_TEXT, name);
    } else {
        status = mf_unpack_open(&u, &source, MF_UNPACK_LAYERS, err);
        if (status == 0) status = docs_content(u, &place, o, err);
    }
    mf_unpack_close(u);
    free(name);
    free(id);
    return status;
}

static int read_members(struct reader *r, const struct docs_names *replaced, const struct mf_docs_options *o,
                        struct mf_err *err) {
    struct archive_entry *entry;
    size_t next = 0;
    int status = 0, more = 1;
    for (uint64_t i = 0; status == 0 && (more = next_member(r, &entry, err)) > 0; i++) {
        bool gone = next < replaced->count && replaced->items[next].number == i;
        next += gone;
        if (gone || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) continue;
        const char *name = archive_entry_pathname(entry);
        if (!docs_is_hidden(name)) status = read_one(r, name, o, err);
    }
    return more < 0 ? -1 : status;
}

/* --- where an archive can be read twice --- */

/* The first pass, over the names: which members others replace, and how many there are. */
static int first_pass(struct mf_unpack *u, int fd, const struct docs_place *place, struct docs_names *names,
                      uint64_t *members, struct mf_err *err) {
    struct reader *r;
    int status = open_reader(&r, u, fd, place, err);
    *members = 0;
    if (status == 0) status = read_names(r, names, members, err);
    close_reader(r);
    return status;
}

/* The second one, over what they hold. */
static int second_pass(struct mf_unpack *u, int fd, const struct docs_place *place,
                       const struct docs_names *replaced, const struct mf_docs_options *o,
                       struct mf_err *err) {
    struct reader *r;
    int status = open_reader(&r, u, fd, place, err);
    if (status == 0) status = read_members(r, replaced, o, err);
    close_reader(r);
    return status;
}

/* Both passes over a tar: `again` is opened for the names. */
static int read_tar(struct mf_unpack *u, const struct docs_place *place, const char *again,
                    const struct mf_docs_options *o, struct mf_err *err) {
    struct docs_names names = {0};
    struct docs_root root = {.name = place->name};
    struct docs_place first = *place;
    struct docs_input input;
    uint64_t members;
    first.path = again;
    first.root = &root;
    int status = docs_input_open(&input, &first, err);
    if (status == 0) status = first_pass(input.unpack, -1, &first, &names, &members, err);
    docs_input_close(&input);
    if (status == 0) status = second_pass(u, -1, place, &names, o, err);
    free(names.items);
    return status;
}

static int read_spooled_tar(int fd, const struct docs_place *place, const struct mf_docs_options *o,
                            struct mf_err *err) {
    struct docs_place again = *place;
    struct docs_root root = {.name = place->name}; /* reading the copy takes nothing of the file */
    struct docs_input input;
    char *path = mf_format("/proc/self/fd/%d", fd);
    again.path = path;
    again.root = &root;
    int status = docs_input_open(&input, &again, err);
    if (status == 0) status = read_tar(input.unpack, place, path, o, err);
    docs_input_close(&input);
    free(path);
    return status;
}

int docs_tar(struct mf_unpack *u, const struct docs_place *place, const struct mf_docs_options *o,
             struct mf_err *err) {
    if (place->path) return read_tar(u, place, place->path, o, err);
    int fd = mf_spool_unpacked(u, err);
    if (fd < 0) return -1;
    int status = read_spooled_tar(fd, place, o, err);
    close(fd);
    return status;
}

static int read_zip(int fd, const struct docs_place *place, const struct mf_docs_options *o,
                    struct mf_err *err) {
    struct docs_names names = {0};
    uint64_t members, promised;
    int status = docs_zip_check(fd, place->name, &promised, err);
    if (status == 0) status = first_pass(NULL, fd, place, &names, &members, err);
    if (status == 0 && members != promised)
        status = mf_err_set(err, EX_DATAERR, "%s: damaged: %llu members, not %llu as its directory says",
                            place->name, (unsigned long long)members, (unsigned long long)promised);
    if (status == 0 && lseek(fd, 0, SEEK_SET) < 0) status = mf_err_sys(err, EX_IOERR, "%s", place->name);
    if (status == 0) status = second_pass(NULL, fd, place, &names, o, err);
    free(names.items);
    return status;
}

int docs_zip(struct mf_unpack *u, const struct docs_place *place, const struct mf_docs_options *o,
             struct mf_err *err) {
    int fd = mf_spool_unpacked(u, err);
    if (fd < 0) return -1;
    int status = read_zip(fd, place, o, err);
    close(fd);
    return status;
}
