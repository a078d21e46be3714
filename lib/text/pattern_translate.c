/* From Oniguruma's syntax (Ruby's) to PCRE2's. Passed on is what means the same in both; white space is
 * spelled out, since PCRE2's has U+180E too; a name in \p{} that is no category is a script. The rest is
 * refused. */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/memory.h"
#include "text/pattern_internal.h"

#define SPACES                                                                                               \
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACES                                                                                            \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"      \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

/* A character of the pattern becomes at most so many bytes. */
#define LONGEST (sizeof NO_SPACES + 8)

struct translation {
    const char *text;
    size_t size, at;
    char *out;
    size_t n;
    bool set;      /* between [ and ] */
    bool caseless; /* somewhere */
    struct mf_err *err;
};

static int refuse(struct translation *t, size_t from, size_t size) {
    if (size > t->size - from) size = t->size - from;
    return mf_err_set(t->err, EX_DATAERR, "pattern '%.*s': '%.*s' is not supported",
                      (int)(t->size < 100 ? t->size : 100), t->text, (int)(size < 40 ? size : 40),
                      t->text + from);
}

static int put(struct translation *t, const char *text, size_t size) {
    memcpy(t->out + t->n, text, size);
    t->n += size;
    return 0;
}

static int put_text(struct translation *t, const char *text) {
    return put(t, text, strlen(text));
}

static bool follows(const struct translation *t, size_t ahead, const char *text) {
    size_t n = strlen(text);
    return t->at + ahead + n <= t->size && memcmp(t->text + t->at + ahead, text, n) == 0;
}

/* As it is, `n` bytes. */
static int pass(struct translation *t, size_t n) {
    t->at += n;
    return put(t, t->text + t->at - n, n);
}

/* The set of white space, or of all else. */
static int put_spaces(struct translation *t, bool all_else) {
    t->at += 2;
    if (t->set && follows(t, 0, "-") && !follows(t, 0, "-]")) return refuse(t, t->at - 2, 3);
    if (t->set) return put_text(t, all_else ? NO_SPACES : SPACES);
    return put_text(t, all_else ? "[^" SPACES "]" : "[" SPACES "]");
}

/* \p{Name}, \P{Name}, \p{^Name}: a general category, else a script. */
static int put_property(struct translation *t) {
    const char *open = t->text + t->at + 2, *close = memchr(t->text + t->at, '}', t->size - t->at);
    if (!follows(t, 2, "{") || !close || close - open > 40) return refuse(t, t->at, 2);
    const char *name = open + 1;
    bool negated = *name == '^';
    name += negated;
    size_t size = (size_t)(close - name);
    for (size_t i = 0; i < size; i++)
        if (!isalpha((unsigned char)name[i]) && name[i] != '_') return refuse(t, t->at, 3 + size);
    if (size == 0) return refuse(t, t->at, 4);
    bool category = size <= 2 && strchr("LMNPSZC", name[0]) && (size == 1 || islower((unsigned char)name[1]));
    put(t, t->text + t->at, 2);
    put_text(t, negated ? "{^" : "{");
    if (!category) put_text(t, "sc:");
    put(t, name, size + 1);
    t->at = (size_t)(close - t->text) + 1;
    return 0;
}

/* \xHH below 80 (above, it is a byte there and a character here), \x{...}, \uHHHH. */
static int put_number(struct translation *t) {
    const char *digits = t->text + t->at + 2;
    size_t left = t->size - t->at - 2, n = 0;
    while (n < left && n < 4 && isxdigit((unsigned char)digits[n])) n++;
    if (follows(t, 0, "\\u") && n == 4) {
        put_text(t, "\\x{");
        put(t, digits, 4);
        t->at += 6;
        return put_text(t, "}");
    }
    if (follows(t, 0, "\\x{")) return pass(t, 3);
    if (follows(t, 0, "\\x") && n >= 2 && digits[0] < '8') return pass(t, 4);
    return refuse(t, t->at, 4);
}

static int put_escape(struct translation *t) {
    if (t->at + 1 == t->size) return refuse(t, t->at, 1);
    unsigned char c = (unsigned char)t->text[t->at + 1];
    switch (c) {
    case 's':
    case 'S':
        return put_spaces(t, c == 'S');
    case 'p':
    case 'P':
        return put_property(t);
    case 'x':
    case 'u':
        return put_number(t);
    case 'd':
    case 'D':
        t->at += 2;
        return put_text(t, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
    case 'v': /* there it is one character, here all that end lines */
        t->at += 2;
        return put_text(t, "\\x0b");
    default:
        if (isalnum(c) && !strchr("rntf", c)) return refuse(t, t->at, 2);
        return pass(t, 2 - (c >= 0x80)); /* a letter of others needs no escape */
    }
}

static int put_of_set(struct translation *t) {
    if (follows(t, 0, "[") || follows(t, 0, "&&")) return refuse(t, t->at, 2);
    if (follows(t, 0, "]")) t->set = false;
    return pass(t, 1);
}

/* A group: these open alike in both. (?i) reaches as far in both at the beginning only. */
static int put_group(struct translation *t) {
    static const char *const openings[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    if (follows(t, 0, "(*")) return refuse(t, t->at, 2);
    if (follows(t, 0, "(?i")) t->caseless = true;
    if (t->at == 0 && follows(t, 0, "(?i)")) return pass(t, 4);
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++)
        if (follows(t, 0, openings[i])) return pass(t, strlen(openings[i]));
    return follows(t, 0, "(?") ? refuse(t, t->at, 4) : pass(t, 1);
}

/* {n}, {n,}, {n,m}: what stands behind them means other things there. */
static int put_times(struct translation *t) {
    size_t n = 1, digits = 0;
    bool comma = false;
    for (; t->at + n < t->size && (isdigit((unsigned char)t->text[t->at + n]) || follows(t, n, ",")); n++) {
        comma |= t->text[t->at + n] == ',';
        digits += !comma;
    }
    if (!digits || !follows(t, n, "}") || follows(t, n + 1, "+") || (!comma && follows(t, n + 1, "?")))
        return refuse(t, t->at, n + 2);
    return pass(t, n + 1);
}

static int put_one(struct translation *t) {
    if (t->text[t->at] == '\0') return refuse(t, t->at, 0);
    if (t->text[t->at] == '\\') return put_escape(t);
    if (t->set) return put_of_set(t);
    if (follows(t, 0, "(")) return put_group(t);
    if (follows(t, 0, "{")) return put_times(t);
    if (!follows(t, 0, "[")) return pass(t, 1);
    t->set = true;
    if (follows(t, 1, "]") || follows(t, 1, "^]")) return refuse(t, t->at, 2);
    return pass(t, follows(t, 1, "^") ? 2 : 1);
}

/* Without regard to case, some letters equal two there: sharp s, ligatures, capitals of other scripts. */
static int check_case(struct translation *t) {
    static const char *const pairs[] = {"ss", "st", "ff", "fi", "fl"};
    for (t->at = 0; t->at < t->size; t->at++) {
        if ((unsigned char)t->text[t->at] >= 0x80) return refuse(t, t->at, 1);
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            if (t->size - t->at >= 2 && strncasecmp(t->text + t->at, pairs[i], 2) == 0)
                return refuse(t, t->at, 2);
    }
    return 0;
}

int pattern_translate(const char *text, size_t size, char **out, size_t *out_size, struct mf_err *err) {
    struct translation t = {.text = text, .size = size, .err = err};
    int status = size > 65536 ? mf_err_set(err, EX_DATAERR, "a pattern of %zu bytes", size) : 0;
    if (status < 0) return -1;
    t.out = malloc(size * LONGEST + 1);
    if (!t.out) mf_no_memory();
    while (t.at < size && status == 0) status = put_one(&t);
    if (status == 0 && t.caseless) status = check_case(&t);
    if (status < 0) {
        free(t.out);
        return -1;
    }
    *out = t.out;
    *out_size = t.n;
    return 0;
}
