/* Decompression of a stream of bytes: gzip, bzip2, xz, lzma, zstd, lz4, also several over one another.
 *
 * Each is read by its compressor's own library, which compares checksums and lengths. The input has to be
 * whole to its last byte: what is cut off, changed, or stands behind the end is an error. Several frames
 * (members) one behind the other are read as one. Memory: a block of 64 KiB for each layer and what the
 * compressor needs, at most 256 MiB. */
#ifndef MF_IO_UNPACK_H
#define MF_IO_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define MF_UNPACK_LAYERS 8
#define MF_UNPACK_PEEK   ((size_t)64 << 10)

/* Where bytes come from. All of it is borrowed and has to stay until the reader is closed. */
struct mf_source {
    /* Reads up to `size` bytes, fewer only at the end; their number, or -1. */
    int64_t (*read)(void *context, void *buffer, size_t size, struct mf_err *err);
    void *context;
    const char *name;       /* for messages */
    const uint64_t *packed; /* bytes read so far of the file that all this came out of (mf_unpack_check) */
};

struct mf_unpack;

/* Begins to read, through at most `layers` layers of compression; without any, bytes pass unchanged. -1: as
 * reading. */
int mf_unpack_open(struct mf_unpack **unpack, const struct mf_source *source, size_t layers,
                   struct mf_err *err);

/* Reads up to `size` bytes, fewer only at the end; their number, or -1: EX_DATAERR for damaged input and for
 * what unpacks to too much, else what reading the source failed with. */
int64_t mf_unpack_read(struct mf_unpack *u, void *buffer, size_t size, struct mf_err *err);

/* The next bytes without taking them: at least `want` of them unless the end is nearer; `want` <=
 * MF_UNPACK_PEEK. Borrowed until the next call. Returns their number, or -1. */
int64_t mf_unpack_peek(struct mf_unpack *u, const unsigned char **bytes, size_t want, struct mf_err *err);

size_t mf_unpack_layers(const struct mf_unpack *u); /* of compression */
void mf_unpack_close(struct mf_unpack *u);          /* accepts NULL */

/* Whether `unpacked` bytes may have come out of `packed` ones of a compressed input: at most 32 MiB, or 250
 * times as many. Text shrinks to a fifth, weights hardly at all; what shrinks further is meant to fill memory
 * or a disk. EX_DATAERR. */
int mf_unpack_check(const char *name, uint64_t packed, uint64_t unpacked, struct mf_err *err);

/* Does a name end as a compressor's output does ("a.gz", "A.TGZ")? Its length without the suffix, where
 * ".tgz" leaves ".tar" to be put back (*tar true); the whole length when it does not. */
size_t mf_unpack_stem(const char *name, bool *tar);

#endif
