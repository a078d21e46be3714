/* Buckets of records in linked blocks of a scratch file. */
#include "io/buckets.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "io/file.h"

#define BLOCK_MIN ((size_t)512)
#define BLOCK_MAX ((size_t)64 << 10)

/* A block on disk: the number of the next block of its bucket (or, in the list of free ones, the next free),
 * then records. Block 0 is none. */
typedef uint64_t block_number;

struct bucket {
    block_number first, last; /* last: where the buffer will be written */
    uint64_t count;
    unsigned char *buffer; /* a block, made with the first record; the link in front is filled when written */
    size_t used;           /* records in the buffer */
};

struct mf_buckets {
    struct bucket *buckets;
    size_t n, record_size, block, per_block;
    unsigned char *read; /* the block being handed out */
    int fd;
    block_number made, free; /* blocks there are, and the first that is not in use */
};

int mf_buckets_new(struct mf_buckets **out, size_t n, size_t record_size, size_t memory, struct mf_err *err) {
    struct mf_buckets *b = calloc(1, sizeof *b);
    if (!b) return mf_err_set(err, EX_OSERR, "out of memory");
    b->fd = -1;
    b->n = n;
    b->record_size = record_size;
    b->block = BLOCK_MIN;
    while (b->block < BLOCK_MAX && 2 * b->block * n <= memory) b->block *= 2;
    while (b->block < sizeof(block_number) + record_size) b->block *= 2;
    b->per_block = (b->block - sizeof(block_number)) / record_size;
    b->buckets = calloc(n ? n : 1, sizeof *b->buckets);
    b->read = malloc(b->block);
    *out = b;
    if (b->buckets && b->read) return 0;
    mf_buckets_free(b);
    return mf_err_set(err, EX_OSERR, "out of memory for buckets of records");
}

void mf_buckets_free(struct mf_buckets *b) {
    if (!b) return;
    for (size_t i = 0; b->buckets && i < b->n; i++) free(b->buckets[i].buffer);
    if (b->fd >= 0) close(b->fd);
    free(b->buckets);
    free(b->read);
    free(b);
}

uint64_t mf_buckets_count(const struct mf_buckets *b, size_t bucket) {
    return b->buckets[bucket].count;
}

static uint64_t offset(const struct mf_buckets *b, block_number number) {
    return (number - 1) * b->block;
}

static int new_block(struct mf_buckets *b, block_number *number, struct mf_err *err) {
    if (b->free) {
        *number = b->free;
        return mf_pread_all(b->fd, &b->free, sizeof b->free, offset(b, *number), "scratch file", err);
    }
    *number = ++b->made;
    return 0;
}

/* Writes the buffer to the block that is kept for it, and keeps another one. */
static int write_buffer(struct mf_buckets *b, struct bucket *k, struct mf_err *err) {
    block_number next, here = k->last;
    if (b->fd < 0 && (b->fd = mf_scratch_open(err)) < 0) return -1;
    if (!here) {
        if (new_block(b, &here, err) < 0) return -1;
        k->first = here;
    }
    if (new_block(b, &next, err) < 0) return -1;
    memcpy(k->buffer, &next, sizeof next);
    k->last = next;
    k->used = 0;
    return mf_scratch_write(b->fd, k->buffer, b->block, offset(b, here), err);
}

int mf_buckets_add(struct mf_buckets *b, size_t bucket, const void *record, struct mf_err *err) {
    struct bucket *k = &b->buckets[bucket];
    if (!k->buffer && !(k->buffer = calloc(1, b->block)))
        return mf_err_set(err, EX_OSERR, "out of memory for buckets of records");
    if (k->used == b->per_block && write_buffer(b, k, err) < 0) return -1;
    memcpy(k->buffer + sizeof(block_number) + k->used++ * b->record_size, record, b->record_size);
    k->count++;
    return 0;
}

/* The blocks of a bucket become free. The last one was never written: it gets a link now. */
static int free_blocks(struct mf_buckets *b, const struct bucket *k, struct mf_err *err) {
    if (!k->first) return 0;
    if (mf_scratch_write(b->fd, &b->free, sizeof b->free, offset(b, k->last), err) < 0) return -1;
    b->free = k->first;
    return 0;
}

int mf_buckets_empty(struct mf_buckets *b, size_t bucket,
                     int (*take)(void *context, const unsigned char *record, struct mf_err *err),
                     void *context, struct mf_err *err) {
    struct bucket k = b->buckets[bucket];
    int status = 0;
    b->buckets[bucket] = (struct bucket){0};
    for (block_number at = k.first; at != k.last && status >= 0;) {
        status = mf_pread_all(b->fd, b->read, b->block, offset(b, at), "scratch file", err);
        memcpy(&at, b->read, sizeof at);
        for (size_t i = 0; i < b->per_block && status >= 0; i++)
            status = take(context, b->read + sizeof at + i * b->record_size, err);
    }
    for (size_t i = 0; i < k.used && status >= 0; i++)
        status = take(context, k.buffer + sizeof(block_number) + i * b->record_size, err);
    free(k.buffer);
    return status < 0 ? -1 : free_blocks(b, &k, err);
}
