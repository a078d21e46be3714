/* The GPT-2 pattern as a small scanner. */
#include "text/pretokenize.h"

#include <utf8proc.h>
#include "text/kinds.h"

/* Where the word ends whose last character so far, of kind `kind`, ends at `at`. */
static size_t run(const char *text, size_t size, size_t at, unsigned kind) {
    unsigned alike = kind & MF_LETTER ? MF_LETTER : kind & MF_NO_WORD ? MF_NO_WORD : kind;
    return mf_kind_run(text, size, at, alike);
}

/* 's 't 'm 'd 're 've 'll, in lower case only, as the pattern has it */
static size_t contraction(const char *text, size_t size) {
    if (size < 2 || text[0] != '\'') return 0;
    char a = text[1], b = size > 2 ? text[2] : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* White space: all of it at the end of the text; before a word all but its last character, which begins the
 * next word or stands alone. */
static size_t space(const char *text, size_t size) {
    size_t at = 0, last = 0, length;
    while (at < size && mf_kind(text + at, size - at, &length) == MF_SPACE) {
        last = at;
        at += length;
    }
    return at == size || last == 0 ? at : last;
}

size_t mf_word_length(const char *text, size_t size) {
    size_t length, next;
    unsigned first = mf_kind(text, size, &length);
    size_t n = contraction(text, size);
    if (n) return n;
    if (first != MF_SPACE) return run(text, size, length, first);
    if (*text == ' ' && size > 1) {
        unsigned second = mf_kind(text + 1, size - 1, &next);
        if (second != MF_SPACE) return run(text, size, 1 + next, second);
    }
    return space(text, size);
}

/* --- around added tokens --- */

/* The length of the last character. */
static size_t last_length(const char *text, size_t size) {
    size_t n = 1, length;
    while (n < 4 && n < size && ((unsigned char)text[size - n] & 0xc0) == 0x80) n++;
    return mf_character(text + size - n, n, &length) >= 0 && length == n ? n : 1;
}

size_t mf_space_at_begin(const char *text, size_t size) {
    return mf_kind_run(text, size, 0, MF_SPACE);
}

size_t mf_space_at_end(const char *text, size_t size) {
    size_t left = size, length;
    while (left) {
        size_t n = last_length(text, left);
        if (mf_kind(text + left - n, n, &length) != MF_SPACE) break;
        left -= n;
    }
    return size - left;
}

/* Unicode's \w (UTS 18, annex C): Alphabetic, marks, decimal digits, connectors and the two joiners. */
static bool of_words(int32_t c) {
    if (c < 0) return false;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    case UTF8PROC_CATEGORY_SO: /* letters in circles and squares are Alphabetic */
        return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
               (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    default:
        return c == 0x200c || c == 0x200d;
    }
}

bool mf_begins_with_word(const char *text, size_t size) {
    size_t length;
    return size && of_words(mf_character(text, size, &length));
}

bool mf_ends_in_word(const char *text, size_t size) {
    if (!size) return false;
    size_t n = last_length(text, size), length;
    return of_words(mf_character(text + size - n, n, &length));
}
