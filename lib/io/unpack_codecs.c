/* The compressors, each by its own library. */
#define ZLIB_CONST /* what zlib reads it does not change */
#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "io/unpack_internal.h"

/* --- gzip --- */

static bool gzip_begins(const unsigned char *b, size_t n) {
    return n >= 3 && memcmp(b, "\x1f\x8b\x08", 3) == 0;
}

static void *gzip_open(void) {
    z_stream *z = calloc(1, sizeof *z);
    if (z && inflateInit2(z, MAX_WBITS + 16) == Z_OK) return z;
    free(z);
    return NULL;
}

/* A new frame begins with the call after the one that ended the last. */
static int gzip_step(void *state, struct unpack_step *s) {
    z_stream *z = state;
    size_t in = s->in_size, out = s->out_size < UINT32_MAX ? s->out_size : UINT32_MAX;
    z->next_in = s->in;
    z->avail_in = (unsigned)in;
    z->next_out = s->out;
    z->avail_out = (unsigned)out;
    int status = inflate(z, Z_NO_FLUSH);
    s->in_size = in - z->avail_in;
    s->out_size = out - z->avail_out;
    if (status == Z_STREAM_END) return inflateReset(z) == Z_OK ? 1 : -1;
    if (status == Z_OK || status == Z_BUF_ERROR) return 0;
    s->why = z->msg ? z->msg : "it needs what is not here";
    return -1;
}

static void gzip_close(void *state) {
    inflateEnd(state);
    free(state);
}

/* --- bzip2 --- */

static bool bzip2_begins(const unsigned char *b, size_t n) {
    return n >= 10 && memcmp(b, "BZh", 3) == 0 && b[3] >= '1' && b[3] <= '9' &&
           (memcmp(b + 4, "1AY&SY", 6) == 0 || memcmp(b + 4, "\x17rE8P\x90", 6) == 0);
}

struct bzip2 {
    bz_stream stream;
    bool open;
};

static void *bzip2_open(void) {
    return calloc(1, sizeof(struct bzip2));
}

static int bzip2_step(void *state, struct unpack_step *s) {
    struct bzip2 *z = state;
    size_t in = s->in_size, out = s->out_size < UINT32_MAX ? s->out_size : UINT32_MAX;
    s->why = "no memory";
    if (!z->open && BZ2_bzDecompressInit(&z->stream, 0, 0) != BZ_OK) return -1;
    z->open = true;
    z->stream.next_in = (char *)(uintptr_t)s->in;
    z->stream.avail_in = (unsigned)in;
    z->stream.next_out = (char *)s->out;
    z->stream.avail_out = (unsigned)out;
    int status = BZ2_bzDecompress(&z->stream);
    s->in_size = in - z->stream.avail_in;
    s->out_size = out - z->stream.avail_out;
    s->why =
        status == BZ_DATA_ERROR ? "a checksum or a code is wrong" : "a block does not begin as it should";
    if (status != BZ_STREAM_END) return status == BZ_OK ? 0 : -1;
    BZ2_bzDecompressEnd(&z->stream);
    *z = (struct bzip2){0};
    return 1;
}

static void bzip2_close(void *state) {
    struct bzip2 *z = state;
    if (z->open) BZ2_bzDecompressEnd(&z->stream);
    free(z);
}

/* --- xz and lzma --- */

static bool xz_begins(const unsigned char *b, size_t n) {
    return n >= 6 && memcmp(b,
                            "\xfd"
                            "7zXZ",
                            6) == 0;
}

/* Default properties, and a dictionary of at least 4 KiB and at most 1 GiB. */
static bool lzma_begins(const unsigned char *b, size_t n) {
    return n >= 13 && b[0] == 0x5d && b[1] == 0 && (b[2] & 0x0f) == 0 && b[4] <= 0x40;
}

static void *new_lzma(bool alone) {
    lzma_stream *z = calloc(1, sizeof *z);
    if (!z) return NULL;
    *z = (lzma_stream)LZMA_STREAM_INIT;
    lzma_ret status = alone ? lzma_alone_decoder(z, UNPACK_MEMORY)
                            : lzma_stream_decoder(z, UNPACK_MEMORY, LZMA_CONCATENATED);
    if (status == LZMA_OK) return z;
    free(z);
    return NULL;
}

static void *xz_open(void) {
    return new_lzma(false);
}

static void *lzma_open(void) {
    return new_lzma(true);
}

static const char *lzma_why(lzma_ret status) {
    switch (status) {
    case LZMA_DATA_ERROR:
        return "a checksum or a code is wrong";
    case LZMA_FORMAT_ERROR:
        return "it does not begin as it should, or bytes follow its end";
    case LZMA_OPTIONS_ERROR:
        return "it has features that are not known here";
    case LZMA_BUF_ERROR:
        return "cut off before its end";
    case LZMA_MEMLIMIT_ERROR:
        return "it takes more than 256 MiB to unpack";
    default:
        return "no memory";
    }
}

static int lzma_step(void *state, struct unpack_step *s) {
    lzma_stream *z = state;
    size_t in = s->in_size, out = s->out_size;
    z->next_in = s->in;
    z->avail_in = in;
    z->next_out = s->out;
    z->avail_out = out;
    lzma_ret status = lzma_code(z, s->last ? LZMA_FINISH : LZMA_RUN);
    s->in_size = in - z->avail_in;
    s->out_size = out - z->avail_out;
    s->why = lzma_why(status);
    return status == LZMA_OK ? 0 : status == LZMA_STREAM_END ? 1 : -1;
}

static void lzma_close(void *state) {
    lzma_end(state);
    free(state);
}

/* --- zstd and lz4 --- */

static uint32_t little32(const unsigned char *b) {
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* A frame with this magic number; both know frames that are to be skipped, and such may come first. */
static bool frame_begins(const unsigned char *b, size_t n, uint32_t magic) {
    while (n >= 8 && (little32(b) & 0xfffffff0) == ZSTD_MAGIC_SKIPPABLE_START) {
        uint64_t skip = 8 + (uint64_t)little32(b + 4);
        if (skip >= n) return true;
        b += skip;
        n -= (size_t)skip;
    }
    return n >= 4 && little32(b) == magic;
}

static bool zstd_begins(const unsigned char *b, size_t n) {
    return frame_begins(b, n, ZSTD_MAGICNUMBER);
}

static void *zstd_open(void) {
    return ZSTD_createDStream();
}

static int zstd_step(void *state, struct unpack_step *s) {
    ZSTD_inBuffer in = {s->in, s->in_size, 0};
    ZSTD_outBuffer out = {s->out, s->out_size, 0};
    size_t status = ZSTD_decompressStream(state, &out, &in);
    s->in_size = in.pos;
    s->out_size = out.pos;
    s->why = ZSTD_getErrorName(status);
    return ZSTD_isError(status) ? -1 : status == 0;
}

static void zstd_close(void *state) {
    ZSTD_freeDStream(state);
}

/* What `lz4 -l` writes. It is known, to be refused: it has no checksum and no end. */
static bool is_old_lz4(const unsigned char *b, size_t n) {
    return n >= 4 && little32(b) == 0x184c2102;
}

static bool lz4_begins(const unsigned char *b, size_t n) {
    return frame_begins(b, n, 0x184d2204) || is_old_lz4(b, n);
}

static void *lz4_open(void) {
    LZ4F_dctx *z = NULL;
    return LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)) ? NULL : z;
}

static int lz4_step(void *state, struct unpack_step *s) {
    size_t in = s->in_size, out = s->out_size;
    s->why = "the old format of lz4 -l; unpack it first by lz4 -d";
    if (is_old_lz4(s->in, in)) return -1;
    size_t status = LZ4F_decompress(state, s->out, &out, s->in, &in, NULL);
    s->in_size = in;
    s->out_size = out;
    s->why = LZ4F_getErrorName(status);
    return LZ4F_isError(status) ? -1 : status == 0;
}

static void lz4_close(void *state) {
    LZ4F_freeDecompressionContext(state);
}

const struct unpack_codec *unpack_codec_of(const unsigned char *bytes, size_t n) {
    static const struct unpack_codec codecs[] = {
        {"gzip", false, gzip_begins, gzip_open, gzip_step, gzip_close},
        {"bzip2", false, bzip2_begins, bzip2_open, bzip2_step, bzip2_close},
        {"xz", true, xz_begins, xz_open, lzma_step, lzma_close},
        {"lzma", true, lzma_begins, lzma_open, lzma_step, lzma_close},
        {"zstd", false, zstd_begins, zstd_open, zstd_step, zstd_close},
        {"lz4", false, lz4_begins, lz4_open, lz4_step, lz4_close},
    };
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (codecs[i].begins(bytes, n)) return &codecs[i];
    return NULL;
}
