/* Failures as one clean line: formatting, the system's reason. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/shorten.h"

/* Replaces control characters, also those that UTF-8 writes as C2 80..9F, and drops a character that was cut
 * in the middle, so that a name from a file cannot play tricks with the reader's terminal. */
static void clean(char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i], next = (unsigned char)text[i + 1];
        if (c < 0x20 || c == 0x7f) text[i] = '?';
        if (c == 0xc2 && next >= 0x80 && next <= 0x9f) text[i] = text[i + 1] = '?';
    }
    size_t start = n;
    while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length > 1 && n - (start - 1) < length) text[start - 1] = 0;
}

/* Formats into a buffer of its own first: the arguments may point into err->text. */
static void fill(struct mf_err *err, int status, const char *format, va_list args, const char *reason) {
    char text[sizeof err->text];
    va_list again;
    va_copy(again, args);
    size_t n = (size_t)vsnprintf(text, sizeof text, format, args);
    if (reason && n < sizeof text) n += (size_t)snprintf(text + n, sizeof text - n, ": %s", reason);
    if (n >= sizeof text) mf_shorten(text, sizeof text, format, again, reason);
    va_end(again);
    clean(text);
    err->status = status;
    memcpy(err->text, text, sizeof text);
}

int mf_err_vset(struct mf_err *err, int status, const char *format, va_list args) {
    fill(err, status, format, args, NULL);
    return -1;
}

int(mf_err_set)(struct mf_err *err, int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(err, status, format, args, NULL);
    va_end(args);
    return -1;
}

int(mf_err_sys)(struct mf_err *err, int status, const char *format, ...) {
    char reason[128];
    const char *text = strerror_r(errno, reason, sizeof reason);
    va_list args;
    va_start(args, format);
    fill(err, status, format, args, text);
    va_end(args);
    return -1;
}

int mf_err_forgive(const struct mf_err *found, int status, struct mf_err *err) {
    if (found->status == 0 || found->status == status) return 0;
    *err = *found;
    return -1;
}
