/* Formats messages that are too long, by a second look at the arguments. */
#include "base/shorten.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/strings.h"

/* The most strings of a message that are looked at, and what a shortened one keeps at least. */
enum { STRINGS = 8, SHORTEST = 120 };

/* Takes the argument of a conversion, which begins behind its '%', and moves behind the conversion. Returns
 * the argument where that is a whole string; one with a precision may have no end. */
static const char *next_string(const char **format, va_list *args) {
    bool precise = false;
    size_t longs = 0;
    for (; **format && !strchr("sdiucxgefp%", **format); ++*format) {
        if (**format == '*') (void)va_arg(*args, int);
        if (**format == '.') precise = true;
        longs += strchr("lzj", **format) != NULL;
    }
    char conversion = **format;
    if (conversion) ++*format;
    if (conversion == 's')
        return precise ? ((void)va_arg(*args, const char *), NULL) : va_arg(*args, const char *);
    if (conversion == 'p') (void)va_arg(*args, const void *);
    if (conversion && strchr("gef", conversion)) (void)va_arg(*args, double);
    bool whole = conversion && strchr("diucx", conversion);
    if (whole && longs) (void)va_arg(*args, long);
    if (whole && !longs) (void)va_arg(*args, int);
    return NULL;
}

/* The strings among the arguments of a format. */
static size_t list_strings(const char *format, va_list args, const char *strings[STRINGS]) {
    size_t n = 0;
    va_list copy;
    va_copy(copy, args);
    while (n < STRINGS && (format = strchr(format, '%'))) {
        format++;
        strings[n] = next_string(&format, &copy);
        n += strings[n] != NULL;
    }
    va_end(copy);
    return n;
}

static bool inside_character(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Replaces the middle of the `size` bytes at `at` by dots, so that about `max` remain. */
static void cut_middle(char *at, size_t size, size_t max) {
    static const char dots[] = "...";
    char *from = at + max / 2, *to = at + size - (max - max / 2 - strlen(dots));
    for (int i = 0; i < 3 && from > at && inside_character(*from); i++) from--;
    for (int i = 0; i < 3 && inside_character(*to); i++) to++;
    memcpy(from, dots, strlen(dots));
    memmove(from + strlen(dots), to, strlen(to) + 1);
}

/* Shortens the longest of the strings in a text until it has less than `capacity` bytes, or nothing long is
 * left.
 */
static void shorten(char *text, size_t capacity, const char *const strings[], size_t n) {
    for (size_t length; (length = strlen(text)) >= capacity;) {
        size_t longest = SHORTEST;
        char *at = NULL;
        for (size_t i = 0; i < n; i++) {
            char *found = strlen(strings[i]) > longest ? strstr(text, strings[i]) : NULL;
            if (!found) continue;
            longest = strlen(strings[i]);
            at = found;
        }
        if (!at) return;
        size_t over = length - capacity + 1;
        cut_middle(at, longest, longest > over + SHORTEST ? longest - over : SHORTEST);
    }
}

void mf_shorten(char *text, size_t capacity, const char *format, va_list args, const char *reason) {
    const char *strings[STRINGS];
    size_t n = list_strings(format, args, strings);
    char *message;
    if (vasprintf(&message, format, args) < 0) mf_no_memory();
    char *whole = mf_format("%s%s%s", message, reason ? ": " : "", reason ? reason : "");
    shorten(whole, capacity, strings, n);
    snprintf(text, capacity, "%s", whole);
    free(whole);
    free(message);
}
