/* What mf-docs says at its end: the documents that it read, removed and wrote, and what it left out. */
#ifndef MF_CLI_DOCS_SUMMARY_H
#define MF_CLI_DOCS_SUMMARY_H

#include "text/select.h"

#define MF_NAMED 10

/* What is counted, and the first of it named. */
struct mf_named {
    uint64_t count;
    struct mf_err first[MF_NAMED];
};

struct mf_docs_summary {
    struct mf_tally written;
    struct mf_named left[MF_DOCS_LEFT], bad; /* left out; bad: lines of JSON */
    struct mf_named stray;                   /* documents with bytes that are no UTF-8 */
    bool all_splits;                         /* are written: what a pipeline will lack is said too */
};

/* What --max-memory is spent on, on standard error, before work begins; `memory` of it finds copies. */
void mf_docs_plan_print(double near, size_t max_memory, size_t memory);

/* Prints it on standard error. */
void mf_docs_summary_print(const struct mf_docs_summary *summary, const struct mf_selection *selection);

#endif
