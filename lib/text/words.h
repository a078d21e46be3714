/* Counting words: a table of the different words of a corpus, from which a tokenizer is learnt. */
#ifndef MF_TEXT_WORDS_H
#define MF_TEXT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"
#include "io/stream.h"

struct mf_words;

/* max_word: of a longer word only so many bytes are counted, so that one enormous word does not take the
 * vocabulary from the others; 0: no limit. memory: bytes that counting may take, also by mf_words_count;
 * words that do not fit wait in scratch files (io/spill.h); 0: no limit. Freed by mf_words_free. EX_OSERR. */
int mf_words_new(struct mf_words **words, size_t max_word, size_t memory, struct mf_err *err);
void mf_words_free(struct mf_words *words); /* accepts NULL */

/* From now on mf_words_count counts about this share of the documents, above 0, at most 1: those whose text's
 * hash is low enough. Which these are depends on nothing else. */
void mf_words_sample(struct mf_words *words, double share);

/* Counts the words of one text. Returns the number of words that were cut, or -1. EX_OSERR, and where memory
 * is limited EX_CANTCREAT and EX_IOERR, here and below. */
int64_t mf_words_add(struct mf_words *words, const char *text, size_t size, struct mf_err *err);

/* Counts one word `times` times, whatever its bytes; only without a limit. */
int mf_words_put(struct mf_words *words, const void *word, size_t size, uint64_t times, struct mf_err *err);

/* Adds all counts of the table of `from`, which is empty then. */
int mf_words_merge(struct mf_words *words, struct mf_words *from, struct mf_err *err);

/* The memory that learning from the words in the table takes, in bytes, with so many bytes of text a symbol.
 */
size_t mf_words_memory(const struct mf_words *words, size_t symbol);

uint64_t mf_words_bytes(const struct mf_words *words);  /* of text so far */
bool mf_words_spilled(const struct mf_words *words);    /* are some on disk? */
size_t mf_words_distinct(const struct mf_words *words); /* in the table */

/* The words of the table one by one: *at is 0 at first. Returns their count, 0 behind the last. */
uint64_t mf_words_next(const struct mf_words *words, size_t *at, const char **word, size_t *size);

/* Hands all words over, each once, in no order to rely on. There are none then. */
typedef int mf_words_take(void *context, const char *word, size_t size, uint64_t count, struct mf_err *err);
int mf_words_each(struct mf_words *words, mf_words_take *take, void *context, struct mf_err *err);

/* What counting a stream of documents met. */
struct mf_words_report {
    uint64_t documents, counted, cut; /* read, and of them counted; words that were cut */
    char first_cut[64];               /* the document with the first cut word */
};

/* Counts all documents of a stream with the pool's threads; the result does not depend on their number, nor
 * on `memory`, which is that of mf_words_new. Adds to the report, so that the streams of a corpus are counted
 * one by one. `shown` is called now and then with the number of documents; may be NULL. EX_DATAERR too. */
int mf_words_count(struct mf_words *words, struct mf_stream_reader *docs, struct mf_pool *pool, size_t memory,
                   struct mf_words_report *report, void (*shown)(void *context, uint64_t documents),
                   void *context, struct mf_err *err);

#endif
