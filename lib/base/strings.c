/* Strict numbers, lists of strings, nearest names. */
#include "base/strings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void mf_strs_add(struct mf_strs *list, const char *item) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8;
        const char **items = reallocarray(list->items, capacity, sizeof *items);
        if (!items) mf_no_memory();
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
}

void mf_strs_free(struct mf_strs *list) {
    free(list->items);
    *list = (struct mf_strs){0};
}

char *mf_format(const char *format, ...) {
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) mf_no_memory();
    va_end(args);
    return text;
}

int mf_parse_int(const char *text, int64_t *value) {
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (!isdigit((unsigned char)digits[0])) return -1;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || *end) return -1;
    *value = n;
    return 0;
}

int mf_parse_real(const char *text, double *value) {
    if (text[0] == 0 || text[strspn(text, "0123456789.eE+-")] != 0) return -1; /* no spaces, hex, inf, nan */
    char *end;
    double x = strtod(text, &end);
    if (*end || !isfinite(x)) return -1;
    *value = x;
    return 0;
}

int mf_parse_size(const char *text, uint64_t *value) {
    if (!isdigit((unsigned char)text[0])) return -1;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno) return -1;
    int shift = 0;
    if (*end == 'K' || *end == 'k') shift = 10;
    if (*end == 'M' || *end == 'm') shift = 20;
    if (*end == 'G' || *end == 'g') shift = 30;
    if (shift) end++;
    if (*end || n > UINT64_MAX >> shift) return -1;
    *value = (uint64_t)n << shift;
    return 0;
}

#define LONGEST 63 /* letters of a name that is worth guessing */

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Half letters of difference between two strings of at most LONGEST letters: a letter dropped or added, or
 * two neighbours exchanged, count 2, one replaced counts 3, so that of `set` and `seed` the second is nearer
 * to `sed`. The rows of Wagner and Fischer 1974, with the exchange of Damerau 1964. */
static size_t difference(const char *a, size_t n, const char *b, size_t m) {
    size_t rows[3][LONGEST + 1]; /* of letters i - 2, i - 1 and i */
    for (size_t j = 0; j <= m; j++) rows[0][j] = 2 * j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = 2 * i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = above[j - 1] + (a[i - 1] != b[j - 1] ? 3 : 0);
            row[j] = min(row[j], min(above[j], row[j - 1]) + 2);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min(row[j], second[j - 2] + 2);
        }
    }
    return rows[n % 3][m];
}

const char *mf_nearest(const char *name, const char *const *names, size_t count) {
    size_t n = strlen(name), best = SIZE_MAX;
    const char *nearest = NULL;
    if (n == 0 || n > LONGEST) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t m = strlen(names[i]), longer = n > m ? n : m;
        if (m > LONGEST) continue;
        size_t d = difference(name, n, names[i], m);
        if (n >= 3 && d > 3 && strncmp(name, names[i], n) == 0) d = 3; /* an abbreviation is near */
        if (d > 3 && 3 * d > 2 * longer) continue;                     /* one letter may always be wrong */
        if (d / 2 >= n || d >= best) continue;
        best = d;
        nearest = names[i];
    }
    return nearest;
}

void mf_real_text(char text[MF_REAL_TEXT], double value, bool single) {
    for (int digits = 1; digits <= 17; digits++) { /* 17 always do */
        snprintf(text, MF_REAL_TEXT, "%.*g", digits, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) return;
    }
}

int mf_choice(const char *choices, const char *text, size_t n) {
    for (int i = 0;; i++) {
        size_t m = strcspn(choices, "|");
        if (m == n && memcmp(choices, text, n) == 0) return i;
        if (choices[m] == 0) return -1;
        choices += m + 1;
    }
}

void mf_choice_name(const char *choices, int index, char *text, size_t size) {
    for (; index > 0; index--) choices += strcspn(choices, "|") + 1;
    snprintf(text, size, "%.*s", (int)strcspn(choices, "|"), choices);
}
