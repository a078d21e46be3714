/* The table of words, for words.c and those who fill and spill it. */
#ifndef MF_TEXT_WORDS_INTERNAL_H
#define MF_TEXT_WORDS_INTERNAL_H

#include <stdbool.h>
#include "io/sort.h"
#include "io/spill.h"
#include "text/words.h"

struct word {
    uint64_t hash, count; /* count 0: empty slot */
    size_t at, size;
};

/* What a full table went to. */
struct words_spill {
    struct mf_spill text; /* of each word its size, 8 bytes, and its bytes */
    struct mf_sort *sort; /* by the hash of the word: where it is in `text`, and its count */
    size_t memory;        /* of the sort */
};

struct mf_words {
    struct word *table;
    size_t capacity, count;
    char *text; /* the distinct words' bytes */
    size_t text_capacity, text_used;
    size_t max_word;
    uint64_t max_hash;             /* of a text that mf_words_count counts */
    size_t max_capacity, max_text; /* where the table is full; 0: no limit */
    uint64_t bytes;
    struct words_spill spill;
};

static inline bool words_full(const struct mf_words *w) {
    return w->max_capacity && (2 * w->count >= w->max_capacity || w->text_used >= w->max_text);
}

/* Forgets all words, and keeps the memory. */
void words_empty(struct mf_words *w);

/* Forgets all words of the table and its memory. */
void words_release(struct mf_words *w);

/* Counts words from *done on until the text ends or the table is full; *done is where. Returns words cut, or
 * -1. */
int64_t words_add_some(struct mf_words *w, const char *text, size_t size, size_t *done, struct mf_err *err);

/* Writes all words of the table to the spill, and empties it. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int words_spill(struct mf_words *w, struct mf_err *err);

/* mf_words_each of words that were spilled. */
int words_spilled_each(struct mf_words *w, mf_words_take *take, void *context, struct mf_err *err);
void words_spill_free(struct words_spill *s);

#endif
