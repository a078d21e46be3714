/* Documents of tokens, and streams of kind tokens: their one reader and their one writer. */
#ifndef MF_TEXT_TOKENS_H
#define MF_TEXT_TOKENS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/stream.h"
#include "text/specials.h"
#include "text/tokenizer.h"

/* The header fields that every stream made from a tokens stream carries on. */
struct mf_tokens_header {
    size_t vocab;
    char tokenizer[65]; /* SHA-256 of the tokenizer, hex */
    int64_t width;      /* bytes of an id: 2 or 4 */
    struct mf_specials specials;
};

/* The header of what a tokenizer makes. */
struct mf_tokens_header mf_tokens_header_of(const struct mf_tokenizer *tokenizer);

/* EX_DATAERR unless the tokenizer is the header's; `name` is the stream's. */
int mf_tokens_check(const struct mf_tokens_header *header, const char *name,
                    const struct mf_tokenizer *tokenizer, struct mf_err *err);

struct mf_token_doc {
    const char *id, *domain; /* not zero-terminated; the id "" and the domain NULL where there is none */
    size_t id_size, domain_size;
    const uint32_t *tokens; /* [n] each below the stream's vocab */
    size_t n;
    int64_t partition; /* the field of that name; -1 without one */
    const void *bytes; /* the tokens as they are in a stream, little-endian */
    size_t size;
    uint64_t fingerprint;           /* XXH64 of these bytes */
    const struct mf_record *record; /* that it was read from */
};

/* --- reading --- */

struct mf_tokens_reader {
    struct mf_stream_reader *stream;
    struct mf_tokens_header header;
    uint32_t *ids; /* of the document read last */
    size_t capacity;
};

/* Opens a tokens stream (NULL: standard input) and checks its header. EX_NOINPUT, EX_DATAERR. */
int mf_tokens_open(struct mf_tokens_reader *reader, const char *path, struct mf_err *err);

/* The next document, borrowed from the reader: 1, 0 at the end, -1. EX_DATAERR also for bytes that are no
 * whole ids or an id not below vocab. */
int mf_tokens_next(struct mf_tokens_reader *reader, struct mf_token_doc *doc, struct mf_err *err);
void mf_tokens_close(struct mf_tokens_reader *reader); /* accepts a zeroed one */

/* --- writing --- */

/* Starts a tokens stream on `out` (io/stream.h). `partition` >= 0 says that all its documents are of it. */
int mf_tokens_create(struct mf_stream_writer **writer, struct mf_out *out,
                     const struct mf_tokens_header *header, int64_t partition, struct mf_err *err);

/* Writes a document as the next record: its id, domain, partition and bytes. */
int mf_tokens_put(struct mf_stream_writer *writer, const struct mf_token_doc *doc, struct mf_err *err);

#endif
