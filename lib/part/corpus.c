/* Reads tokens streams and gathers the per-document numbers. */
#include "part/corpus.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "part/words.h"

/* --- one document at a time --- */

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

/* --- the whole corpus --- */

static int grow(struct mf_corpus *c, bool difficulty, struct mf_err *err) {
    size_t room = c->room ? c->room + c->room / 2 : 1024;
    void *tokens = realloc(c->tokens, room * sizeof *c->tokens);
    if (tokens) c->tokens = tokens;
    void *labels = realloc(c->labels, room * sizeof *c->labels);
    if (labels) c->labels = labels;
    void *prints = realloc(c->prints, room * sizeof *c->prints);
    if (prints) c->prints = prints;
    void *hard = difficulty ? realloc(c->difficulty, room * sizeof *c->difficulty) : NULL;
    if (hard) c->difficulty = hard;
    if (!tokens || !labels || !prints || (difficulty && !hard))
        return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", room);
    c->room = room;
    return 0;
}

/* The number of a label, in order of appearance. Corpora have few labels, and neighbours mostly share theirs.
 */
static int label_of(struct mf_corpus *c, const struct mf_document *doc, uint16_t last, uint16_t *label,
                    struct mf_err *err) {
    *label = MF_NO_LABEL;
    if (!doc->domain) return 0;
    for (size_t k = 0; k <= c->n_names; k++) {
        size_t l = k == 0 ? last : k - 1;
        if (l >= c->n_names || c->name_sizes[l] != doc->domain_size) continue;
        if (memcmp(c->names[l], doc->domain, doc->domain_size) != 0) continue;
        *label = (uint16_t)l;
        return 0;
    }
    if (c->n_names == MF_NO_LABEL) return mf_err_set(err, EX_DATAERR, "more than %d domains", MF_NO_LABEL);
    char **names = realloc(c->names, (c->n_names + 1) * sizeof *names);
    if (names) c->names = names;
    size_t *sizes = realloc(c->name_sizes, (c->n_names + 1) * sizeof *sizes);
    if (sizes) c->name_sizes = sizes;
    char *name = malloc(doc->domain_size + 1);
    if (!names || !sizes || !name) {
        free(name);
        return mf_err_set(err, EX_OSERR, "out of memory for domain names");
    }
    memcpy(name, doc->domain, doc->domain_size);
    name[doc->domain_size] = 0;
    c->names[c->n_names] = name;
    c->name_sizes[c->n_names] = doc->domain_size;
    *label = (uint16_t)c->n_names++;
    return 0;
}

struct named {
    char *name;
    size_t size, index;
};

static int by_name(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

/* Numbers the labels by their names, so that they do not depend on the order of the documents. */
static int sort_labels(struct mf_corpus *c, struct mf_err *err) {
    if (c->n_names == 0) return 0;
    struct named *named = malloc(c->n_names * sizeof *named);
    uint16_t *place = malloc(c->n_names * sizeof *place);
    if (named && place) {
        for (size_t l = 0; l < c->n_names; l++) named[l] = (struct named){c->names[l], c->name_sizes[l], l};
        qsort(named, c->n_names, sizeof *named, by_name);
        for (size_t l = 0; l < c->n_names; l++) {
            c->names[l] = named[l].name;
            c->name_sizes[l] = named[l].size;
            place[named[l].index] = (uint16_t)l;
        }
        for (size_t i = 0; i < c->count; i++)
            if (c->labels[i] != MF_NO_LABEL) c->labels[i] = place[c->labels[i]];
    }
    bool failed = !named || !place;
    free(named);
    free(place);
    return failed ? mf_err_set(err, EX_OSERR, "out of memory for domain names") : 0;
}

static int add_document(struct mf_corpus *c, const struct mf_document *doc, struct mf_reading *reading,
                        uint32_t *last_seen, struct mf_err *err) {
    double difficulty = 0;
    uint16_t last = c->count > 0 ? c->labels[c->count - 1] : 0;
    if (c->count == UINT32_MAX - 1)
        return mf_err_set(err, EX_DATAERR, "more than %lu documents", UINT32_MAX - 1UL);
    if (c->count == c->room && grow(c, reading != NULL, err) < 0) return -1;
    if (label_of(c, doc, last, &c->labels[c->count], err) < 0) return -1;
    if (reading && mf_reading_difficulty(reading, doc, &difficulty, err) < 0) return -1;
    if (reading) c->difficulty[c->count] = (float)difficulty;
    c->tokens[c->count] = (uint32_t)doc->count;
    c->prints[c->count] = doc->print;
    c->total += doc->count;
    c->count++;
    for (size_t i = 0; i < doc->count; i++) {
        uint32_t id = doc->ids[i];
        if (last_seen[id] == c->count) continue;
        last_seen[id] = (uint32_t)c->count;
        c->df[id]++;
    }
    return 0;
}

int mf_corpus_scan(struct mf_corpus *c, const char *path, const struct mf_tokenizer *tokenizer,
                   struct mf_err *err) {
    struct mf_documents docs;
    struct mf_document doc;
    struct mf_reading *reading = NULL;
    *c = (struct mf_corpus){0};
    if (mf_documents_open(&docs, path, err) < 0) return -1;
    c->header = docs.header;
    c->df = calloc(c->header.vocab, sizeof *c->df);
    uint32_t *last_seen =
        calloc(c->header.vocab, sizeof *last_seen); /* the document, from 1, that had an id last */
    int more = 1;
    if (!c->df || !last_seen) more = mf_err_set(err, EX_OSERR, "out of memory for %zu ids", c->header.vocab);
    if (more > 0 && tokenizer && mf_reading_new(&reading, tokenizer, err) < 0) more = -1;
    while (more > 0 && (more = mf_documents_next(&docs, &doc, err)) > 0)
        if (add_document(c, &doc, reading, last_seen, err) < 0) more = -1;
    int64_t special[] = {c->header.specials.bos, c->header.specials.eos, c->header.specials.pad};
    for (size_t i = 0; more == 0 && i < sizeof special / sizeof *special; i++)
        if (special[i] >= 0) c->df[special[i]] = 0;
    free(last_seen);
    mf_reading_free(reading);
    mf_documents_close(&docs);
    return more < 0 ? -1 : sort_labels(c, err);
}

void mf_corpus_free(struct mf_corpus *c) {
    for (size_t l = 0; l < c->n_names; l++) free(c->names[l]);
    free(c->names);
    free(c->name_sizes);
    free(c->tokens);
    free(c->labels);
    free(c->prints);
    free(c->difficulty);
    free(c->df);
    *c = (struct mf_corpus){0};
}
