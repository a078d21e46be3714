/* Small helpers on strings that come from people: strict numbers, lists, nearest names. */
#ifndef MF_BASE_STRINGS_H
#define MF_BASE_STRINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing list of borrowed strings. mf_strs_free releases the list, not the strings. */
struct mf_strs {
    const char **items;
    size_t count, capacity;
};
void mf_strs_add(struct mf_strs *list, const char *item); /* ends the process when memory is out */
void mf_strs_free(struct mf_strs *list);

/* Strict numbers: the whole text, no white space, no overflow. 0, or -1 when it is not one. Reals refuse NaN
 * and infinity. Sizes take a suffix K, M or G (powers of 1024). */
int mf_parse_int(const char *text, int64_t *value);
int mf_parse_real(const char *text, double *value);
int mf_parse_size(const char *text, uint64_t *value);

/* The shortest decimal that reads back as the same number; with `single` as the same float. */
#define MF_REAL_TEXT 32
void mf_real_text(char text[MF_REAL_TEXT], double value, bool single);

/* A new formatted string, freed by free(); ends the process when memory is out. For paths: they have no
 * largest length that a fixed buffer could have. */
char *mf_format(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* Where `text` [n] stands among the choices "a|b|c", from 0, or -1; and the text of number `index`, cut like
 * snprintf. */
int mf_choice(const char *choices, const char *text, size_t n);
void mf_choice_name(const char *choices, int index, char *text, size_t size);

/* The item of `names` nearest to `name` by edit distance, or NULL when none is near (more than a third of its
 * letters differ). Borrowed from `names`. */
const char *mf_nearest(const char *name, const char *const *names, size_t count);

#endif
