/* Training a tokenizer: words are counted, not kept in order, and the merges are learnt from the counts. */
#ifndef MF_TEXT_TRAIN_H
#define MF_TEXT_TRAIN_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/file.h"

/* Words longer than this many bytes are counted in pieces, so that one enormous word costs no more than its
 * length; and no further than to MF_WORD_MOST, so that it does not take the vocabulary from the others. */
#define MF_WORD_LIMIT ((size_t)256)
#define MF_WORD_MOST  ((size_t)16384)

/* The smallest vocabulary: the special tokens and the bytes. */
#define MF_VOCAB_MIN 260

struct mf_words;
int mf_words_new(struct mf_words **words, struct mf_err *err);
void mf_words_free(struct mf_words *words); /* accepts NULL */

/* Counts the words of one text. Returns the number of words that were cut, or -1. */
int64_t mf_words_add(struct mf_words *words, const char *text, size_t size, struct mf_err *err);
uint64_t mf_words_bytes(const struct mf_words *words); /* of text so far */
size_t mf_words_distinct(const struct mf_words *words);

/* Learns a vocabulary of at most `vocab_size` tokens (>= MF_VOCAB_MIN) from pairs that occur at least
 * `min_frequency` times, and writes tokenizer.json. *reached is the size it has. The words are used up. */
int mf_words_train(struct mf_words *words, size_t vocab_size, uint64_t min_frequency, struct mf_out *out,
                   size_t *reached, struct mf_err *err);

#endif
