/* The oracle: each document whole by the expert of its own partition, as the partitioner sees it. What the
 * model loses more is what its router costs, which sees a token at a time and nothing of what comes. */
#include "cli/report_internal.h"

#include <stdlib.h>
#include "base/memory.h"

/* The first expert of a partition; their number when there is none. */
static size_t expert_of(const struct report_maker *m, int64_t partition) {
    size_t e = 0, E = m->files->experts->count;
    while (e < E && (partition < 0 || m->of_expert[e] != partition)) e++;
    return e;
}

/* The experts of the documents in the order in which they are measured. Returns whether each has one. */
static int read_documents(struct report_maker *m, struct mf_err *err) {
    struct mf_dataset *dataset = m->s->dataset;
    struct mf_token_doc doc;
    size_t n = 0;
    int got = 0;
    for (size_t slice = 0; slice < m->slices; slice++) {
        mf_dataset_range(dataset, slice, slice + 1);
        if (mf_dataset_rewind(dataset, err) < 0) return -1;
        while (n < m->n_nats && (got = mf_dataset_next(dataset, &doc, err)) > 0) {
            if (doc.n < 2) continue;
            m->of_document[n] = expert_of(m, doc.partition);
            if (m->of_document[n++] == m->files->experts->count) return 0;
        }
        if (got < 0) return -1;
    }
    return n > 0;
}

int report_oracle_begin(struct report_maker *m, struct mf_err *err) {
    size_t E = m->files->experts->count;
    m->of_document = calloc(m->n_nats + 1, sizeof *m->of_document);
    if (!m->of_document) mf_no_memory();
    int known = E > 0 ? read_documents(m, err) : 0;
    if (known < 0) return -1;
    m->with_oracle = known;
    return 0;
}

int report_oracle_add(struct report_maker *m, size_t e, struct mf_err *err) {
    if (!m->with_oracle || expert_of(m, m->of_expert[e]) != e) return 0;
    m->now = m->oracle_now;
    m->at = 0;
    m->only = &e;
    mf_dataset_of_partition(m->s->dataset, m->of_expert[e]);
    int status = 0;
    for (size_t slice = 0; slice < m->slices && status == 0; slice++)
        status = report_measure_slice(m, slice, &m->oracle, err);
    mf_dataset_of_partition(m->s->dataset, -1);
    m->only = NULL;
    m->oracle_now = m->now;
    return status;
}

void report_oracle_end(struct report_maker *m) {
    m->now = m->oracle_now;
    if (m->with_oracle) report_put(m, "oracle", report_compared(m, "oracle", &m->oracle));
    mf_perplexity_clear(&m->oracle);
}
