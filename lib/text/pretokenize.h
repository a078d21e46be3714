/* Cutting text into words before BPE, as GPT-2 does:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * written out by hand over UTF-8, in one pass. A byte that is not part of valid UTF-8 counts as one character
 * that is neither letter, number nor space. */
#ifndef MF_TEXT_PRETOKENIZE_H
#define MF_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the first word of text[0..size), size >= 1; never 0. */
size_t mf_word_length(const char *text, size_t size);

/* The bytes of white space (\s) at either end of text. */
size_t mf_space_at_begin(const char *text, size_t size);
size_t mf_space_at_end(const char *text, size_t size);

/* Is there a character of words (\w: letters, marks, digits, joining ones) at this end of text? */
bool mf_begins_with_word(const char *text, size_t size);
bool mf_ends_in_word(const char *text, size_t size);

#endif
