/* Training a tokenizer: the merges are learnt from the counts of words (words.h). */
#ifndef MF_TEXT_TOKENIZER_TRAIN_H
#define MF_TEXT_TOKENIZER_TRAIN_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/file.h"
#include "text/words.h"

/* The smallest vocabulary: the special tokens and the bytes. */
#define MF_VOCAB_MIN 260

/* Learns a vocabulary of at most `vocab_size` tokens (>= MF_VOCAB_MIN) from pairs that occur at least
 * `min_frequency` times, and writes tokenizer.json. *reached is the size it has. */
int mf_words_train(const struct mf_words *words, size_t vocab_size, uint64_t min_frequency,
                   struct mf_out *out, size_t *reached, struct mf_err *err);

/* Bytes that learning and writing so many tokens takes, besides the words. */
size_t mf_words_train_memory(size_t vocab_size);

#endif
