/* Documents in a scratch file, one behind the other: id, domain, text. Their lengths stay in memory. */
#include "text/held.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file.h"

void mf_held_free(struct mf_held *held) {
    if (held->open) close(held->fd);
    free(held->docs);
    free(held->buffer);
    *held = (struct mf_held){0};
}

static int open_file(struct mf_held *held, struct mf_err *err) {
    held->fd = mf_scratch_open(err);
    held->open = held->fd >= 0;
    return held->open ? 0 : -1;
}

static int append(struct mf_held *held, const char *bytes, size_t size, struct mf_err *err) {
    if (mf_scratch_write(held->fd, bytes, size, held->written, err) < 0) return -1;
    held->written += size;
    return 0;
}

static int grow(struct mf_held *held, struct mf_err *err) {
    size_t capacity = held->capacity ? 2 * held->capacity : 256;
    struct mf_held_doc *grown = realloc(held->docs, capacity * sizeof *grown);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for the lengths of documents");
    held->docs = grown;
    held->capacity = capacity;
    return 0;
}

int mf_held_add(struct mf_held *held, const struct mf_doc *doc, uint64_t hash, uint32_t known,
                struct mf_err *err) {
    if (!held->open && open_file(held, err) < 0) return -1;
    if (held->count == held->capacity && grow(held, err) < 0) return -1;
    held->docs[held->count++] = (struct mf_held_doc){.hash = hash,
                                                     .size = doc->size,
                                                     .id_size = doc->id_size,
                                                     .domain_size = doc->domain ? doc->domain_size : 0,
                                                     .known = known,
                                                     .has_domain = doc->domain != NULL};
    if (append(held, doc->id, doc->id_size, err) < 0) return -1;
    if (doc->domain && append(held, doc->domain, doc->domain_size, err) < 0) return -1;
    return append(held, doc->text, doc->size, err);
}

static size_t length(const struct mf_held_doc *d) {
    return d->id_size + d->domain_size + (size_t)d->size;
}

static int make_buffer(struct mf_held *held, size_t size, struct mf_err *err) {
    if (size <= held->buffer_size) return 0;
    free(held->buffer);
    held->buffer = malloc(size);
    held->buffer_size = held->buffer ? size : 0;
    if (!held->buffer) return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu bytes", size);
    return 0;
}

int mf_held_read(struct mf_held *held, size_t i, uint64_t *offset, struct mf_doc *doc, struct mf_err *err) {
    const struct mf_held_doc *d = &held->docs[i];
    size_t size = length(d);
    if (make_buffer(held, size + 1, err) < 0) return -1;
    if (mf_pread_all(held->fd, held->buffer, size, *offset, "scratch file", err) < 0) return -1;
    *offset += size;
    const char *domain = held->buffer + d->id_size;
    *doc = (struct mf_doc){.id = held->buffer,
                           .id_size = d->id_size,
                           .domain = d->has_domain ? domain : NULL,
                           .domain_size = d->domain_size,
                           .text = domain + d->domain_size,
                           .size = (size_t)d->size};
    return 0;
}

void mf_held_skip(const struct mf_held *held, size_t i, uint64_t *offset) {
    *offset += length(&held->docs[i]);
}

/* The file is written again from its beginning; where it cannot be cut its bytes are only a waste. */
void mf_held_clear(struct mf_held *held) {
    if (held->count > 0 && ftruncate(held->fd, 0) < 0) errno = 0;
    held->count = 0;
    held->written = 0;
}
