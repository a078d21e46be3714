/* UTF-16 and UTF-32 as UTF-8. */
#include "text/docs_internal.h"

/* A code unit of 2 or 4 bytes. */
static uint32_t unit(const unsigned char *b, enum docs_encoding e) {
    switch (e) {
    case DOCS_UTF16LE:
        return b[0] | (uint32_t)b[1] << 8;
    case DOCS_UTF16BE:
        return b[1] | (uint32_t)b[0] << 8;
    case DOCS_UTF32LE:
        return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    default:
        return b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 | (uint32_t)b[0] << 24;
    }
}

static size_t put_utf8(char *to, uint32_t c) {
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

/* One character out of bytes [n], 4 or what is left: the bytes it takes, or 0 when they are none. */
static size_t character(const unsigned char *b, size_t n, enum docs_encoding e, uint32_t *c) {
    size_t width = e == DOCS_UTF16LE || e == DOCS_UTF16BE ? 2 : 4;
    if (n < width) return 0;
    *c = unit(b, e);
    if (*c < 0xd800 || (*c > 0xdfff && *c <= 0x10ffff)) return width;
    if (width == 4 || n < 4 || *c > 0xdbff) return 0;
    uint32_t low = unit(b + 2, e);
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return low >= 0xdc00 && low <= 0xdfff ? 4 : 0;
}

int64_t docs_decode(struct docs_file *f, char *to, struct mf_err *err) {
    unsigned char units[4];
    size_t done = 0;
    const unsigned char *bytes;
    while (done + 4 <= DOCS_BLOCK) {
        uint32_t c;
        int64_t n = mf_unpack_peek(f->unpack, &bytes, 4, err);
        if (n <= 0) return n < 0 ? -1 : (int64_t)done;
        size_t taken = character(bytes, n < 4 ? (size_t)n : 4, f->encoding, &c);
        if (taken == 0)
            return mf_err_set(err, EX_DATAERR, "%s: damaged %s: half a character", f->place->name,
                              f->encoding < DOCS_UTF32LE ? "UTF-16" : "UTF-32");
        if (mf_unpack_read(f->unpack, units, taken, err) < 0) return -1;
        done += put_utf8(to + done, c);
    }
    return (int64_t)done;
}
