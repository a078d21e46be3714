/* What a partitioning keeps of a tokens stream. */
#ifndef MF_PARTITION_CORPUS_H
#define MF_PARTITION_CORPUS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "partition/nmi.h"
#include "text/tokenizer.h"
#include "text/tokens.h"

/* What one pass over the stream leaves: a few numbers a document. */
struct mf_corpus {
    struct mf_tokens_header header;
    size_t count, capacity;
    uint64_t total;         /* tokens */
    uint32_t *tokens;       /* [count] */
    uint16_t *labels;       /* [count] index into names, or MF_NO_LABEL */
    uint64_t *fingerprints; /* [count] */
    float *difficulty;      /* [count], or NULL */
    char **names;           /* [n_names] the domains by their bytes' order, zero-terminated, owned */
    size_t *name_sizes;     /* [n_names] */
    size_t n_names;
    uint32_t *df; /* [vocab] documents that hold each id; 0 for special tokens */
};

/* Reads a whole stream. With a tokenizer, also computes each document's difficulty. Freed by mf_corpus_free,
 * also after a failure. */
int mf_corpus_scan(struct mf_corpus *corpus, const char *path, const struct mf_tokenizer *tokenizer,
                   struct mf_err *err);
void mf_corpus_free(struct mf_corpus *corpus);

/* The difficulty of one document's text (partition/difficulty.h). */
struct mf_reading;
int mf_reading_new(struct mf_reading **reading, const struct mf_tokenizer *tokenizer, struct mf_err *err);
int mf_reading_difficulty(struct mf_reading *reading, const struct mf_token_doc *doc, double *difficulty,
                          struct mf_err *err);
void mf_reading_free(struct mf_reading *reading); /* accepts NULL */

#endif
