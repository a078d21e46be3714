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

/* What came of it. */
struct mf_words_learnt {
    size_t tokens; /* that the vocabulary has */
    size_t rounds; /* of learning (bpe_rounds.h); 0: all words fitted into memory */
};

/* Learns a vocabulary of at most `vocab_size` tokens (>= MF_VOCAB_MIN) from pairs that occur at least
 * `min_frequency` times, and writes tokenizer.json. memory: bytes that the words and learning from them may
 * take; 0: no limit; the result does not depend on it. The words are used up. EX_CANTCREAT, EX_IOERR,
 * EX_OSERR. */
int mf_words_train(struct mf_words *words, size_t memory, size_t vocab_size, uint64_t min_frequency,
                   struct mf_out *out, struct mf_words_learnt *learnt, struct mf_err *err);

/* Bytes that learning and writing so many tokens takes, besides the words. */
size_t mf_words_train_memory(size_t vocab_size);

#endif
