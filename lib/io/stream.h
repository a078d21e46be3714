/* Streams: a msgpack header map, records that are maps, and a trailer with their number and XXH64
 * (formats/stream.md).
 *
 * A reader holds one record at a time and trusts no length: a record must be there in full before any of it
 * is used. A stream without its trailer, or whose count or hash does not match, ends in an error. */
#ifndef MF_IO_STREAM_H
#define MF_IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/file.h"

/* The largest record a reader takes. */
#define MF_RECORD_LIMIT ((size_t)1 << 30)

/* --- records --- */

struct mf_record; /* one decoded map; borrowed from the reader until its next call */

/* Fields by name. Each returns 1 when it is there with the right type (integers may be read as reals), 0 when
 * the name is absent or nil, -1 when it is of another type (err: EX_DATAERR, naming stream, record number,
 * field). */
int mf_record_string(const struct mf_record *rec, const char *name, const char **bytes, size_t *size,
                     struct mf_err *err); /* not zero-terminated; may contain zero bytes */
int mf_record_bin(const struct mf_record *rec, const char *name, const void **bytes, size_t *size,
                  struct mf_err *err);
int mf_record_int(const struct mf_record *rec, const char *name, int64_t *value, struct mf_err *err);
int mf_record_real(const struct mf_record *rec, const char *name, double *value, struct mf_err *err);

/* Whether two records, or headers, are the same byte for byte. */
bool mf_record_same(const struct mf_record *a, const struct mf_record *b);

/* --- reading --- */

struct mf_stream_reader;

/* Whether a file that begins with these bytes is a stream: a map whose first key is "mf", in any of msgpack's
 * encodings. MF_STREAM_HEAD bytes are enough. */
#define MF_STREAM_HEAD 12
bool mf_stream_begins(const unsigned char *bytes, size_t n);

/* Opens `path` (NULL or "-": standard input) and reads the header. `kind`, when not NULL, must be the
 * stream's kind. EX_NOINPUT, or EX_DATAERR: not a stream, another kind (both named), a version we do not
 * know. */
int mf_stream_open(struct mf_stream_reader **reader, const char *path, const char *kind, struct mf_err *err);

/* The same on an input that is open already, of which nothing was taken yet. Takes `in` over, also on
 * failure. With `follow` the stream may still be being written: at the end of a regular file the reader waits
 * for more, a missing trailer (a pipe that ends, a file that is removed) is an end like any other, and what
 * follows a trailer is not looked at. */
int mf_stream_open_in(struct mf_stream_reader **reader, struct mf_in *in, const char *kind, bool follow,
                      struct mf_err *err);

const char *mf_stream_kind(const struct mf_stream_reader *reader);
const char *mf_stream_name(const struct mf_stream_reader *reader); /* for messages */

/* The size of the file it is read from, to hold a header's promises against; -1 for what has none. */
int64_t mf_stream_size(const struct mf_stream_reader *reader);

/* The header as a record; stays valid until the reader is closed. */
const struct mf_record *mf_stream_header(const struct mf_stream_reader *reader);

/* The next record: 1 and *rec, 0 after a correct trailer and nothing behind it, -1 (EX_DATAERR; the message
 * holds the record's number and the byte offset). */
int mf_stream_next(struct mf_stream_reader *reader, const struct mf_record **rec, struct mf_err *err);

uint64_t mf_stream_count(const struct mf_stream_reader *reader); /* records read so far */

/* A record as one line of JSON, for people: strings cleaned to valid UTF-8, `bin` shown as {"bin": N bytes}
 * or, for tokens, as numbers. New memory, freed by free(). */
char *mf_record_json(const struct mf_record *rec, struct mf_err *err);

void mf_stream_close(struct mf_stream_reader *reader); /* accepts NULL */

/* --- writing --- */

struct mf_stream_writer;

/* Starts a stream of `kind` on `out` (borrowed: the caller commits or abandons it). Header fields are put
 * between create and the first record: create, put..., then records. `n_fields` counts the caller's header
 * fields. */
int mf_stream_create(struct mf_stream_writer **writer, struct mf_out *out, const char *kind, int n_fields,
                     struct mf_err *err);

/* The same with the header of a stream that is being read, byte for byte, instead. */
int mf_stream_create_like(struct mf_stream_writer **writer, struct mf_out *out,
                          const struct mf_record *header, struct mf_err *err);

/* Starts a record of `n_fields` fields; then exactly that many puts follow (an unmatched count is a bug and
 * aborts). */
int mf_stream_begin(struct mf_stream_writer *writer, int n_fields, struct mf_err *err);

int mf_put_string(struct mf_stream_writer *w, const char *name, const char *bytes, size_t size,
                  struct mf_err *err);
int mf_put_text(struct mf_stream_writer *w, const char *name, const char *text,
                struct mf_err *err); /* C string */
int mf_put_bin(struct mf_stream_writer *w, const char *name, const void *bytes, size_t size,
               struct mf_err *err);
int mf_put_int(struct mf_stream_writer *w, const char *name, int64_t value, struct mf_err *err);
int mf_put_real(struct mf_stream_writer *w, const char *name, double value, struct mf_err *err);

/* Writes a record that was read from a stream of the same kind, byte for byte. */
int mf_stream_copy(struct mf_stream_writer *w, const struct mf_record *rec, struct mf_err *err);

/* Writes the trailer. Frees the writer, also on failure. The output still has to be committed. */
int mf_stream_finish(struct mf_stream_writer *w, struct mf_err *err);
void mf_stream_drop(struct mf_stream_writer *w); /* frees without a trailer; accepts NULL */

/* Finishes unless `status`, that of writing the records, is negative: then drops. Returns 0, or -1 when
 * either failed. */
int mf_stream_end(struct mf_stream_writer *w, int status, struct mf_err *err);

#endif
