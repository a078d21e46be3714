/* Documents to tokens with several threads: each document is encoded by the next thread that is free, and
 * they are written in the order in which they came, whatever the number of threads. */
#ifndef MF_TEXT_ENCODE_H
#define MF_TEXT_ENCODE_H

#include "text/doc.h"
#include "text/tokens.h"

struct mf_encoding;

/* `tokenizer` is borrowed. EX_OSERR. */
int mf_encoding_new(struct mf_encoding **encoding, const struct mf_tokenizer *tokenizer,
                    enum mf_special special, int threads, struct mf_err *err);
void mf_encoding_free(struct mf_encoding *encoding); /* accepts NULL */

/* Encodes all documents of a docs stream into a tokens stream whose header is the tokenizer's
 * (mf_tokens_header_of). Takes memory for a batch of documents, or for the largest document and its tokens.
 * `shown` (may be NULL) is told after each batch how many documents were read. EX_DATAERR also as mf_encode,
 * with the document's id. */
int mf_encoding_stream(struct mf_encoding *encoding, struct mf_stream_reader *docs,
                       struct mf_stream_writer *tokens, void (*shown)(void *context, uint64_t documents),
                       void *context, struct mf_err *err);

/* The same with one document. */
int mf_encoding_doc(struct mf_encoding *encoding, const struct mf_doc *doc, struct mf_stream_writer *tokens,
                    struct mf_err *err);

#endif
