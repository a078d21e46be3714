/* Bytes to printable characters and back. */
#include "text/alphabet.h"

#include <utf8proc.h>

void mf_alphabet_fill(struct mf_alphabet *a) {
    uint16_t next = 256;
    for (size_t c = 0; c < 512; c++) a->byte[c] = -1;
    for (unsigned b = 0; b < 256; b++) {
        int printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        a->character[b] = printable ? (uint16_t)b : next++;
        a->byte[a->character[b]] = (int16_t)b;
    }
}

size_t mf_alphabet_spell(const struct mf_alphabet *a, const char *bytes, size_t size, char *text) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n +=
            (size_t)utf8proc_encode_char(a->character[(unsigned char)bytes[i]], (utf8proc_uint8_t *)text + n);
    text[n] = '\0';
    return n;
}

int64_t mf_alphabet_read(const struct mf_alphabet *a, const char *text, size_t size, char *bytes) {
    int64_t n = 0;
    for (size_t at = 0; at < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(size - at), &c);
        if (length < 1 || c >= 512 || a->byte[c] < 0) return -1;
        bytes[n++] = (char)a->byte[c];
        at += (size_t)length;
    }
    return n;
}
