/* What the files of the stream codec share. */
#ifndef MF_IO_STREAM_INTERNAL_H
#define MF_IO_STREAM_INTERNAL_H

#include <msgpack.h>
#include "io/stream.h"

/* Limits of a record, so that a small file cannot make a reader build a huge tree. */
#define MF_RECORD_DEPTH  8                 /* maps and arrays inside each other, the record included */
#define MF_RECORD_FIELDS 256               /* of the record's own map */
#define MF_RECORD_NODES  ((size_t)1 << 20) /* values in all */

/* A growing buffer that holds one encoded object. */
struct mf_buffer {
    unsigned char *bytes;
    size_t used, capacity;
};

struct mf_record {
    const char *stream;    /* the stream's name, borrowed */
    uint64_t number;       /* from 1; 0 is the header */
    uint64_t offset;       /* of its first byte */
    int token_width;       /* bytes per token in a stream of kind tokens, else 0 */
    msgpack_object object; /* a map with distinct string keys; points into `zone` and `raw` */
    struct mf_buffer raw;
    msgpack_zone zone;
};

/* Reads exactly one msgpack map into rec->raw and decodes it; every length is checked against bytes that
 * really came. 1, or 0 at the end of the input before its first byte, or -1. */
int mf_record_read(struct mf_record *rec, struct mf_in *in, struct mf_err *err);

/* Prepares and releases the memory of a record. */
void mf_record_init(struct mf_record *rec, const char *stream);
void mf_record_clear(struct mf_record *rec);

/* "NAME: record 7 at byte 1234: " or "NAME: header: " before a message about `rec`. Always -1 and EX_DATAERR.
 */
int mf_record_fail(const struct mf_record *rec, struct mf_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
