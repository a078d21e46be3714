/* What mf-docs says at its end: the documents that it read, removed and wrote, and what it left out. */
#ifndef MF_CLI_DOCS_SUMMARY_H
#define MF_CLI_DOCS_SUMMARY_H

#include "text/select.h"

#define MF_LEFT_OUT_NAMED 10

/* What was left out: how much, and the first of it. */
struct mf_left_out {
    uint64_t count;
    struct mf_err first[MF_LEFT_OUT_NAMED];
};

struct mf_docs_summary {
    struct mf_tally written;
    struct mf_left_out left[MF_DOCS_LEFT], bad; /* bad: lines of JSON */
    bool all_splits;                            /* are written: what a pipeline will lack is said too */
};

/* What --max-memory is spent on, on standard error, before work begins; `memory` of it finds copies. */
void mf_docs_plan_print(double near, size_t max_memory, size_t memory);

/* Prints it on standard error. */
void mf_docs_summary_print(const struct mf_docs_summary *summary, const struct mf_selection *selection);

#endif
