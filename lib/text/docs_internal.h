/* What walking and unpacking (docs.c) and the formats (docs_formats.c) share. */
#ifndef MF_TEXT_DOCS_INTERNAL_H
#define MF_TEXT_DOCS_INTERNAL_H

#include <archive.h>
#include "io/file.h"
#include "text/docs.h"

#define DOCS_BLOCK ((size_t)64 << 10) /* bytes read and unpacked at a time */

/* Where an archive's bytes come from, and how many came out of it. */
struct docs_source {
    struct mf_in *in;
    struct mf_err failed; /* why a read failed: to libarchive that may look like the end of the file */
    uint64_t unpacked;
    unsigned char block[DOCS_BLOCK];
};

/* A file's bytes as they come out of libarchive: a window on them that grows as needed. */
struct docs_file {
    struct archive *archive;
    struct docs_source *source;
    const char *name;   /* for messages and ids */
    const char *domain; /* or NULL */
    size_t domain_size;
    char *bytes;
    size_t begin, end, room; /* bytes[begin, end) are there and not taken yet */
    bool ended;
};

/* Reads on until at least `want` bytes are there, or the end. EX_DATAERR; EX_IOERR; EX_OSERR. */
int docs_fill(struct docs_file *f, size_t want, struct mf_err *err);

/* Hands on all documents of the file in its format. 0, 1 or -1 as mf_docs_read. */
int docs_parse(struct docs_file *f, const struct mf_docs_options *o, struct mf_err *err);

#endif
