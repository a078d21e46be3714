/* Tokens streams document by document; of what is read every length and id is checked. */
#include "text/tokens.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* An integer header field that must be there and in [low, high]. */
static int header_int(const struct mf_tokens_reader *r, const char *name, int64_t low, int64_t high,
                      int64_t *value, struct mf_err *err) {
    int there = mf_record_int(mf_stream_header(r->stream), name, value, err);
    if (there < 0) return -1;
    if (there == 0)
        return mf_err_set(err, EX_DATAERR, "%s: the header has no field %s", mf_stream_name(r->stream), name);
    if (*value < low || *value > high)
        return mf_err_set(err, EX_DATAERR, "%s: the header's %s is %lld, not between %lld and %lld",
                          mf_stream_name(r->stream), name, (long long)*value, (long long)low,
                          (long long)high);
    return 0;
}

static int read_header(struct mf_tokens_reader *r, struct mf_err *err) {
    struct mf_tokens_header *h = &r->header;
    const char *hash;
    size_t size;
    int64_t vocab;
    if (header_int(r, "vocab_size", 1, MF_VOCAB_LIMIT, &vocab, err) < 0) return -1;
    if (header_int(r, "width", 2, 4, &h->width, err) < 0) return -1;
    if (mf_specials_read(&h->specials, mf_stream_header(r->stream), (size_t)vocab, mf_stream_name(r->stream),
                         err) < 0)
        return -1;
    int there = mf_record_string(mf_stream_header(r->stream), "tokenizer_sha256", &hash, &size, err);
    if (there < 0) return -1;
    if (there == 0 || size != 64 || h->width == 3)
        return mf_err_set(err, EX_DATAERR, "%s: the header has no valid %s", mf_stream_name(r->stream),
                          h->width == 3 ? "width" : "tokenizer_sha256");
    memcpy(h->tokenizer, hash, 64);
    h->tokenizer[64] = 0;
    h->vocab = (size_t)vocab;
    return 0;
}

int mf_tokens_open(struct mf_tokens_reader *r, const char *path, struct mf_err *err) {
    *r = (struct mf_tokens_reader){0};
    if (mf_stream_open(&r->stream, path, "tokens", err) < 0) return -1;
    if (read_header(r, err) == 0) return 0;
    mf_tokens_close(r);
    return -1;
}

static int decode_ids(struct mf_tokens_reader *r, struct mf_token_doc *doc, struct mf_err *err) {
    size_t width = (size_t)r->header.width;
    unsigned long long number = mf_stream_count(r->stream);
    if (doc->size % width != 0)
        return mf_err_set(err, EX_DATAERR,
                          "%s: record %llu: %zu bytes of tokens are no whole number of %zu-byte ids",
                          mf_stream_name(r->stream), number, doc->size, width);
    doc->n = doc->size / width;
    if (doc->n > r->capacity) {
        uint32_t *ids = realloc(r->ids, doc->n * sizeof *ids);
        if (!ids) return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu tokens", doc->n);
        r->ids = ids;
        r->capacity = doc->n;
    }
    const unsigned char *b = doc->bytes;
    for (size_t i = 0; i < doc->n; i++, b += width) {
        uint32_t id = (uint32_t)(b[0] | b[1] << 8);
        if (width == 4) id |= (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        if (id >= r->header.vocab)
            return mf_err_set(err, EX_DATAERR,
                              "%s: record %llu: token %lu is not below the vocabulary's size %zu",
                              mf_stream_name(r->stream), number, (unsigned long)id, r->header.vocab);
        r->ids[i] = id;
    }
    doc->tokens = r->ids;
    return 0;
}

int mf_tokens_next(struct mf_tokens_reader *r, struct mf_token_doc *doc, struct mf_err *err) {
    *doc = (struct mf_token_doc){.id = "", .partition = -1};
    int more = mf_stream_next(r->stream, &doc->record, err);
    if (more <= 0) return more;
    int there = mf_record_bin(doc->record, "tokens", &doc->bytes, &doc->size, err);
    if (there < 0) return -1;
    if (there == 0)
        return mf_err_set(err, EX_DATAERR, "%s: record %llu has no tokens", mf_stream_name(r->stream),
                          (unsigned long long)mf_stream_count(r->stream));
    if (mf_record_string(doc->record, "id", &doc->id, &doc->id_size, err) < 0) return -1;
    if (mf_record_string(doc->record, "domain", &doc->domain, &doc->domain_size, err) < 0) return -1;
    if (mf_record_int(doc->record, "partition", &doc->partition, err) < 0) return -1;
    if (decode_ids(r, doc, err) < 0) return -1;
    doc->fingerprint = XXH64(doc->bytes, doc->size, 0);
    return 1;
}

void mf_tokens_close(struct mf_tokens_reader *r) {
    mf_stream_close(r->stream);
    free(r->ids);
    *r = (struct mf_tokens_reader){0};
}

struct mf_tokens_header mf_tokens_header_of(const struct mf_tokenizer *t) {
    struct mf_tokens_header h = {.vocab = mf_tokenizer_size(t),
                                 .width = mf_tokenizer_size(t) <= 65536 ? 2 : 4,
                                 .specials.bos = mf_tokenizer_special(t, MF_BOS),
                                 .specials.eos = mf_tokenizer_special(t, MF_EOS),
                                 .specials.pad = mf_tokenizer_special(t, MF_PAD)};
    memcpy(h.tokenizer, mf_tokenizer_sha256(t), sizeof h.tokenizer);
    return h;
}

int mf_tokens_check(const struct mf_tokens_header *h, const char *name, const struct mf_tokenizer *t,
                    struct mf_err *err) {
    if (strcmp(h->tokenizer, mf_tokenizer_sha256(t)) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: made with tokenizer %.12s, not %.12s", name, h->tokenizer,
                      mf_tokenizer_sha256(t));
}

static int put_header(struct mf_stream_writer *w, const struct mf_tokens_header *h, struct mf_err *err) {
    if (mf_put_int(w, "vocab_size", (int64_t)h->vocab, err) < 0) return -1;
    if (mf_put_text(w, "tokenizer_sha256", h->tokenizer, err) < 0) return -1;
    if (mf_put_int(w, "width", h->width, err) < 0) return -1;
    if (mf_put_int(w, "bos", h->specials.bos, err) < 0) return -1;
    if (mf_put_int(w, "eos", h->specials.eos, err) < 0) return -1;
    return mf_put_int(w, "pad", h->specials.pad, err);
}

int mf_tokens_create(struct mf_stream_writer **writer, struct mf_out *out, const struct mf_tokens_header *h,
                     int64_t partition, struct mf_err *err) {
    if (mf_stream_create(writer, out, "tokens", partition < 0 ? 6 : 7, err) < 0) return -1;
    int status = put_header(*writer, h, err);
    if (status == 0 && partition >= 0) status = mf_put_int(*writer, "partition", partition, err);
    if (status == 0) return 0;
    mf_stream_drop(*writer);
    *writer = NULL;
    return -1;
}

int mf_tokens_put(struct mf_stream_writer *w, const struct mf_token_doc *doc, struct mf_err *err) {
    if (mf_stream_begin(w, 2 + (doc->domain != NULL) + (doc->partition >= 0), err) < 0) return -1;
    if (mf_put_string(w, "id", doc->id, doc->id_size, err) < 0) return -1;
    if (doc->domain && mf_put_string(w, "domain", doc->domain, doc->domain_size, err) < 0) return -1;
    if (doc->partition >= 0 && mf_put_int(w, "partition", doc->partition, err) < 0) return -1;
    return mf_put_bin(w, "tokens", doc->size ? doc->bytes : "", doc->size, err);
}
