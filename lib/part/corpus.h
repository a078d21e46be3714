/* A tokens stream, read document by document, and what a partitioning keeps of it. */
#ifndef MF_PART_CORPUS_H
#define MF_PART_CORPUS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/stream.h"
#include "part/agree.h"
#include "text/specials.h"
#include "text/tokenizer.h"

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

/* What one pass over the stream leaves: a few numbers a document. */
struct mf_corpus {
    struct mf_tokens_header header;
    size_t count, room;
    uint64_t total;     /* tokens */
    uint32_t *tokens;   /* [count] */
    uint16_t *labels;   /* [count] index into names, or MF_NO_LABEL */
    uint64_t *prints;   /* [count] */
    float *difficulty;  /* [count], or NULL */
    char **names;       /* [n_names] the domains by their bytes' order, zero-terminated, owned */
    size_t *name_sizes; /* [n_names] */
    size_t n_names;
    uint32_t *df; /* [vocab] documents that hold each id; 0 for special tokens */
};

/* Reads a whole stream. With a tokenizer, also computes each document's difficulty. Freed by mf_corpus_free,
 * also after a failure. */
int mf_corpus_scan(struct mf_corpus *corpus, const char *path, const struct mf_tokenizer *tokenizer,
                   struct mf_err *err);
void mf_corpus_free(struct mf_corpus *corpus);

/* The difficulty of one document's text (part/words.h). */
struct mf_reading;
int mf_reading_new(struct mf_reading **reading, const struct mf_tokenizer *tokenizer, struct mf_err *err);
int mf_reading_difficulty(struct mf_reading *reading, const struct mf_document *doc, double *difficulty,
                          struct mf_err *err);
void mf_reading_free(struct mf_reading *reading); /* accepts NULL */

#endif
