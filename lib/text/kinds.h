/* Characters of UTF-8 by Unicode's categories. A byte that is no part of valid UTF-8 is a character of
 * the kind MF_CONTROL. */
#ifndef MF_TEXT_KINDS_H
#define MF_TEXT_KINDS_H

#include <stddef.h>
#include <stdint.h>

/* Sets of kinds; each character is of one. */
enum mf_kind {
    MF_UPPER = 1,        /* Lu, Lt */
    MF_LOWER = 2,        /* Ll */
    MF_OTHER_LETTER = 4, /* Lm, Lo */
    MF_MARK = 8,         /* M */
    MF_NUMBER = 16,      /* N */
    MF_SPACE = 32,       /* White_Space: Z, U+0009 to U+000D, U+0085 */
    MF_PUNCTUATION = 64, /* P */
    MF_SYMBOL = 128,     /* S */
    MF_CONTROL = 256,    /* C: controls, formats, what is not assigned */
    MF_LETTER = MF_UPPER | MF_LOWER | MF_OTHER_LETTER,
    MF_NO_WORD = MF_MARK | MF_PUNCTUATION | MF_SYMBOL | MF_CONTROL /* [^\s\p{L}\p{N}] */
};

/* The character at `text`, size >= 1, or -1 for a byte that is none; its length in bytes. */
int32_t mf_character(const char *text, size_t size, size_t *length);

/* Its kind. */
unsigned mf_kind(const char *text, size_t size, size_t *length);

/* Where the characters of these kinds end that begin at `at`. */
size_t mf_kind_run(const char *text, size_t size, size_t at, unsigned kinds);

#endif
