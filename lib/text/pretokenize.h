/* Cutting text into words before BPE, as GPT-2 does:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * written out by hand over UTF-8, in one pass. A byte that is not part of valid UTF-8 counts as one character
 * that is neither letter, number nor space. */
#ifndef MF_TEXT_PRETOKENIZE_H
#define MF_TEXT_PRETOKENIZE_H

#include <stddef.h>

/* The length of the first word of text[0..size), size >= 1; never 0. */
size_t mf_word_length(const char *text, size_t size);

#endif
