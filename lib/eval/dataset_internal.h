/* What reading documents of tokens (dataset.c) shares with taking a sample of them (dataset_sample.c)
 * and with mixing that (dataset_mix.c). */
#ifndef MF_EVAL_DATASET_INTERNAL_H
#define MF_EVAL_DATASET_INTERNAL_H

#include <stdbool.h>
#include "eval/dataset.h"

#define DOMAIN_NAME 64

/* A document of the sample. */
struct held {
    uint64_t hash, order; /* of its id; place in the stream */
    size_t domain;
    size_t slice;            /* mf_dataset_slice */
    bool other;              /* in the second half */
    struct mf_token_doc doc; /* without record and bytes */
    uint32_t *tokens;        /* its own, and behind them its id; owned */
};

struct mf_dataset {
    struct mf_tokens_reader docs;
    char *path; /* NULL for standard input */
    struct mf_specials specials;
    char (*domains)[DOMAIN_NAME];
    size_t n_domains, domain; /* domain: of the document read last */
    bool sampled, cut;        /* cut: something was left out of the sample */
    size_t spread; /* over so many documents at least goes a sample, where there are as many; 0 or more */
    struct held *held;
    size_t n_held, held_capacity, next;
    size_t from, to;            /* slices that are read */
    uint64_t seed;              /* of the hash */
    uint64_t tokens, documents; /* read of the stream, of documents with something to predict */
    enum mf_dataset_part part;
    int64_t partition; /* -1: documents of all */
};

/* The stream's next document, as mf_dataset_next. */
int dataset_next_of_stream(struct mf_dataset *s, struct mf_token_doc *doc, struct mf_err *err);

/* Appends a copy of the document's first max_tokens tokens; `order` is its place. */
struct held *dataset_hold(struct mf_dataset *s, const struct mf_token_doc *doc, size_t max_tokens,
                          uint64_t order);

/* For qsort, of struct held. */
int dataset_by_hash(const void *a, const void *b);
int dataset_by_order(const void *a, const void *b);

#endif
