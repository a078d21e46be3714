/* What walking (docs.c), files (docs_file.c), archives (docs_archive.c, docs_names.c), telling kinds apart
 * (docs_kind.c) and the formats (docs_detect.c, docs_formats.c, docs_json.c, docs_unicode.c) share. */
#ifndef MF_TEXT_DOCS_INTERNAL_H
#define MF_TEXT_DOCS_INTERNAL_H

#include <jansson.h>
#include <xxhash.h>
#include "io/file.h"
#include "io/unpack.h"
#include "text/docs.h"

#define DOCS_BLOCK   ((size_t)64 << 10) /* bytes read at a time */
#define DOCS_NESTING 8                  /* archives in archives */

/* The file that is being read: bytes taken of it, and bytes that reached documents. */
struct docs_root {
    const char *name;
    uint64_t packed, unpacked;
};

/* Where bytes come from. All borrowed. */
struct docs_place {
    const char *path; /* may be opened again, or NULL */
    const char *name; /* as it was given, for messages */
    const char *id;
    const char *domain; /* or NULL */
    size_t domain_size;
    struct docs_root *root;
    int depth; /* archives around it */
};

/* How text is written, by the mark it begins with. */
enum docs_encoding { DOCS_BYTES, DOCS_UTF16LE, DOCS_UTF16BE, DOCS_UTF32LE, DOCS_UTF32BE };

/* A file's bytes as they are unpacked: a window on them that grows as needed. */
struct docs_file {
    struct mf_unpack *unpack;
    const struct docs_place *place;
    const char *id; /* the place's, without the suffix of a compressor */
    enum docs_encoding encoding;
    char *bytes;
    size_t begin, end, capacity; /* bytes[begin, end) are there and not taken yet */
    bool ended;
};

/* Reads on until at least `want` bytes are there, or the end. EX_DATAERR; EX_IOERR; EX_OSERR. */
int docs_fill(struct docs_file *f, size_t want, struct mf_err *err);

/* Emits all documents of a file, which may be an archive. 0, 1 or -1 as mf_docs_read. */
int docs_content(struct mf_unpack *u, const struct docs_place *place, const struct mf_docs_options *o,
                 struct mf_err *err);

/* A file (NULL: standard input) that is read below its layers of compression. It must not move while it is
 * open. */
struct docs_input {
    struct mf_in *in;
    struct docs_root *root;
    struct mf_unpack *unpack;
};
int docs_input_open(struct docs_input *input, const struct docs_place *place, struct mf_err *err);
void docs_input_close(struct docs_input *input); /* accepts a zeroed one */

/* The documents of a tar or zip. As docs_content. */
int docs_tar(struct mf_unpack *u, const struct docs_place *place, const struct mf_docs_options *o,
             struct mf_err *err);
int docs_zip(struct mf_unpack *u, const struct docs_place *place, const struct mf_docs_options *o,
             struct mf_err *err);

/* A zip in fd: how many members its directory has; EX_DATAERR when it does not reach from the file's first
 * byte to its last. */
int docs_zip_check(int fd, const char *name, uint64_t *members, struct mf_err *err);

/* Members of an archive by their names (docs_names.c). */
struct docs_name {
    XXH128_hash_t hash;
    uint64_t number; /* of the member */
};
struct docs_names {
    struct docs_name *items; /* freed by the caller */
    size_t count, capacity;
};
void docs_names_add(struct docs_names *names, const char *name, uint64_t number);

/* Leaves those that another of the same name follows, ascending. */
void docs_names_keep_replaced(struct docs_names *names);

/* Emits all documents of a text in its format. 0, 1 or -1 as mf_docs_read. */
int docs_parse(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err);

/* The line that begins `at` bytes behind what was taken, without its end; borrowed until more is read. 1, 0
 * behind the last one, -1. */
int docs_line_at(struct docs_file *f, size_t at, const char **line, size_t *size, struct mf_err *err);

/* Which format a text is in, as asked for, or by its name and first lines (docs_detect.c): enum
 * mf_docs_format, or -1. */
int docs_format_of(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err);

/* Of a line: the bytes of a byte order mark, which joining files may leave at its start; no more than white
 * space; a heading of WikiText. */
size_t docs_mark_size(const char *line, size_t size);
bool docs_is_blank(const char *line, size_t size);
bool docs_is_heading(const char *line, size_t size);

/* The next units of UTF-16 or UTF-32 as UTF-8: up to DOCS_BLOCK bytes, 0 at the end, -1. */
int64_t docs_decode(struct docs_file *f, char *to, struct mf_err *err);

/* A line of JSON as an object of which only the fields used matter: others may hold numbers of any size and
 * what no text can (docs_json.c). NULL with the reason in `why`. */
json_t *docs_json_line(const char *line, size_t size, const struct mf_docs_options *o, json_error_t *why);

/* --- what is what --- */

enum docs_kind { DOCS_TEXT, DOCS_TAR, DOCS_ZIP, DOCS_OWN, DOCS_BINARY };
enum docs_kind docs_kind_of(const unsigned char *bytes, size_t n);
enum docs_encoding docs_encoding_of(const unsigned char *bytes, size_t n, size_t *mark);

/* A name of something compressed or an archive whose bytes are neither. */
bool docs_is_damaged(const char *name, const unsigned char *bytes, size_t n);

bool docs_is_hidden(const char *path);     /* itself, or a folder on the way to it */
bool docs_names_no_text(const char *name); /* by its suffix */
bool docs_ends_with(const char *name, const char *suffix);

#endif
