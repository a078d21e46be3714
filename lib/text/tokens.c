/* Reads tokens streams document by document; every length and id is checked. */
#include "text/tokens.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/tokenizer.h"

/* An integer header field that must be there and in [low, high]. */
static int header_int(const struct mf_documents *docs, const char *name, int64_t low, int64_t high,
                      int64_t *value, struct mf_err *err) {
    int there = mf_record_int(mf_stream_header(docs->stream), name, value, err);
    if (there < 0) return -1;
    if (there == 0)
        return mf_err_set(err, EX_DATAERR, "%s: the header has no field %s", mf_stream_name(docs->stream),
                          name);
    if (*value < low || *value > high)
        return mf_err_set(err, EX_DATAERR, "%s: the header's %s is %lld, not between %lld and %lld",
                          mf_stream_name(docs->stream), name, (long long)*value, (long long)low,
                          (long long)high);
    return 0;
}

static int read_header(struct mf_documents *docs, struct mf_err *err) {
    struct mf_tokens_header *h = &docs->header;
    const char *hash;
    size_t size;
    int64_t vocab;
    if (header_int(docs, "vocab_size", 1, MF_VOCAB_LIMIT, &vocab, err) < 0) return -1;
    if (header_int(docs, "width", 2, 4, &h->width, err) < 0) return -1;
    if (mf_specials_read(&h->specials, mf_stream_header(docs->stream), (size_t)vocab,
                         mf_stream_name(docs->stream), err) < 0)
        return -1;
    int there = mf_record_string(mf_stream_header(docs->stream), "tokenizer_sha256", &hash, &size, err);
    if (there < 0) return -1;
    if (there == 0 || size != 64 || h->width == 3)
        return mf_err_set(err, EX_DATAERR, "%s: the header has no valid %s", mf_stream_name(docs->stream),
                          h->width == 3 ? "width" : "tokenizer_sha256");
    memcpy(h->tokenizer, hash, 64);
    h->tokenizer[64] = 0;
    h->vocab = (size_t)vocab;
    return 0;
}

int mf_documents_open(struct mf_documents *docs, const char *path, struct mf_err *err) {
    *docs = (struct mf_documents){0};
    if (mf_stream_open(&docs->stream, path, "tokens", err) < 0) return -1;
    if (read_header(docs, err) == 0) return 0;
    mf_documents_close(docs);
    return -1;
}

static int decode_ids(struct mf_documents *docs, struct mf_document *doc, struct mf_err *err) {
    size_t width = (size_t)docs->header.width;
    unsigned long long number = mf_stream_count(docs->stream);
    if (doc->size % width != 0)
        return mf_err_set(err, EX_DATAERR,
                          "%s: record %llu: %zu bytes of tokens are no whole number of %zu-byte ids",
                          mf_stream_name(docs->stream), number, doc->size, width);
    doc->count = doc->size / width;
    if (doc->count > docs->room) {
        uint32_t *ids = realloc(docs->ids, doc->count * sizeof *ids);
        if (!ids) return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu tokens", doc->count);
        docs->ids = ids;
        docs->room = doc->count;
    }
    const unsigned char *b = doc->bytes;
    for (size_t i = 0; i < doc->count; i++, b += width) {
        uint32_t id = (uint32_t)(b[0] | b[1] << 8);
        if (width == 4) id |= (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        if (id >= docs->header.vocab)
            return mf_err_set(err, EX_DATAERR,
                              "%s: record %llu: token %lu is not below the vocabulary's size %zu",
                              mf_stream_name(docs->stream), number, (unsigned long)id, docs->header.vocab);
        docs->ids[i] = id;
    }
    doc->ids = docs->ids;
    return 0;
}

int mf_documents_next(struct mf_documents *docs, struct mf_document *doc, struct mf_err *err) {
    *doc = (struct mf_document){0};
    int more = mf_stream_next(docs->stream, &doc->record, err);
    if (more <= 0) return more;
    int there = mf_record_bin(doc->record, "tokens", &doc->bytes, &doc->size, err);
    if (there < 0) return -1;
    if (there == 0)
        return mf_err_set(err, EX_DATAERR, "%s: record %llu has no tokens", mf_stream_name(docs->stream),
                          (unsigned long long)mf_stream_count(docs->stream));
    if (mf_record_string(doc->record, "id", &doc->id, &doc->id_size, err) < 0) return -1;
    if (mf_record_string(doc->record, "domain", &doc->domain, &doc->domain_size, err) < 0) return -1;
    if (decode_ids(docs, doc, err) < 0) return -1;
    doc->print = XXH64(doc->bytes, doc->size, 0);
    return 1;
}

void mf_documents_close(struct mf_documents *docs) {
    mf_stream_close(docs->stream);
    free(docs->ids);
    *docs = (struct mf_documents){0};
}

int mf_tokens_header_put(const struct mf_tokens_header *h, struct mf_stream_writer *w, struct mf_err *err) {
    if (mf_put_int(w, "vocab_size", (int64_t)h->vocab, err) < 0) return -1;
    if (mf_put_text(w, "tokenizer_sha256", h->tokenizer, err) < 0) return -1;
    if (mf_put_int(w, "width", h->width, err) < 0) return -1;
    if (mf_put_int(w, "bos", h->specials.bos, err) < 0) return -1;
    if (mf_put_int(w, "eos", h->specials.eos, err) < 0) return -1;
    return mf_put_int(w, "pad", h->specials.pad, err);
}
