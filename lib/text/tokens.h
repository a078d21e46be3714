/* Streams of kind tokens: the one reader of their documents, and their header's one writer. */
#ifndef MF_TEXT_TOKENS_H
#define MF_TEXT_TOKENS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/stream.h"
#include "text/specials.h"

/* The header fields that every stream made from a tokens stream carries on. */
struct mf_tokens_header {
    size_t vocab;
    char tokenizer[65]; /* SHA-256 of the tokenizer, hex */
    int64_t width;      /* bytes of an id: 2 or 4 */
    struct mf_specials specials;
};

/* The number of fields mf_tokens_header_put writes. */
#define MF_TOKENS_HEADER_FIELDS 6
int mf_tokens_header_put(const struct mf_tokens_header *header, struct mf_stream_writer *w,
                         struct mf_err *err);

struct mf_document {
    const struct mf_record *record;
    const char *id, *domain; /* borrowed from the record; NULL when absent */
    size_t id_size, domain_size;
    const void *bytes; /* the record's token bytes */
    size_t size;
    const uint32_t *ids; /* [count] borrowed from the reader */
    size_t count;
    uint64_t print; /* XXH64 of the token bytes */
};

struct mf_documents {
    struct mf_stream_reader *stream;
    struct mf_tokens_header header;
    uint32_t *ids;
    size_t room;
};

/* Opens a tokens stream (NULL: standard input) and checks its header. EX_NOINPUT, EX_DATAERR. */
int mf_documents_open(struct mf_documents *docs, const char *path, struct mf_err *err);

/* The next document: 1, 0 at the end, -1. EX_DATAERR also for bytes that are no whole ids or an id not below
 * vocab. */
int mf_documents_next(struct mf_documents *docs, struct mf_document *doc, struct mf_err *err);
void mf_documents_close(struct mf_documents *docs);

#endif
