/* What a partitioning keeps of a tokens stream. */
#ifndef MF_PARTITION_CORPUS_H
#define MF_PARTITION_CORPUS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/spill.h"
#include "partition/nmi.h"
#include "text/tokenizer.h"
#include "text/tokens.h"

/* What is kept of one document, on disk. */
struct mf_fact {
    uint64_t fingerprint;
    uint32_t tokens;
    float difficulty; /* of a curriculum; else 0 */
    uint16_t label;   /* index into the corpus's names, or MF_NO_LABEL */
};

/* What one pass over the stream leaves. */
struct mf_corpus {
    struct mf_tokens_header header;
    size_t count;
    uint64_t total;        /* tokens */
    struct mf_spill facts; /* [count] struct mf_fact; label: in the order of appearance */
    uint16_t *place;       /* [n_names] a label's place in the names' order */
    char **names;          /* [n_names] the domains by their bytes' order, zero-terminated, owned */
    size_t *name_sizes;    /* [n_names] */
    size_t n_names;
    uint32_t *df; /* [vocab] documents that hold each id; 0 for special tokens */
};

/* Reads a whole stream. With a tokenizer, also computes each document's difficulty. Memory does not
 * grow with the documents. Freed by mf_corpus_free,
 * also after a failure. */
int mf_corpus_scan(struct mf_corpus *corpus, const char *path, const struct mf_tokenizer *tokenizer,
                   struct mf_err *err);
void mf_corpus_free(struct mf_corpus *corpus);

/* Reads the facts of all documents in their order: {.corpus = corpus} at first. 1, 0 at the end, -1 with
 * EX_IOERR. */
struct mf_facts {
    const struct mf_corpus *corpus;
    struct mf_spill_reader reader;
};
int mf_facts_next(struct mf_facts *facts, struct mf_fact *fact, struct mf_err *err);
void mf_facts_end(struct mf_facts *facts);

/* The difficulty of one document's text (partition/difficulty.h). */
struct mf_reading;
int mf_reading_new(struct mf_reading **reading, const struct mf_tokenizer *tokenizer, struct mf_err *err);
int mf_reading_difficulty(struct mf_reading *reading, const struct mf_token_doc *doc, double *difficulty,
                          struct mf_err *err);
void mf_reading_free(struct mf_reading *reading); /* accepts NULL */

#endif
