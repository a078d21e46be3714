/* Everything that is measured of a model, in one JSON document (formats/report.md). */
#ifndef MF_CLI_REPORT_H
#define MF_CLI_REPORT_H

#include <stdio.h>
#include "base/strings.h"
#include "cli/eval_session.h"

/* All experts, each alone, are measured with as many tokens as so many of them take for the whole sample. */
#define MF_REPORT_ALONE 8

struct mf_report_files {
    const char *model, *tokenizer;
    const char *shared, *dense;    /* the backbone, a model of the same total tokens; may be NULL */
    const struct mf_strs *experts; /* expert bundles, in the order of the model */
    const struct mf_strs *metrics; /* metrics streams */
    const struct mf_strs *stages;  /* records of mf-time, in the order of the pipeline */
    const char *calibration;       /* mf-calibrate's report, or NULL */
};

/* Measures the session's model, and the others, on its tokens, which can be read again (mf_dataset_rewind).
 * *report is new. */
int mf_report_make(struct mf_session *s, const struct mf_report_files *files, const struct mf_common *common,
                   json_t **report, struct mf_err *err);

/* Reads a report. NULL when it is none: EX_NOINPUT, EX_DATAERR (not JSON, another version). */
json_t *mf_report_read(const char *path, struct mf_err *err);

/* Prints a line for each number that both reports have, and returns how many there are. A perplexity that
 * changed by less than both standard errors together is called even. */
size_t mf_report_compare(FILE *file, const json_t *a, const json_t *b);

#endif
