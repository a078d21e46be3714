/* Documents to tokens with several threads: each document is encoded by the next thread that is free, and
 * they are written in the order in which they came, whatever the number of threads. */
#ifndef MF_TEXT_ENCODE_H
#define MF_TEXT_ENCODE_H

#include <stdbool.h>
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

/* Whether what was encoded so far is text of another kind than the tokenizer was learnt from: it has at least
 * 1000 tokens of so few bytes (*bytes, a token) that merges hardly meet. A file says nothing about the
 * text it was learnt from, so the bounds are fixed: 1.35 bytes from 512 merges on, else 1.15. Measured with
 * 3836 merges of English: English 3.9, German 2.1, C 1.9, Vietnamese 1.7; Chinese and Russian 1.25,
 * Korean 1.1. */
bool mf_encoding_foreign(const struct mf_encoding *encoding, double *bytes);

#endif
