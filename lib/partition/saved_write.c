/* Writes partition.mp: a partitioning as a stream (formats/partition.md). */
#include <stdlib.h>
#include "base/strings.h"
#include "io/stream.h"
#include "partition/saved.h"
#include "partition/saved_internal.h"

static int write_header(const struct mf_partition *p, struct mf_stream_writer *w, struct mf_err *err) {
    char method[16];
    mf_choice_name(MF_PARTITION_METHODS, (int)p->method, method, sizeof method);
    if (mf_put_text(w, "method", method, err) < 0) return -1;
    if (mf_put_int(w, "partitions", (int64_t)p->E, err) < 0) return -1;
    if (mf_put_int(w, "documents", (int64_t)p->documents, err) < 0) return -1;
    if (mf_put_int(w, "vocab_size", (int64_t)p->vocab, err) < 0) return -1;
    if (mf_put_text(w, "tokenizer_sha256", p->tokenizer, err) < 0) return -1;
    if (mf_put_int(w, "features", (int64_t)p->terms.count, err) < 0) return -1;
    if (mf_put_real(w, "balance", p->balance, err) < 0) return -1;
    if (mf_put_real(w, "overlap", p->overlap, err) < 0) return -1;
    if (p->general > 0 && mf_put_real(w, "general", p->general, err) < 0) return -1;
    return mf_put_int(w, "seed", (int64_t)p->seed, err);
}

static int write_terms(const struct mf_partition *p, struct mf_stream_writer *w, struct mf_err *err) {
    if (mf_stream_begin(w, 2, err) < 0) return -1;
    if (mf_put_bin(w, "terms", p->terms.ids, p->terms.count * sizeof *p->terms.ids, err) < 0) return -1;
    return mf_put_bin(w, "idf", p->terms.idf, p->terms.count * sizeof *p->terms.idf, err);
}

static int write_partition(const struct mf_partition *p, size_t e, float *column, struct mf_stream_writer *w,
                           struct mf_err *err) {
    size_t F = p->terms.count;
    for (size_t f = 0; f < F; f++) column[f] = p->centroids[f * p->E + e];
    if (mf_stream_begin(w, 6 + (p->names[e] != NULL) + (p->general > 0 ? 2 : 0), err) < 0) return -1;
    if (mf_put_int(w, "partition", (int64_t)e, err) < 0) return -1;
    if (mf_put_int(w, "documents", (int64_t)p->sizes[e], err) < 0) return -1;
    if (mf_put_int(w, "tokens", (int64_t)p->n_tokens[e], err) < 0) return -1;
    if (mf_put_real(w, "price", p->prices[e], err) < 0) return -1;
    if (mf_put_real(w, "hardest", p->upper[e], err) < 0) return -1;
    if (p->names[e] && mf_put_string(w, "domain", p->names[e], p->name_sizes[e], err) < 0) return -1;
    if (p->general > 0 && mf_put_real(w, "rate", p->rates[e], err) < 0) return -1;
    if (p->general > 0 && mf_put_int(w, "origin", (int64_t)p->origins[e], err) < 0) return -1;
    return mf_put_bin(w, "centroid", column, F * sizeof *column, err);
}

static int write_documents(const struct mf_partition *p, struct mf_stream_writer *w, struct mf_err *err) {
    struct mf_spill_reader table = {.spill = &p->table};
    struct saved_columns *c = malloc(sizeof *c);
    int status = c ? 0 : mf_err_set(err, EX_OSERR, "out of memory for a table of documents");
    for (size_t i = 0; status == 0 && i < p->documents; i += SAVED_CHUNK) {
        size_t count = p->documents - i < SAVED_CHUNK ? p->documents - i : SAVED_CHUNK;
        for (size_t k = 0; status == 0 && k < count; k++) {
            struct mf_known known = {0};
            status = mf_spill_take(&table, &known, sizeof known, err);
            c->fingerprints[k] = known.fingerprint;
            c->partitions[k] = known.partition;
        }
        if (status == 0) status = mf_stream_begin(w, 2, err);
        if (status == 0) status = mf_put_bin(w, "prints", c->fingerprints, count * sizeof(uint64_t), err);
        if (status == 0) status = mf_put_bin(w, "parts", c->partitions, count * sizeof(uint16_t), err);
    }
    mf_spill_reader_free(&table);
    free(c);
    return status;
}

int mf_partition_write(const struct mf_partition *p, struct mf_out *out, struct mf_err *err) {
    struct mf_stream_writer *w;
    if (mf_stream_create(&w, out, "partition", p->general > 0 ? 10 : 9, err) < 0) return -1;
    float *column = malloc((p->terms.count + 1) * sizeof *column);
    int result = column ? 0 : mf_err_set(err, EX_OSERR, "out of memory for a centroid");
    if (result == 0) result = write_header(p, w, err);
    if (result == 0) result = write_terms(p, w, err);
    for (size_t e = 0; result == 0 && e < p->E; e++) result = write_partition(p, e, column, w, err);
    if (result == 0) result = write_documents(p, w, err);
    free(column);
    return mf_stream_end(w, result, err);
}
