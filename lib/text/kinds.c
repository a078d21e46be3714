/* Kinds by tables: one for ASCII, by far the most frequent, one for the categories of utf8proc. */
#include "text/kinds.h"

#include <utf8proc.h>

static const uint16_t of_ascii[128] = {[0 ... 8] = MF_CONTROL,
                                       [9 ... 13] = MF_SPACE,
                                       [14 ... 31] = MF_CONTROL,
                                       [' '] = MF_SPACE,
                                       ['!' ... '#'] = MF_PUNCTUATION,
                                       ['$'] = MF_SYMBOL,
                                       ['%' ... '*'] = MF_PUNCTUATION,
                                       ['+'] = MF_SYMBOL,
                                       [',' ... '/'] = MF_PUNCTUATION,
                                       ['0' ... '9'] = MF_NUMBER,
                                       [':' ... ';'] = MF_PUNCTUATION,
                                       ['<' ... '>'] = MF_SYMBOL,
                                       ['?' ... '@'] = MF_PUNCTUATION,
                                       ['A' ... 'Z'] = MF_UPPER,
                                       ['[' ... ']'] = MF_PUNCTUATION,
                                       ['^'] = MF_SYMBOL,
                                       ['_'] = MF_PUNCTUATION,
                                       ['`'] = MF_SYMBOL,
                                       ['a' ... 'z'] = MF_LOWER,
                                       ['{'] = MF_PUNCTUATION,
                                       ['|'] = MF_SYMBOL,
                                       ['}'] = MF_PUNCTUATION,
                                       ['~'] = MF_SYMBOL,
                                       [127] = MF_CONTROL};

static const uint16_t of_category[] = {
    [UTF8PROC_CATEGORY_LU] = MF_UPPER,        [UTF8PROC_CATEGORY_LT] = MF_UPPER,
    [UTF8PROC_CATEGORY_LL] = MF_LOWER,        [UTF8PROC_CATEGORY_LM] = MF_OTHER_LETTER,
    [UTF8PROC_CATEGORY_LO] = MF_OTHER_LETTER, [UTF8PROC_CATEGORY_MN] = MF_MARK,
    [UTF8PROC_CATEGORY_MC] = MF_MARK,         [UTF8PROC_CATEGORY_ME] = MF_MARK,
    [UTF8PROC_CATEGORY_ND] = MF_NUMBER,       [UTF8PROC_CATEGORY_NL] = MF_NUMBER,
    [UTF8PROC_CATEGORY_NO] = MF_NUMBER,       [UTF8PROC_CATEGORY_PC] = MF_PUNCTUATION,
    [UTF8PROC_CATEGORY_PD] = MF_PUNCTUATION,  [UTF8PROC_CATEGORY_PS] = MF_PUNCTUATION,
    [UTF8PROC_CATEGORY_PE] = MF_PUNCTUATION,  [UTF8PROC_CATEGORY_PI] = MF_PUNCTUATION,
    [UTF8PROC_CATEGORY_PF] = MF_PUNCTUATION,  [UTF8PROC_CATEGORY_PO] = MF_PUNCTUATION,
    [UTF8PROC_CATEGORY_SM] = MF_SYMBOL,       [UTF8PROC_CATEGORY_SC] = MF_SYMBOL,
    [UTF8PROC_CATEGORY_SK] = MF_SYMBOL,       [UTF8PROC_CATEGORY_SO] = MF_SYMBOL,
    [UTF8PROC_CATEGORY_ZS] = MF_SPACE,        [UTF8PROC_CATEGORY_ZL] = MF_SPACE,
    [UTF8PROC_CATEGORY_ZP] = MF_SPACE,        [UTF8PROC_CATEGORY_CC] = MF_CONTROL,
    [UTF8PROC_CATEGORY_CF] = MF_CONTROL,      [UTF8PROC_CATEGORY_CS] = MF_CONTROL,
    [UTF8PROC_CATEGORY_CO] = MF_CONTROL,      [UTF8PROC_CATEGORY_CN] = MF_CONTROL};

int32_t mf_character(const char *text, size_t size, size_t *length) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, size < 4 ? (utf8proc_ssize_t)size : 4, &c);
    *length = n < 1 ? 1 : (size_t)n;
    return n < 1 ? -1 : c;
}

unsigned mf_kind(const char *text, size_t size, size_t *length) {
    unsigned char first = (unsigned char)*text;
    *length = 1;
    if (first < 0x80) return of_ascii[first];
    int32_t c = mf_character(text, size, length);
    if (c < 0) return MF_CONTROL;
    if (c == 0x85) return MF_SPACE; /* White_Space without category Z */
    return of_category[utf8proc_category(c)];
}

size_t mf_kind_run(const char *text, size_t size, size_t at, unsigned kinds) {
    size_t length;
    while (at < size && mf_kind(text + at, size - at, &length) & kinds) at += length;
    return at;
}
