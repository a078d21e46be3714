/* Records of one fixed size that are put aside in numbered buckets and taken back bucket by bucket: a
 * priority queue for who works through numbers in order and sends something ahead to later ones.
 *
 * Each bucket has a buffer of one block in memory; full blocks go to one scratch file, where those of a
 * bucket are linked and those of an emptied bucket are used again. */
#ifndef MF_IO_BUCKETS_H
#define MF_IO_BUCKETS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_buckets;

/* `n` empty buckets; their buffers share `memory` bytes (a block has at least 512 bytes and at most 64 KiB).
 * Freed by mf_buckets_free. EX_OSERR. */
int mf_buckets_new(struct mf_buckets **buckets, size_t n, size_t record_size, size_t memory,
                   struct mf_err *err);
void mf_buckets_free(struct mf_buckets *buckets); /* accepts NULL */

/* Puts a record (copied) into a bucket. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int mf_buckets_add(struct mf_buckets *buckets, size_t bucket, const void *record, struct mf_err *err);

uint64_t mf_buckets_count(const struct mf_buckets *buckets, size_t bucket); /* records in it */

/* Empties a bucket, handing its records to `take` in the order of adding. `take` may add to other buckets,
 * not to this one; what it returns below 0 ends it. EX_IOERR, and as `take`. */
int mf_buckets_empty(struct mf_buckets *buckets, size_t bucket,
                     int (*take)(void *context, const unsigned char *record, struct mf_err *err),
                     void *context, struct mf_err *err);

#endif
