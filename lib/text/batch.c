/* Batches of documents. */
#include "text/batch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Copies bytes into the batch; returns where they begin, or SIZE_MAX. */
static size_t keep(struct mf_docs_batch *b, const char *bytes, size_t size) {
    if (b->bytes_room - b->used < size) {
        size_t room = b->used + size + b->bytes_room / 2;
        char *grown = realloc(b->bytes, room);
        if (!grown) return SIZE_MAX;
        b->bytes = grown;
        b->bytes_room = room;
    }
    size_t at = b->used;
    if (size) memcpy(b->bytes + at, bytes, size);
    b->used += size;
    return at;
}

/* The document's parts are one behind the other, in this order; pointers come when the bytes move no more.
 * The document that fills the batch stays where the reader has it: one large document is in memory once. */
static int add(struct mf_docs_batch *b, struct mf_stream_reader *docs, const struct mf_record *rec,
               size_t bytes, struct mf_err *err) {
    struct mf_batch_doc d = {.id = ""};
    int there = mf_record_string(rec, "text", &d.text, &d.size, err);
    if (there == 0)
        return mf_err_set(err, EX_DATAERR, "%s: record %llu has no text", mf_stream_name(docs),
                          (unsigned long long)mf_stream_count(docs));
    if (there < 0 || mf_record_string(rec, "id", &d.id, &d.id_size, err) < 0 ||
        mf_record_string(rec, "domain", &d.domain, &d.domain_size, err) < 0)
        return -1;
    if (b->count == b->room) {
        size_t room = b->room ? 2 * b->room : 256;
        struct mf_batch_doc *grown = realloc(b->docs, room * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for documents");
        b->docs = grown;
        b->room = room;
    }
    size_t size = d.id_size + d.size + d.domain_size;
    b->borrowed = size >= bytes - b->used;
    if (b->borrowed) {
        b->used += size;
        b->docs[b->count++] = d;
        return 0;
    }
    if (keep(b, d.id, d.id_size) == SIZE_MAX || keep(b, d.text, d.size) == SIZE_MAX ||
        keep(b, d.domain, d.domain_size) == SIZE_MAX)
        return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu bytes", d.size);
    b->docs[b->count++] = d;
    return 0;
}

int mf_docs_batch_read(struct mf_docs_batch *b, struct mf_stream_reader *docs, size_t bytes,
                       struct mf_err *err) {
    const struct mf_record *rec;
    int more = 1;
    b->count = b->used = 0;
    b->borrowed = false;
    while (b->used < bytes && (more = mf_stream_next(docs, &rec, err)) > 0)
        if (add(b, docs, rec, bytes, err) < 0) return -1;
    const char *at = b->bytes;
    for (size_t i = 0; i + b->borrowed < b->count; i++) {
        struct mf_batch_doc *d = &b->docs[i];
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
