/* Patterns of foreign tokenizers, searched for in bytes.
 *
 * Patterns are written for Oniguruma, whose syntax is Ruby's; they are translated for PCRE2 (its JIT where
 * there is one), and what means something else there or has no equal is refused by name. The patterns of
 * today's families are known by their exact text and have scanners of their own (families.h). */
#ifndef MF_TEXT_PATTERN_H
#define MF_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Finds the first match in text[from..size): its bounds, never empty. Bytes that are not of valid UTF-8 count
 * as control characters. */
typedef bool mf_scanner(const char *text, size_t size, size_t from, size_t *begin, size_t *end);

enum mf_pattern_kind {
    MF_PATTERN_STRING, /* these bytes, which are not none */
    MF_PATTERN_REGEX,  /* by a scanner where it is known, else by PCRE2 */
    MF_PATTERN_PCRE    /* a regex, always by PCRE2 */
};

struct mf_pattern;

/* EX_DATAERR: a pattern that is malformed, not supported, or that matches nothing at all. */
int mf_pattern_new(struct mf_pattern **pattern, enum mf_pattern_kind kind, const char *text, size_t size,
                   struct mf_err *err);
int mf_pattern_new_scanner(struct mf_pattern **pattern, mf_scanner *scanner, struct mf_err *err);
void mf_pattern_free(struct mf_pattern *pattern); /* accepts NULL */

/* A search for all matches of a pattern in a text, one after the other; one a thread. NULL for no pattern. */
struct mf_search;
struct mf_search *mf_search_new(const struct mf_pattern *pattern);
void mf_search_free(struct mf_search *search); /* accepts NULL */

/* A text of `size` bytes begins, which may be searched in parts: the steps of all searches of it are counted
 * together. */
void mf_search_text(struct mf_search *search, size_t size); /* accepts NULL */

/* `text` is borrowed until the next begin. */
int mf_search_begin(struct mf_search *search, const char *text, size_t size, struct mf_err *err);

/* The next match: 1, or 0 where there is none. EX_DATAERR where it takes more steps than a match, or all of
 * this text, may: that is never "no match". */
int mf_search_next(struct mf_search *search, size_t *begin, size_t *end, struct mf_err *err);

#endif
