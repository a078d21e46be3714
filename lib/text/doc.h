/* Documents of text, and streams of kind docs: the one reader and the one writer of their records. */
#ifndef MF_TEXT_DOC_H
#define MF_TEXT_DOC_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/stream.h"

struct mf_doc {
    const char *id, *text, *domain; /* borrowed, not zero-terminated; domain NULL when there is none */
    size_t id_size, size, domain_size;
    const uint32_t *signature; /* of the text where it is known (text/minhash.h), or NULL; borrowed */
};

/* The next document of a stream, borrowed from its reader: 1, 0 at the end, -1. EX_DATAERR: a record without
 * text. */
int mf_doc_next(struct mf_stream_reader *docs, struct mf_doc *doc, struct mf_err *err);

/* Writes a document as the next record. */
int mf_doc_put(struct mf_stream_writer *docs, const struct mf_doc *doc, struct mf_err *err);

/* The same inside records that hold more: the document of the record read last, and its two fields, or three
 * with a domain. */
int mf_doc_of(struct mf_stream_reader *docs, const struct mf_record *record, struct mf_doc *doc,
              struct mf_err *err);
int mf_doc_put_fields(struct mf_stream_writer *docs, const struct mf_doc *doc, struct mf_err *err);

#endif
