/* Counting words: a table of the different words of a corpus, from which a tokenizer is learnt. */
#ifndef MF_TEXT_WORDS_H
#define MF_TEXT_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"
#include "io/stream.h"

struct mf_words;

/* max_word: of a longer word only so many bytes are counted, so that one enormous word does not take the
 * vocabulary from the others; 0: no limit. Freed by mf_words_free. */
int mf_words_new(struct mf_words **words, size_t max_word, struct mf_err *err);
void mf_words_free(struct mf_words *words); /* accepts NULL */

/* Counts the words of one text. Returns the number of words that were cut, or -1. */
int64_t mf_words_add(struct mf_words *words, const char *text, size_t size, struct mf_err *err);

/* Adds all counts of `from`, which is empty then. */
int mf_words_merge(struct mf_words *words, struct mf_words *from, struct mf_err *err);

/* The memory that learning from these words takes, in bytes. */
size_t mf_words_memory(const struct mf_words *words);

/* Drops the rarest words, all of one frequency together, until learning fits into `memory` bytes. Returns how
 * many were dropped, or -1. */
int64_t mf_words_shrink(struct mf_words *words, size_t memory, struct mf_err *err);

uint64_t mf_words_bytes(const struct mf_words *words); /* of text so far */
size_t mf_words_distinct(const struct mf_words *words);

/* The words one by one: *at is 0 at first. Returns their count, 0 behind the last. */
uint64_t mf_words_next(const struct mf_words *words, size_t *at, const char **word, size_t *size);

/* What counting a stream of documents met. */
struct mf_words_report {
    uint64_t documents, cut, dropped;
    char first_cut[64]; /* the document with the first cut word */
};

/* Counts all documents of a stream with the pool's threads; the result does not depend on their number.
 * memory: bytes that counting and then learning may take, but for a document that alone takes more; the
 * rarest words are dropped for it; 0: no limit. `shown` is called now and then with the number of documents;
 * may be NULL. */
int mf_words_count(struct mf_words *words, struct mf_stream_reader *docs, struct mf_pool *pool, size_t memory,
                   struct mf_words_report *report, void (*shown)(void *context, uint64_t documents),
                   void *context, struct mf_err *err);

#endif
