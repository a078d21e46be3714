/* The least that a model must know: how often each token occurs. */
#include "cli/report_internal.h"

#include <math.h>
#include <stdlib.h>
#include "base/memory.h"
#include "model/component.h"

int report_unigram(struct report_maker *m, struct mf_err *err) {
    struct mf_component p;
    struct mf_token_doc doc;
    struct mf_measure unigram = {0};
    if (mf_component_open(&p, m->files->shared, "shared", err) < 0) return -1;
    size_t V = p.shape.V;
    int64_t *counts = calloc(V, sizeof *counts);
    if (!counts) mf_no_memory();
    struct mf_tensor t = {.name = "token_counts", .dtype = MF_I64, .n_dims = 1, .shape = {V}, .data = counts};
    int status = mf_bundle_fill(p.bundle, &t, 1, err), got = 0;
    double total = (double)V;
    for (size_t v = 0; v < V; v++) total += counts[v] > 0 ? (double)counts[v] : 0;
    bool counted = total > (double)V;
    mf_dataset_range(m->s->dataset, 0, m->slices);
    if (status == 0 && counted) status = mf_dataset_rewind(m->s->dataset, err);
    while (status == 0 && counted && (got = mf_dataset_next(m->s->dataset, &doc, err)) > 0) {
        double nats = 0;
        uint64_t tokens = 0;
        for (size_t i = 1; i < doc.n; i++) {
            if (!mf_specials_target(&p.specials, doc.tokens[i]) || doc.tokens[i] >= V) continue;
            nats -= log(((double)counts[doc.tokens[i]] + 1) / total);
            tokens++;
        }
        mf_measure_add(&unigram, nats, tokens, 0);
    }
    free(counts);
    mf_component_close(&p);
    if (status < 0 || got < 0) return -1;
    if (!counted) return 0;
    report_put(m, "unigram", mf_measure_json(&unigram));
    if (unigram.tokens) report_show(m, "unigram", mf_measure_loss(&unigram), mf_measure_error(&unigram));
    return 0;
}
