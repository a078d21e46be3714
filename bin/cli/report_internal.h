/* What making a report (report.c) shares with measuring on its sample (report_bundles.c, report_measures.c,
 * report_oracle.c, report_positions.c, report_unigram.c). */
#ifndef MF_CLI_REPORT_INTERNAL_H
#define MF_CLI_REPORT_INTERNAL_H

#include "cli/report.h"
#include "eval/perplexity.h"

/* Ranges of places in a document: tokens 1 to 8, 9 to 32, 33 to 128, 129 to 256 and the rest. */
#define REPORT_RANGES 5

/* A document's losses by them. */
struct report_document {
    double nats[REPORT_RANGES];
    uint64_t tokens[REPORT_RANGES], n; /* n: all so far */
};

/* What is measured of one model, and what it loses more than the first, document by document. */
struct report_comparison {
    struct mf_measure behind;
    struct mf_measure ranges[REPORT_RANGES], behind_ranges[REPORT_RANGES];
};

/* What is measured on the same documents, and where it goes. */
struct report_maker {
    struct mf_session *s;
    const struct mf_report_files *files;
    const struct mf_common *common;
    uint32_t *lengths;
    double start;                      /* mf_now() */
    size_t slices;                     /* of the sample, that are measured */
    struct mf_measure test;            /* of the model, which is measured first */
    double (*nats)[1 + REPORT_RANGES]; /* of each test document under it, in all and by places */
    size_t n_nats, capacity, at;       /* of them; the document that is being measured again */
    struct report_document document;   /* the same */
    struct report_comparison now;      /* of what is being measured */
    bool with_oracle;                  /* each document has an expert of its partition */
    int64_t *of_expert;                /* [experts] partitions that they trained on, and */
    int64_t *place;                    /* their places in the model; -1: its metadata do not say */
    size_t *of_document;               /* [n_nats] the expert of each document's partition */
    const size_t *only;                /* of documents of this expert alone, or NULL */
    struct mf_perplexity oracle;
    struct report_comparison oracle_now;
    size_t unimproved;             /* experts that are as they were before training */
    bool imported;                 /* the shared backbone: it was trained elsewhere, and has no curve */
    json_t *perplexity, *measures; /* single numbers; the same in full */
};

/* Reads what the bundles beside the model say: partitions, which experts training left as they were, whether
 * the backbone was imported. The model is the session's. EX_DATAERR: its metadata say that it was made of
 * others, or an expert is given twice. */
int report_bundles(struct report_maker *m, struct mf_err *err);

/* Measures the session's model, which says how much of the sample is measured: more of it until the
 * standard error is eval.error. Puts "test" and "sample" into the report. */
int report_measure_model(struct report_maker *m, json_t *report, struct mf_err *err);

/* Measures on the same documents: dense models, the oracle and token frequencies alone on all of them, each
 * expert on the first of them, until its distance from the model is as certain. */
int report_measure_others(struct report_maker *m, struct mf_err *err);

/* Adds what the session's model loses on a slice of the sample to *p, and by places and beside the first
 * model to m->now. */
int report_measure_slice(struct report_maker *m, size_t slice, struct mf_perplexity *p, struct mf_err *err);

/* What was measured behind the model, in full; of part of the documents perplexity, loss and error are
 * estimates for all. New. */
json_t *report_compared(const struct report_maker *m, const char *what, const struct mf_perplexity *p);

/* A row for people: perplexity and its standard error, which is one of its logarithm. */
void report_show(const struct report_maker *m, const char *what, double loss, double error);

/* Measures what predicting each token by its share of the training tokens alone would give: (count + 1) /
 * (all + V). Nothing of an imported backbone, whose training tokens nobody counted. */
int report_unigram(struct report_maker *m, struct mf_err *err);

/* Puts a measure into the report, twice. */
void report_put(const struct report_maker *m, const char *key, json_t *json);

/* The oracle: prepared when the model is measured, added to while expert e is the session's model, put into
 * the report where the stream says of each document its partition and there is an expert of each. */
int report_oracle_begin(struct report_maker *m, struct mf_err *err);
int report_oracle_add(struct report_maker *m, size_t e, struct mf_err *err);
void report_oracle_end(struct report_maker *m);

/* By places: takes a token's loss (struct mf_perplexity_options), adds a document, also beside what the first
 * model lost on it (or NULL), and the list of formats/report.md. */
void report_positions_token(void *context, double loss);
void report_positions_add(struct report_comparison *c, const struct report_document *document,
                          const double *of_model);
json_t *report_positions_json(const struct report_comparison *c); /* new */

#endif
