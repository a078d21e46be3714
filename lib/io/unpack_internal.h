/* What the layers (unpack.c) ask of each compressor (unpack_codecs.c). */
#ifndef MF_IO_UNPACK_INTERNAL_H
#define MF_IO_UNPACK_INTERNAL_H

#include "io/unpack.h"

#define UNPACK_MEMORY ((uint64_t)256 << 20) /* for a compressor that asks for memory as its input says */
#define UNPACK_BEGIN  ((size_t)512) /* bytes by which a compressor is recognised, where there are so many */

/* One call of a decompressor: bytes that may be taken and filled, and then those that were. */
struct unpack_step {
    const unsigned char *in;
    unsigned char *out;
    size_t in_size, out_size;
    bool last;       /* no input will follow */
    const char *why; /* set when it fails */
};

struct unpack_codec {
    const char *name;
    bool once; /* nothing may follow its end; others may begin again */
    bool (*begins)(const unsigned char *bytes, size_t n);
    void *(*open)(void); /* NULL without memory */
    /* 0 to go on, 1 when a frame ended, -1. */
    int (*step)(void *state, struct unpack_step *step);
    void (*close)(void *state);
};

/* The compressor whose output begins so, or NULL. */
const struct unpack_codec *unpack_codec_of(const unsigned char *bytes, size_t n);

#endif
