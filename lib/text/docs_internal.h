/* What walking and unpacking (docs.c) and the formats (docs_formats.c) share. */
#ifndef MF_TEXT_DOCS_INTERNAL_H
#define MF_TEXT_DOCS_INTERNAL_H

#include <archive.h>
#include "text/docs.h"

/* A file's bytes as they come out of libarchive: a window on them that grows as needed. */
struct docs_file {
    struct archive *archive;
    const struct mf_err *failed; /* set when its source could not be read */
    const char *name;            /* for messages and ids */
    const char *domain;          /* or NULL */
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
