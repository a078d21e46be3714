/* Bundles: a tar whose first member is manifest.json and whose others are raw tensors (formats/bundle.md).
 *
 * Reading is one pass, from a file or a pipe, plain or zstd; a tensor's SHA-256 is checked while its bytes
 * pass. */
#ifndef MF_IO_BUNDLE_H
#define MF_IO_BUNDLE_H

#include <jansson.h>
#include "base/err.h"
#include "io/file.h"
#include "io/tensor.h"

/* Writes a whole bundle of `kind` ("shared", "expert", "checkpoint"). `meta` (borrowed) becomes the
 * manifest's fields beside `mf`, `version`, `kind` and `tensors`. The tensors' SHA-256 are computed first. */
int mf_bundle_write(struct mf_out *out, const char *kind, const json_t *meta, const struct mf_tensor *tensors,
                    size_t count, struct mf_err *err);

/* Where the bytes of tensors come from that are not in memory: hands over bytes of tensor i from its byte
 * `at` on, at least one and none behind its end, borrowed until the next call. */
struct mf_bundle_source {
    int (*next)(void *context, size_t i, uint64_t at, const void **bytes, size_t *size, struct mf_err *err);
    void *context;
};

/* The same with tensors without data, whose bytes are read twice: for their SHA-256, then to be written. Also
 * EX_DATAERR where the two differ. */
int mf_bundle_write_from(struct mf_out *out, const char *kind, const json_t *meta,
                         const struct mf_tensor *tensors, size_t count, const struct mf_bundle_source *source,
                         struct mf_err *err);

/* Are these the first bytes of a bundle, plain or zstd? A tar is known by 262 of them. No stream and no model
 * begins so. */
bool mf_bundle_begins(const unsigned char *bytes, size_t n);

struct mf_bundle;

/* Opens a bundle and reads its manifest. `kind` may be NULL. EX_NOINPUT, EX_DATAERR: not a bundle, another
 * kind, manifest malformed, doubled names, shapes that overflow. */
int mf_bundle_open(struct mf_bundle **bundle, const char *path, const char *kind, struct mf_err *err);

/* The same on an input that is open already, of which nothing was taken yet. Takes `in` over, also on
 * failure. */
int mf_bundle_open_in(struct mf_bundle **bundle, struct mf_in *in, const char *kind, struct mf_err *err);

const char *mf_bundle_kind(const struct mf_bundle *b);
const char *mf_bundle_name(const struct mf_bundle *b);
const json_t *mf_bundle_meta(const struct mf_bundle *b); /* the manifest, borrowed */

/* SHA-256 of the manifest's bytes in hex: the bundle's identity. */
const char *mf_bundle_hash(const struct mf_bundle *b);

/* The tensors promised by the manifest, in file order, without data. Borrowed. */
size_t mf_bundle_count(const struct mf_bundle *b);
const struct mf_tensor *mf_bundle_tensor(const struct mf_bundle *b, size_t i);

/* Moves to the next tensor: 1 and *index, 0 after the last (all promised were there, no other), -1
 * EX_DATAERR. The bytes of a tensor need not all be read; they are checked all the same. */
int mf_bundle_next(struct mf_bundle *b, size_t *index, struct mf_err *err);

/* The next `size` bytes of the current tensor, in full, else EX_DATAERR. After the last byte, the hash is
 * checked. */
int mf_bundle_read(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err);

/* The next `count` numbers of the current tensor, which is not I64, as F32. */
int mf_bundle_read_floats(struct mf_bundle *b, float *to, size_t count, struct mf_err *err);

/* The same two, and refuse a NaN or an infinity, which would turn up as a NaN loss much later; `size` is that
 * of whole numbers. EX_DATAERR. */
int mf_bundle_read_finite(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err);
int mf_bundle_read_finite_floats(struct mf_bundle *b, float *to, size_t count, struct mf_err *err);

/* EX_DATAERR, naming file and tensor, unless the manifest promises each of `tensors` with this shape and of
 * this kind: I64, or any of the other types. */
int mf_bundle_expect(const struct mf_bundle *b, const struct mf_tensor *tensors, size_t count,
                     struct mf_err *err);

/* Reads all that is left of the bundle into `tensors`, F32, BF16 or I64, found by name; each must be there as
 * mf_bundle_expect says. F16 and BF16 become F32 exactly; what is wanted as BF16 and is not so there is
 * rounded. Other tensors are skipped (and checked all the same). EX_DATAERR, EX_OSERR. */
int mf_bundle_fill(struct mf_bundle *b, const struct mf_tensor *tensors, size_t count, struct mf_err *err);

/* A bundle that is a file and not compressed can be mapped: its tensors lie there as they are, at multiples
 * of 512. */
bool mf_bundle_mappable(const struct mf_bundle *b);

struct mf_bundle_map {
    void *at; /* NULL: none */
    size_t size;
};

/* As mf_bundle_fill, but a tensor whose data are NULL gets them where they lie in the file: pages that the
 * system may drop and read again. It must be there with just this dtype. The bytes are checked as those that
 * are read; who writes into the file later changes them. */
int mf_bundle_fill_map(struct mf_bundle *b, struct mf_tensor *tensors, size_t count,
                       struct mf_bundle_map *map, struct mf_err *err);
void mf_bundle_unmap(struct mf_bundle_map *map); /* of a zeroed one too; not before the tensors' last use */

void mf_bundle_close(struct mf_bundle *b); /* accepts NULL */

#endif
