/* Walking folders and unpacking files. */
#include "text/docs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/memory.h"
#include "io/file.h"
#include "text/docs_internal.h"

int docs_fill(struct docs_file *f, size_t want, struct mf_err *err) {
    while (!f->ended && f->end - f->begin < want) {
        if (f->begin > 0 && f->begin >= f->room / 2) {
            memmove(f->bytes, f->bytes + f->begin, f->end - f->begin);
            f->end -= f->begin;
            f->begin = 0;
        }
        if (f->room - f->end < DOCS_BLOCK) {
            size_t room = 2 * f->room + 2 * DOCS_BLOCK;
            if (f->end - f->begin > MF_DOC_LIMIT)
                return mf_err_set(err, EX_DATAERR, "%s: a document of more than %zu bytes", f->name,
                                  MF_DOC_LIMIT);
            char *grown = realloc(f->bytes, room);
            if (!grown) return mf_err_set(err, EX_OSERR, "%s: out of memory", f->name);
            f->bytes = grown;
            f->room = room;
        }
        la_ssize_t n = archive_read_data(f->archive, f->bytes + f->end, DOCS_BLOCK);
        if (f->source->failed.status) {
            *err = f->source->failed;
            return -1;
        }
        if (n < 0) return mf_err_set(err, EX_DATAERR, "%s: %s", f->name, archive_error_string(f->archive));
        f->source->unpacked += (uint64_t)n;
        if (mf_unpack_check(mf_in_name(f->source->in), mf_in_offset(f->source->in), f->source->unpacked,
                            err) < 0)
            return -1;
        f->ended = n == 0;
        f->end += (size_t)n;
    }
    return 0;
}

/* --- one file, which may be an archive --- */

static la_ssize_t read_block(struct archive *a, void *context, const void **bytes) {
    struct docs_source *s = context;
    int64_t n = mf_in_read(s->in, s->block, DOCS_BLOCK, &s->failed);
    if (n < 0) archive_set_error(a, EIO, "read failed");
    *bytes = s->block;
    return (la_ssize_t)n;
}

static struct archive *new_reader(void) {
    struct archive *a = archive_read_new();
    if (!a) mf_no_memory();
    /* none of these starts another program */
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_lzma(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_lz4(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_zip(a);
    archive_read_support_format_empty(a);
    archive_read_support_format_raw(a);
    return a;
}

/* "corpus.jsonl.gz" -> "corpus.jsonl": what a compressed file would be called unpacked. */
static void strip_compression(char *name) {
    static const char *const suffixes[] = {".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t n = strlen(name), s = strlen(suffixes[i]);
        if (n > s && strcmp(name + n - s, suffixes[i]) == 0) {
            name[n - s] = 0;
            return;
        }
    }
}

/* The documents of the archive's current entry, or of the file itself. */
static int read_entry(struct archive *a, struct docs_source *s, struct archive_entry *entry, const char *name,
                      const char *domain, size_t domain_size, const struct mf_docs_options *o,
                      struct mf_err *err) {
    struct docs_file f = {.archive = a, .source = s, .domain = domain, .domain_size = domain_size};
    char *own = NULL;
    if (archive_format(a) == ARCHIVE_FORMAT_RAW || archive_format(a) == ARCHIVE_FORMAT_EMPTY) {
        own = strdup(name);
        if (!own) mf_no_memory();
        strip_compression(own);
    } else {
        const char *member = archive_entry_pathname(entry);
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) return 0;
        if (asprintf(&own, "%s/%s", name, member ? member : "?") < 0) mf_no_memory();
    }
    f.name = own;
    int status = docs_parse(&f, o, err);
    free(f.bytes);
    free(own);
    return status;
}

static int read_archive(struct archive *a, struct docs_source *s, const char *name, const char *domain,
                        size_t domain_size, const struct mf_docs_options *o, struct mf_err *err) {
    struct archive_entry *entry;
    int status = 0, got = archive_read_open(a, s, NULL, read_block, NULL);
    if (got == ARCHIVE_OK)
        while (status == 0 && !s->failed.status && (got = archive_read_next_header(a, &entry)) == ARCHIVE_OK)
            status = read_entry(a, s, entry, name, domain, domain_size, o, err);
    if (status == 0 && s->failed.status) {
        *err = s->failed;
        return -1;
    }
    if (status == 0 && got != ARCHIVE_OK && got != ARCHIVE_EOF)
        status = mf_err_set(err, EX_DATAERR, "%s: %s", name, archive_error_string(a));
    return status;
}

/* A file, or standard input for NULL. */
static int read_file(const char *path, const char *name, const char *domain, size_t domain_size,
                     const struct mf_docs_options *o, struct mf_err *err) {
    struct docs_source *s = calloc(1, sizeof *s);
    if (!s) mf_no_memory();
    int status = mf_in_open(&s->in, path, err);
    if (status == 0) {
        struct archive *a = new_reader();
        status = read_archive(a, s, name, domain, domain_size, o, err);
        archive_read_free(a);
        mf_in_close(s->in);
    }
    free(s);
    return status;
}

/* --- folders --- */

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_no_text(const char *name) {
    static const char *const suffixes[] = {
        ".png",    ".jpg", ".jpeg", ".gif",   ".webp", ".ico", ".bmp", ".tif", ".tiff",
        ".pdf",    ".ps",  ".djvu", ".so",    ".o",    ".a",   ".exe", ".dll", ".pyc",
        ".class",  ".jar", ".woff", ".woff2", ".ttf",  ".otf", ".mp3", ".mp4", ".avi",
        ".mov",    ".mkv", ".webm", ".wav",   ".flac", ".ogg", ".npy", ".npz", ".pt",
        ".sqlite", ".db",  ".bin",  ".dat",   ".iso",  ".img", ".deb", ".rpm", ".safetensors"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(dot, suffixes[i]) == 0) return true;
    return false;
}

/* One entry of the walk. `root` is the length of the given path with its slash. */
static int visit(FTS *walk, FTSENT *e, size_t root, const struct mf_docs_options *o, struct mf_err *err) {
    if (e->fts_level > 0 && e->fts_name[0] == '.' && e->fts_info != FTS_DP) {
        if (e->fts_info == FTS_D) fts_set(walk, e, FTS_SKIP);
        return 0;
    }
    if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS) {
        errno = e->fts_errno;
        return mf_err_sys(err, EX_NOINPUT, "%s", e->fts_path);
    }
    if (e->fts_info != FTS_F) return 0;
    if (is_no_text(e->fts_name)) {
        if (o->skipped) o->skipped(o->context, e->fts_path);
        return 0;
    }
    const char *below = e->fts_path + root, *slash = strchr(below, '/');
    bool folder = o->domain_from_folder && slash;
    return read_file(e->fts_path, below, folder ? below : NULL, folder ? (size_t)(slash - below) : 0, o, err);
}

static int walk_folder(const char *path, const struct mf_docs_options *o, struct mf_err *err) {
    char *copy = strdup(path);
    if (!copy) mf_no_memory();
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    char *const paths[] = {copy, NULL};
    size_t root = strcmp(copy, "/") == 0 ? 1 : strlen(copy) + 1;
    FTS *walk = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    int status = walk ? 0 : mf_err_sys(err, EX_NOINPUT, "%s", path);
    FTSENT *e;
    while (status == 0 && (errno = 0, e = fts_read(walk))) status = visit(walk, e, root, o, err);
    if (status == 0 && errno) status = mf_err_sys(err, EX_NOINPUT, "%s", path);
    if (walk) fts_close(walk);
    free(copy);
    return status;
}

int mf_docs_read(const char *path, const struct mf_docs_options *o, struct mf_err *err) {
    struct stat st;
    if (!path || strcmp(path, "-") == 0) return read_file(NULL, "standard input", NULL, 0, o, err);
    if (stat(path, &st) < 0) return mf_err_sys(err, EX_NOINPUT, "%s", path);
    if (S_ISDIR(st.st_mode)) return walk_folder(path, o, err);
    const char *slash = strrchr(path, '/');
    return read_file(path, slash && slash[1] ? slash + 1 : path, NULL, 0, o, err);
}
