/* Reads partition.mp (formats/partition.md). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "io/stream.h"
#include "partition/saved.h"
#include "partition/saved_internal.h"

/* A field that must be there, or EX_DATAERR. */
static int missing(const struct mf_stream_reader *r, int there, const char *field, struct mf_err *err) {
    if (there != 0) return there < 0 ? -1 : 0;
    return mf_err_set(err, EX_DATAERR, "%s: no field %s in record %llu", mf_stream_name(r), field,
                      (unsigned long long)mf_stream_count(r));
}

static int need_int(const struct mf_stream_reader *r, const struct mf_record *rec, const char *field,
                    int64_t high, int64_t *value, struct mf_err *err) {
    if (missing(r, mf_record_int(rec, field, value, err), field, err) < 0) return -1;
    if (*value >= 0 && *value <= high) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: %s is %lld, not between 0 and %lld", mf_stream_name(r), field,
                      (long long)*value, (long long)high);
}

static int need_real(const struct mf_stream_reader *r, const struct mf_record *rec, const char *field,
                     double *value, struct mf_err *err) {
    if (missing(r, mf_record_real(rec, field, value, err), field, err) < 0) return -1;
    return isfinite(*value) ? 0
                            : mf_err_set(err, EX_DATAERR, "%s: %s is not finite", mf_stream_name(r), field);
}

/* A number in [0, 1]. */
static int need_share(const struct mf_stream_reader *r, const struct mf_record *rec, const char *field,
                      double *value, struct mf_err *err) {
    if (need_real(r, rec, field, value, err) < 0) return -1;
    if (*value >= 0 && *value <= 1) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: %s is %g, not between 0 and 1", mf_stream_name(r), field, *value);
}

/* A bin of exactly `count` items, copied. */
static int need_bin(const struct mf_stream_reader *r, const struct mf_record *rec, const char *field,
                    void *items, size_t count, size_t item_size, struct mf_err *err) {
    const void *bytes;
    size_t size;
    if (missing(r, mf_record_bin(rec, field, &bytes, &size, err), field, err) < 0) return -1;
    if (size != count * item_size)
        return mf_err_set(err, EX_DATAERR, "%s: %s has %zu bytes, not %zu", mf_stream_name(r), field, size,
                          count * item_size);
    if (size > 0) memcpy(items, bytes, size);
    return 0;
}

static int read_header(struct mf_partition *p, const struct mf_stream_reader *r, size_t *features,
                       struct mf_err *err) {
    const struct mf_record *h = mf_stream_header(r);
    const char *text;
    size_t size;
    int64_t partitions, documents, vocab, count, seed;
    if (missing(r, mf_record_string(h, "method", &text, &size, err), "method", err) < 0) return -1;
    int method = mf_choice(MF_PARTITION_METHODS, text, size);
    if (method < 0)
        return mf_err_set(err, EX_DATAERR, "%s: unknown method '%.*s'", mf_stream_name(r),
                          (int)(size < 40 ? size : 40), text);
    if (need_int(r, h, "partitions", MF_PARTITIONS_MAX, &partitions, err) < 0) return -1;
    if (need_int(r, h, "documents", UINT32_MAX - 1, &documents, err) < 0) return -1;
    if (need_int(r, h, "vocab_size", MF_VOCAB_LIMIT, &vocab, err) < 0) return -1;
    if (need_int(r, h, "features", MF_FEATURES_MAX, &count, err) < 0) return -1;
    if (need_real(r, h, "balance", &p->balance, err) < 0 || need_real(r, h, "overlap", &p->overlap, err) < 0)
        return -1;
    int general = mf_record_real(h, "general", &p->general, err);
    if (general < 0 || (general > 0 && need_share(r, h, "general", &p->general, err) < 0)) return -1;
    if (missing(r, mf_record_int(h, "seed", &seed, err), "seed", err) < 0) return -1;
    if (missing(r, mf_record_string(h, "tokenizer_sha256", &text, &size, err), "tokenizer_sha256", err) < 0)
        return -1;
    if (size != 64 || partitions < 1 || count > vocab)
        return mf_err_set(err, EX_DATAERR, "%s: the header's numbers do not fit together", mf_stream_name(r));
    int64_t size_there = mf_stream_size(r), min = partitions * count * 4 + documents * 10;
    if (size_there >= 0 && min > size_there)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: truncated: %lld partitions of %lld terms and %lld documents do not fit into %lld bytes",
            mf_stream_name(r), (long long)partitions, (long long)count, (long long)documents,
            (long long)size_there);
    memcpy(p->tokenizer, text, 64);
    p->method = (enum mf_partition_method)method;
    p->E = (size_t)partitions;
    p->documents = (uint64_t)documents;
    p->vocab = (size_t)vocab;
    p->seed = (uint64_t)seed;
    *features = (size_t)count;
    return 0;
}

static int next_record(struct mf_stream_reader *r, const struct mf_record **rec, struct mf_err *err) {
    int more = mf_stream_next(r, rec, err);
    if (more > 0) return 0;
    return more < 0 ? -1 : mf_err_set(err, EX_DATAERR, "%s: too few records", mf_stream_name(r));
}

/* Where partition e has its general text from. */
static int read_general(struct mf_partition *p, size_t e, const struct mf_record *rec,
                        const struct mf_stream_reader *r, struct mf_err *err) {
    int64_t origin;
    if (need_share(r, rec, "rate", &p->rates[e], err) < 0) return -1;
    if (need_int(r, rec, "origin", (int64_t)p->E, &origin, err) < 0) return -1;
    p->origins[e] = (size_t)origin;
    return 0;
}

static int read_partition(struct mf_partition *p, size_t e, float *column, struct mf_stream_reader *r,
                          struct mf_err *err) {
    const struct mf_record *rec;
    const char *name;
    size_t size, F = p->terms.count;
    int64_t number, documents, tokens;
    if (next_record(r, &rec, err) < 0) return -1;
    if (need_int(r, rec, "partition", (int64_t)p->E - 1, &number, err) < 0) return -1;
    if ((size_t)number != e)
        return mf_err_set(err, EX_DATAERR, "%s: partition %lld where %zu belongs", mf_stream_name(r),
                          (long long)number, e);
    if (need_int(r, rec, "documents", INT64_MAX, &documents, err) < 0) return -1;
    if (need_int(r, rec, "tokens", INT64_MAX, &tokens, err) < 0) return -1;
    if (need_real(r, rec, "price", &p->prices[e], err) < 0 ||
        need_real(r, rec, "hardest", &p->upper[e], err) < 0)
        return -1;
    if (need_bin(r, rec, "centroid", column, F, sizeof *column, err) < 0) return -1;
    for (size_t f = 0; f < F; f++) {
        if (!isfinite(column[f]))
            return mf_err_set(err, EX_DATAERR, "%s: the centroid of partition %zu is not finite",
                              mf_stream_name(r), e);
        p->centroids[f * p->E + e] = column[f];
    }
    if (p->general > 0 && read_general(p, e, rec, r, err) < 0) return -1;
    int there = mf_record_string(rec, "domain", &name, &size, err);
    if (there < 0 || (there == 0 && p->method == MF_DOMAIN && missing(r, 0, "domain", err) < 0)) return -1;
    p->sizes[e] = (uint64_t)documents;
    p->n_tokens[e] = (uint64_t)tokens;
    return there ? mf_partition_name(p, e, name, size, err) : 0;
}

/* Reads one record of the table into the spill; *last is the fingerprint before it. */
static int read_chunk(struct mf_partition *p, struct mf_stream_reader *r, struct saved_columns *c,
                      size_t count, uint64_t *last, struct mf_err *err) {
    const struct mf_record *rec;
    if (next_record(r, &rec, err) < 0) return -1;
    if (need_bin(r, rec, "prints", c->fingerprints, count, sizeof *c->fingerprints, err) < 0) return -1;
    if (need_bin(r, rec, "parts", c->partitions, count, sizeof *c->partitions, err) < 0) return -1;
    for (size_t k = 0; k < count; k++) {
        if (c->partitions[k] >= p->E || c->fingerprints[k] < *last)
            return mf_err_set(err, EX_DATAERR, "%s: the table of documents is wrong at entry %zu",
                              mf_stream_name(r), (size_t)p->documents);
        *last = c->fingerprints[k];
        if (mf_partition_know(p, c->fingerprints[k], c->partitions[k], err) < 0) return -1;
    }
    return 0;
}

static int read_documents(struct mf_partition *p, struct mf_stream_reader *r, struct mf_err *err) {
    const struct mf_record *rec;
    uint64_t last = 0, n = p->documents;
    struct saved_columns *c = calloc(1, sizeof *c);
    int status = c ? 0 : mf_err_set(err, EX_OSERR, "out of memory for a table of documents");
    p->documents = 0;
    while (status == 0 && p->documents < n)
        status = read_chunk(
            p, r, c, n - p->documents < SAVED_CHUNK ? (size_t)(n - p->documents) : SAVED_CHUNK, &last, err);
    free(c);
    if (status < 0) return -1;
    int more = mf_stream_next(r, &rec, err);
    return more <= 0 ? more : mf_err_set(err, EX_DATAERR, "%s: too many records", mf_stream_name(r));
}

static int read_terms(struct mf_partition *p, size_t count, struct mf_stream_reader *r, struct mf_err *err) {
    const struct mf_record *rec;
    const void *bytes;
    size_t size;
    if (next_record(r, &rec, err) < 0) return -1;
    /* The terms' bytes are in memory before anything is allocated after the header's numbers. */
    if (missing(r, mf_record_bin(rec, "terms", &bytes, &size, err), "terms", err) < 0) return -1;
    if (size != count * sizeof *p->terms.ids)
        return mf_err_set(err, EX_DATAERR, "%s: terms has %zu bytes, not %zu", mf_stream_name(r), size,
                          count * sizeof *p->terms.ids);
    if (mf_terms_alloc(&p->terms, p->vocab, count, err) < 0) return -1;
    if (need_bin(r, rec, "terms", p->terms.ids, count, sizeof *p->terms.ids, err) < 0) return -1;
    if (need_bin(r, rec, "idf", p->terms.idf, count, sizeof *p->terms.idf, err) < 0) return -1;
    if (mf_terms_index(&p->terms) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: the terms do not ascend or an idf is not positive",
                      mf_stream_name(r));
}

int mf_partition_read(struct mf_partition *p, const char *path, struct mf_err *err) {
    struct mf_stream_reader *r;
    size_t features = 0;
    *p = (struct mf_partition){0};
    if (mf_stream_open(&r, path, "partition", err) < 0) return -1;
    float *column = calloc(MF_FEATURES_MAX + 1, sizeof *column);
    int result = column ? 0 : mf_err_set(err, EX_OSERR, "out of memory for a centroid");
    if (result == 0) result = read_header(p, r, &features, err);
    if (result == 0) result = read_terms(p, features, r, err);
    if (result == 0) result = mf_partition_alloc(p, err);
    for (size_t e = 0; result == 0 && e < p->E; e++) result = read_partition(p, e, column, r, err);
    if (result == 0) result = read_documents(p, r, err);
    free(column);
    mf_stream_close(r);
    if (result < 0) mf_partition_free(p);
    return result;
}
