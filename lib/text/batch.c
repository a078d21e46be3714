/* Batches of documents. */
#include "text/batch.h"

#include <stdlib.h>
#include <string.h>

/* Copies bytes into the batch; false when there is no memory for them. */
static bool keep(struct mf_docs_batch *b, const char *bytes, size_t size) {
    if (b->bytes_capacity - b->used < size) {
        size_t capacity = b->used + size + b->bytes_capacity / 2;
        char *grown = realloc(b->bytes, capacity);
        if (!grown) return false;
        b->bytes = grown;
        b->bytes_capacity = capacity;
    }
    if (size) memcpy(b->bytes + b->used, bytes, size);
    b->used += size;
    return true;
}

static int grow(struct mf_docs_batch *b, struct mf_err *err) {
    size_t capacity = b->capacity ? 2 * b->capacity : 256;
    struct mf_doc *grown = realloc(b->docs, capacity * sizeof *grown);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for documents");
    b->docs = grown;
    b->capacity = capacity;
    return 0;
}

/* The document's parts are one behind the other, in this order; pointers come when the bytes move no more.
 * The document that fills the batch stays where the reader has it: one large document is in memory once. */
static int add(struct mf_docs_batch *b, const struct mf_doc *d, size_t bytes, struct mf_err *err) {
    size_t size = d->id_size + d->size + d->domain_size;
    if (b->count == b->capacity && grow(b, err) < 0) return -1;
    b->docs[b->count++] = *d;
    b->borrowed = size >= bytes - b->used;
    if (b->borrowed) {
        b->used += size;
        return 0;
    }
    if (keep(b, d->id, d->id_size) && keep(b, d->text, d->size) && keep(b, d->domain, d->domain_size))
        return 0;
    return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu bytes", d->size);
}

int mf_docs_batch_read(struct mf_docs_batch *b, struct mf_stream_reader *docs, size_t bytes,
                       struct mf_err *err) {
    struct mf_doc doc;
    int more = 1;
    b->count = b->used = 0;
    b->borrowed = false;
    while (b->used < bytes && (more = mf_doc_next(docs, &doc, err)) > 0)
        if (add(b, &doc, bytes, err) < 0) return -1;
    const char *at = b->bytes;
    for (size_t i = 0; i + b->borrowed < b->count; i++) {
        struct mf_doc *d = &b->docs[i];
        d->id = at;
        d->text = at + d->id_size;
        if (d->domain) d->domain = d->text + d->size;
        at += d->id_size + d->size + d->domain_size;
    }
    return more < 0 ? -1 : b->count > 0;
}

void mf_docs_batch_free(struct mf_docs_batch *b) {
    free(b->docs);
    free(b->bytes);
    *b = (struct mf_docs_batch){0};
}
