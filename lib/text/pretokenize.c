/* The GPT-2 pattern as a small scanner. */
#include "text/pretokenize.h"

#include <utf8proc.h>

enum kind { OTHER, LETTER, NUMBER, SPACE };

/* Plain ASCII, by far the most frequent, by a table. */
static const unsigned char ascii[128] = {[9 ... 13] = SPACE,
                                         [' '] = SPACE,
                                         ['0' ... '9'] = NUMBER,
                                         ['A' ... 'Z'] = LETTER,
                                         ['a' ... 'z'] = LETTER};

static enum kind kind_of(utf8proc_int32_t c) {
    if (c == 0x85) return SPACE; /* White_Space without category Z */
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return SPACE;
    default:
        return OTHER;
    }
}

/* The character at `text`, or -1 for a byte that is none; its length in bytes. */
static utf8proc_int32_t character(const char *text, size_t size, size_t *length) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, size < 4 ? (utf8proc_ssize_t)size : 4, &c);
    *length = n < 1 ? 1 : (size_t)n;
    return n < 1 ? -1 : c;
}

/* The kind of the character at `text`, and its length in bytes. */
static enum kind look(const char *text, size_t size, size_t *length) {
    unsigned char first = (unsigned char)*text;
    *length = 1;
    if (first < 0x80) return (enum kind)ascii[first];
    utf8proc_int32_t c = character(text, size, length);
    return c < 0 ? OTHER : kind_of(c);
}

static size_t run(const char *text, size_t size, size_t at, enum kind wanted) {
    size_t length;
    while (at < size && look(text + at, size - at, &length) == wanted) at += length;
    return at;
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
    while (at < size && look(text + at, size - at, &length) == SPACE) {
        last = at;
        at += length;
    }
    return at == size || last == 0 ? at : last;
}

size_t mf_word_length(const char *text, size_t size) {
    size_t length, next;
    enum kind first = look(text, size, &length);
    size_t n = contraction(text, size);
    if (n) return n;
    if (first != SPACE) return run(text, size, length, first);
    if (*text == ' ' && size > 1) {
        enum kind second = look(text + 1, size - 1, &next);
        if (second != SPACE) return run(text, size, 1 + next, second);
    }
    return space(text, size);
}

/* --- around added tokens --- */

/* The length of the last character. */
static size_t last_length(const char *text, size_t size) {
    size_t n = 1, length;
    while (n < 4 && n < size && ((unsigned char)text[size - n] & 0xc0) == 0x80) n++;
    return character(text + size - n, n, &length) >= 0 && length == n ? n : 1;
}

size_t mf_space_at_begin(const char *text, size_t size) {
    return run(text, size, 0, SPACE);
}

size_t mf_space_at_end(const char *text, size_t size) {
    size_t left = size, length;
    while (left) {
        size_t n = last_length(text, left);
        if (look(text + left - n, n, &length) != SPACE) break;
        left -= n;
    }
    return size - left;
}

/* Unicode's \w (UTS 18, annex C): Alphabetic, marks, decimal digits, connectors and the two joiners. */
static bool of_words(utf8proc_int32_t c) {
    if (c < 0) return false;
    switch (utf8proc_category(c)) {
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
        return c == 0x200c || c == 0x200d || kind_of(c) == LETTER;
    }
}

bool mf_begins_with_word(const char *text, size_t size) {
    size_t length;
    return size && of_words(character(text, size, &length));
}

bool mf_ends_in_word(const char *text, size_t size) {
    if (!size) return false;
    size_t n = last_length(text, size), length;
    return of_words(character(text + size - n, n, &length));
}
