/* The GPT-2 pattern as a small scanner. */
#include "text/pretokenize.h"

#include <utf8proc.h>

enum class { OTHER, LETTER, NUMBER, SPACE };

static enum class class_of(utf8proc_int32_t c) {
    if (c < 0x80){if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LETTER;
                  if (c >= '0' && c <= '9') return NUMBER;
                  return c == ' ' || (c >= 9 && c <= 13) ? SPACE : OTHER;}
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

/* The class of the character at `text`, and its length in bytes. */
static enum class look(const char *text, size_t size, size_t *length) {
    unsigned char first = (unsigned char)*text; *length = 1; if (first < 0x80) return class_of(first);
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text,
                                          size < 4 ? (utf8proc_ssize_t)size : 4, &c);
    if (n < 1) return OTHER;
    *length = (size_t)n;
    return class_of(c);
}

static size_t run(const char *text, size_t size, size_t at, enum class wanted) {
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
    enum class first = look(text, size, &length);
    size_t n = contraction(text, size);
    if (n) return n;
    if (first != SPACE) return run(text, size, length, first);
    if (*text == ' ' && size > 1) {
        enum class second = look(text + 1, size - 1, &next);
        if (second != SPACE) return run(text, size, 1 + next, second);
    }
    return space(text, size);
}
