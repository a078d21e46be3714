/* What making a report (report.c) shares with measuring on its sample (report_measures.c). */
#ifndef MF_CLI_REPORT_INTERNAL_H
#define MF_CLI_REPORT_INTERNAL_H

#include "cli/report.h"
#include "eval/perplexity.h"

/* What is measured on the same documents, and where it goes. */
struct report_maker {
    struct mf_session *s;
    const struct mf_report_files *files;
    const struct mf_common *common;
    uint32_t *lengths;
    double start;                  /* mf_now() */
    size_t slices;                 /* of the sample, that are measured */
    struct mf_measure test;        /* of the model, which is measured first */
    double *nats;                  /* of each test document under it */
    size_t n_nats, capacity, at;   /* of them; the document that is being measured again */
    struct mf_measure behind;      /* what another loses more than the model, document by document */
    size_t unimproved;             /* experts that are as they were before training */
    json_t *perplexity, *measures; /* single numbers; the same in full */
};

/* Measures the session's model, which says how much of the sample is measured: more of it until the
 * standard error is eval.error. Puts "test" and "sample" into the report. */
int report_measure_model(struct report_maker *m, json_t *report, struct mf_err *err);

/* Measures on the same documents: the dense model and token frequencies alone on all of them, each expert on
 * the first of them, until its distance from the model is as certain. */
int report_measure_others(struct report_maker *m, struct mf_err *err);

#endif
