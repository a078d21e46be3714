/* The families' patterns, written out by hand. Comments quote the alternative that the code below them is. */
#include "text/families.h"

#include <stdint.h>
#include <string.h>
#include "text/kinds.h"

/* What the pattern calls the letters that may be upper case, and those that may be lower case. */
#define UPPER_LIKE (MF_UPPER | MF_OTHER_LETTER | MF_MARK)
#define LOWER_LIKE (MF_LOWER | MF_OTHER_LETTER | MF_MARK)

struct text {
    const char *bytes;
    size_t size;
};

static unsigned kind_at(const struct text *t, size_t at, size_t *behind) {
    size_t length = 0;
    unsigned kind = at < t->size ? mf_kind(t->bytes + at, t->size - at, &length) : 0;
    *behind = at + length;
    return kind;
}

static size_t run(const struct text *t, size_t at, unsigned kinds) {
    return mf_kind_run(t->bytes, t->size, at, kinds);
}

static bool is_newline(const struct text *t, size_t at) {
    return at < t->size && (t->bytes[at] == '\n' || t->bytes[at] == '\r');
}

/* \p{N}{1,n}, or `at` where there is none */
static size_t numbers(const struct text *t, size_t at, size_t n) {
    size_t behind;
    for (; n > 0 && kind_at(t, at, &behind) == MF_NUMBER; n--) at = behind;
    return at;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d), with the long s, or `at` */
static size_t contraction(const struct text *t, size_t at) {
    const char *c = t->bytes + at;
    size_t left = t->size - at;
    if (left < 2 || c[0] != '\'') return at;
    char a = (char)(c[1] | 0x20), b = left > 2 ? (char)(c[2] | 0x20) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if (left > 2 && memcmp(c + 1, "\xc5\xbf", 2) == 0) return at + 3;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? at + 3 : at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+   White space, of which there is some: through its last line end; else all of it
 * at the end of the text; else all but its last character, which begins the next word or stands alone. */
static size_t spaces(const struct text *t, size_t at) {
    size_t end = at, last = at, lines = at, behind;
    for (; kind_at(t, end, &behind) == MF_SPACE; end = behind) {
        last = end;
        if (is_newline(t, end)) lines = behind;
    }
    if (lines > at) return lines;
    return end == t->size || last == at ? end : last;
}

/* " ?" and characters of these kinds, at least one, then [\r\n]*, perhaps with slashes; or `at` */
static size_t punctuation(const struct text *t, size_t at, unsigned kinds, bool slashes) {
    size_t begin = at + (at < t->size && t->bytes[at] == ' '), end = run(t, begin, kinds);
    if (end == begin) return at;
    while (is_newline(t, end) || (slashes && end < t->size && t->bytes[end] == '/')) end++;
    return end;
}

/* [^\r\n\p{L}\p{N}]? and the place behind it */
static size_t opening(const struct text *t, size_t at) {
    size_t behind;
    unsigned kind = kind_at(t, at, &behind);
    return !kind || kind & (MF_LETTER | MF_NUMBER) || is_newline(t, at) ? at : behind;
}

/* --- Llama 3, Qwen ---
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s... */

static size_t llama(const struct text *t, size_t at, size_t digits) {
    size_t end = contraction(t, at), begin;
    if (end > at) return end;
    begin = opening(t, at);
    if ((end = run(t, begin, MF_LETTER)) > begin) return end;
    if ((end = numbers(t, at, digits)) > at) return end;
    if ((end = punctuation(t, at, MF_NO_WORD, false)) > at) return end;
    return spaces(t, at);
}

static bool scan_llama3(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    *begin = from;
    *end = llama(&(struct text){text, size}, from, 3);
    return true;
}

static bool scan_qwen(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    *begin = from;
    *end = llama(&(struct text){text, size}, from, 1);
    return true;
}

/* --- GPT-4o --- */

/* [UPPER_LIKE]*[LOWER_LIKE]+ from `at`; or `at`. Where nothing of lower case follows, the last letter that
 * may be of either ends it. */
static size_t lower_word(const struct text *t, size_t at) {
    size_t either = at, upper = at, behind, end;
    for (unsigned kind; (kind = kind_at(t, upper, &behind)) & UPPER_LIKE; upper = behind)
        if (kind & LOWER_LIKE) either = behind;
    end = run(t, upper, LOWER_LIKE);
    return end > upper ? end : either;
}

/* [^\r\n\p{L}\p{N}]? before a word of either sort, and a contraction behind it; or `at` */
static size_t cased_word(const struct text *t, size_t at) {
    size_t begin = opening(t, at), end = lower_word(t, begin);
    if (end == begin && begin > at) { /* a mark may open a word and be one */
        size_t other = lower_word(t, at);
        if (other > at) return contraction(t, other);
    }
    if (end == begin) end = run(t, begin, UPPER_LIKE);
    return end == begin ? at : contraction(t, end);
}

static size_t gpt4o(const struct text *t, size_t at) {
    size_t end = cased_word(t, at);
    if (end > at) return end;
    if ((end = numbers(t, at, 3)) > at) return end;
    if ((end = punctuation(t, at, MF_NO_WORD, true)) > at) return end;
    return spaces(t, at);
}

static bool scan_gpt4o(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    *begin = from;
    *end = gpt4o(&(struct text){text, size}, from);
    return true;
}

/* --- DeepSeek V3: three patterns, one after the other --- */

static bool scan_numbers(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    if (!mf_scan_number(text, size, from, begin, end)) return false;
    *end = numbers(&(struct text){text, size}, *begin, 3);
    return true;
}

/* [U+4E00-U+9FA5 U+3040-U+30FF]: three bytes each, of which the first says most */
static size_t han_or_kana(const struct text *t, size_t at) {
    size_t length;
    unsigned char first = (unsigned char)t->bytes[at];
    if (first < 0xe3 || first > 0xe9) return 0;
    int32_t c = mf_character(t->bytes + at, t->size - at, &length);
    return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff) ? length : 0;
}

static bool scan_han_and_kana(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    const struct text t = {text, size};
    size_t n;
    for (*begin = from; *begin < size && !han_or_kana(&t, *begin);) ++*begin;
    for (*end = *begin; *end < size && (n = han_or_kana(&t, *end)) > 0;) *end += n;
    return *end > *begin;
}

static bool is_ascii_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s...; or `at` */
static size_t deepseek(const struct text *t, size_t at) {
    size_t behind, end;
    unsigned kind = kind_at(t, at, &behind);
    if (kind & (MF_PUNCTUATION | MF_SYMBOL) && behind == at + 1) {
        for (end = behind; end < t->size && is_ascii_letter(t->bytes[end]);) end++;
        if (end > behind) return end;
    }
    if (kind & (MF_LETTER | MF_PUNCTUATION | MF_SYMBOL) || is_newline(t, at)) behind = at;
    if ((end = run(t, behind, MF_LETTER | MF_MARK)) > behind) return end;
    if (kind & MF_MARK) return behind;
    if ((end = punctuation(t, at, MF_PUNCTUATION | MF_SYMBOL, false)) > at) return end;
    return kind == MF_SPACE ? spaces(t, at) : at;
}

static bool scan_deepseek(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    const struct text t = {text, size};
    for (*begin = from; *begin < size; kind_at(&t, *begin, begin))
        if ((*end = deepseek(&t, *begin)) > *begin) return true;
    return false;
}

/* --- sets of characters --- */

bool mf_scan_number(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    const struct text t = {text, size};
    for (*begin = from; *begin < size; *begin = *end)
        if (kind_at(&t, *begin, end) == MF_NUMBER) return true;
    return false;
}

bool mf_scan_punctuation(const char *text, size_t size, size_t from, size_t *begin, size_t *end) {
    const struct text t = {text, size};
    for (*begin = from; *begin < size; *begin = *end) {
        unsigned kind = kind_at(&t, *begin, end);
        if (kind == MF_PUNCTUATION || (kind == MF_SYMBOL && *end == *begin + 1)) return true;
    }
    return false;
}

/* --- by their texts --- */

#define SPACES_LAST "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA(numbers)                                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                    \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES_LAST
#define UPPER_SET  "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER_SET  "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SHORTENED  "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define PUNCTUATED "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"

static const struct {
    const char *pattern;
    mf_scanner *scanner;
} families[MF_FAMILIES] = {
    [MF_FAMILY_LLAMA3] = {LLAMA("\\p{N}{1,3}"), scan_llama3},
    [MF_FAMILY_QWEN] = {LLAMA("\\p{N}"), scan_qwen},
    [MF_FAMILY_GPT4O] = {"[^\\r\\n\\p{L}\\p{N}]?" UPPER_SET "*" LOWER_SET "+" SHORTENED
                         "|[^\\r\\n\\p{L}\\p{N}]?" UPPER_SET "+" LOWER_SET "*" SHORTENED
                         "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES_LAST,
                         scan_gpt4o},
    [MF_FAMILY_DEEPSEEK_NUMBERS] = {"\\p{N}{1,3}", scan_numbers},
    [MF_FAMILY_DEEPSEEK_KANA] = {"[一-龥぀-ゟ゠-ヿ]+", scan_han_and_kana},
    [MF_FAMILY_DEEPSEEK] = {PUNCTUATED
                            "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+"
                            "|\\s+(?!\\S)|\\s+",
                            scan_deepseek},
};

mf_scanner *mf_family_scanner(const char *regex, size_t size) {
    for (size_t i = 0; i < MF_FAMILIES; i++)
        if (strlen(families[i].pattern) == size && memcmp(families[i].pattern, regex, size) == 0)
            return families[i].scanner;
    return NULL;
}

const char *mf_family_pattern(enum mf_family family) {
    return families[family].pattern;
}
