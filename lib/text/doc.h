/* Documents of text, and streams of kind docs: the one reader and the one writer of their records. */
#ifndef MF_TEXT_DOC_H
#define MF_TEXT_DOC_H

#include <stddef.h>
#include "base/err.h"
#include "io/stream.h"

struct mf_doc {
    const char *id, *text, *domain; /* borrowed, not zero-terminated; domain NULL when there is none */
    size_t id_size, size, domain_size;
};

/* The next document of a stream, borrowed from its reader: 1, 0 at the end, -1. EX_DATAERR: a record without
 * text. */
int mf_doc_next(struct mf_stream_reader *docs, struct mf_doc *doc, struct mf_err *err);

/* Writes a document as the next record. */
int mf_doc_put(struct mf_stream_writer *docs, const struct mf_doc *doc, struct mf_err *err);

#endif
