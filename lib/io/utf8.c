/* Telling characters from stray bytes. */
#include "io/utf8.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define REPLACEMENT "\xef\xbf\xbd"

size_t mf_utf8_step(const unsigned char *b, size_t n, bool *valid) {
    unsigned char low = 0x80,
                  high = 0xbf; /* of the second byte: no overlong forms, surrogates, beyond U+10FFFF */
    size_t length;
    *valid = true;
    if (b[0] < 0x80) return 1;
    *valid = false;
    if (b[0] < 0xc2 || b[0] > 0xf4) return 1;
    length = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (b[0] == 0xe0) low = 0xa0;
    if (b[0] == 0xed) high = 0x9f;
    if (b[0] == 0xf0) low = 0x90;
    if (b[0] == 0xf4) high = 0x8f;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf) {
        if (i == n) return 0;
        if (b[i] < low || b[i] > high) return i;
    }
    *valid = true;
    return length;
}

bool mf_utf8_valid(const char *bytes, size_t size) {
    const unsigned char *b = (const unsigned char *)bytes;
    bool valid = true;
    while (valid && size > 0) {
        uint64_t eight;
        while (size >= sizeof eight && (memcpy(&eight, b, sizeof eight), (eight & 0x8080808080808080) == 0)) {
            b += sizeof eight; /* ASCII, which most text is */
            size -= sizeof eight;
        }
        size_t n = size > 0 ? mf_utf8_step(b, size, &valid) : 0;
        b += n;
        size -= n;
    }
    return valid;
}

void mf_utf8_line(char *line, size_t capacity, const char *bytes, size_t size) {
    const unsigned char *b = (const unsigned char *)bytes;
    size_t used = 0;
    while (size > 0) {
        bool valid;
        size_t n = mf_utf8_step(b, size, &valid);
        const char *text = valid ? (const char *)b : REPLACEMENT;
        size_t width = valid ? n : sizeof REPLACEMENT - 1;
        if (n == 0) n = size;
        if (valid && (*b < 0x20 || *b == 0x7f)) text = "?";
        if (used + width + 1 > capacity) break;
        memcpy(line + used, text, width);
        used += width;
        b += n;
        size -= n;
    }
    line[used] = 0;
}

json_t *mf_utf8_json(const char *bytes, size_t size) {
    const unsigned char *b = (const unsigned char *)bytes;
    char *text = malloc(3 * size + 1); /* a stray byte becomes three */
    size_t used = 0;
    if (!text) mf_no_memory();
    while (size > 0) {
        bool valid;
        size_t n = mf_utf8_step(b, size, &valid);
        if (n == 0) n = size;
        size_t width = valid ? n : sizeof REPLACEMENT - 1;
        memcpy(text + used, valid ? (const char *)b : REPLACEMENT, width);
        used += width;
        b += n;
        size -= n;
    }
    json_t *json = json_stringn(text, used);
    free(text);
    return json;
}

json_t *mf_real_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}
