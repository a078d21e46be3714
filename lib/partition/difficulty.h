/* How hard a text is to read, for the curriculum. */
#ifndef MF_PARTITION_DIFFICULTY_H
#define MF_PARTITION_DIFFICULTY_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Room for the distinct words of one text; zeroed before the first use, kept between texts. */
struct mf_distinct {
    uint64_t *hashes; /* [capacity] open addressing; 0 is empty */
    size_t capacity;
};

/* Average word length (in characters) * log(distinct words) * sqrt(words); words are what white space
 * separates. 0 for fewer than two distinct words. Words are told apart by a 64-bit hash of their bytes.
 * EX_OSERR. */
int mf_difficulty(struct mf_distinct *words, const char *text, size_t size, double *difficulty,
                  struct mf_err *err);
void mf_distinct_free(struct mf_distinct *words);

#endif
