/* Measuring a model on documents. */
#include "eval/perplexity.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

/* What is carried from batch to batch: a document may reach over several. */
struct run {
    const struct mf_perplexity_options *options;
    struct mf_dataset *dataset;
    struct mf_perplexity *result;
    double nats; /* of the document so far */
    uint64_t tokens, bytes;
};

static struct mf_measure *domain_measure(struct mf_perplexity *p, size_t domain) {
    if (domain >= p->n_domains) {
        p->domains = reallocarray(p->domains, domain + 1, sizeof *p->domains);
        if (!p->domains) mf_no_memory();
        for (size_t i = p->n_domains; i <= domain; i++) p->domains[i] = (struct mf_measure){0};
        p->n_domains = domain + 1;
    }
    return &p->domains[domain];
}

static void end_document(struct run *run, const struct mf_batch *batch, const struct mf_window *w) {
    struct mf_measure one = {0};
    mf_measure_add(&one, run->nats, run->tokens, run->bytes);
    mf_measure_join(&run->result->all, &one);
    mf_measure_join(domain_measure(run->result, w->domain), &one);
    if (run->options->document)
        run->options->document(run->options->context, batch->ids + w->id, w->id_size, w->domain, &one);
    run->nats = 0;
    run->tokens = run->bytes = 0;
}

static int add_batch(struct run *run, const struct mf_batch *batch, const double *losses, const char *name,
                     struct mf_err *err) {
    for (size_t i = 0; i < batch->seqs.count; i++) {
        const struct mf_window *w = &batch->windows[i];
        for (size_t r = batch->seqs.start[i]; r < batch->seqs.start[i + 1]; r++) {
            if (batch->targets[r] == LOSS_IGNORE) continue;
            if (!isfinite(losses[r]))
                return mf_err_set(err, EX_SOFTWARE, "%s: the loss of a token is not finite", name);
            run->nats += losses[r];
            if (run->options->token) run->options->token(run->options->context, losses[r]);
        }
        run->tokens += w->scored;
        run->bytes += w->bytes;
        if (w->last) end_document(run, batch, w);
    }
    return 0;
}

static int measure_all(struct mf_moe *moe, struct mf_moe_work *work, struct mf_windows *windows,
                       struct run *run, double *losses, struct mf_err *err) {
    const struct mf_perplexity_options *o = run->options;
    const struct mf_batch *batch;
    const float *hidden;
    int got;
    while ((got = mf_windows_next(windows, &batch, err)) > 0) {
        if (mf_moe_forward(moe, work, batch->tokens, &batch->seqs, batch->token_scores, o->hooks, &hidden,
                           err) < 0)
            return -1;
        if (mf_moe_losses(moe, work, hidden, batch->targets, batch->N, losses, err) < 0) return -1;
        if (add_batch(run, batch, losses, moe->name, err) < 0) return -1;
        if (o->progress) o->progress(o->context, run->result->all.tokens);
    }
    return got;
}

int mf_perplexity(struct mf_moe *moe, struct mf_moe_work *work, struct mf_dataset *dataset,
                  const struct mf_perplexity_options *o, struct mf_perplexity *result, struct mf_err *err) {
    struct mf_windows *windows;
    struct run run = {.options = o, .dataset = dataset, .result = result};
    if (mf_windows_new(&windows, moe, dataset, o->batch, o->stride, o->lengths, err) < 0) {
        mf_perplexity_clear(result);
        return -1;
    }
    double *losses = reallocarray(NULL, (o->batch ? o->batch : 1) * moe->shape.S, sizeof *losses);
    int status = losses ? measure_all(moe, work, windows, &run, losses, err)
                        : mf_err_set(err, EX_OSERR, "out of memory for a batch of %zu windows", o->batch);
    free(losses);
    mf_windows_free(windows);
    if (status < 0) mf_perplexity_clear(result);
    return status;
}

void mf_perplexity_clear(struct mf_perplexity *p) {
    free(p->domains);
    *p = (struct mf_perplexity){0};
}

json_t *mf_perplexity_json(const struct mf_perplexity *p, const struct mf_dataset *dataset) {
    json_t *json = mf_measure_json(&p->all), *list = json_array();
    for (size_t i = 0; i < p->n_domains; i++) {
        if (p->domains[i].tokens == 0) continue;
        json_t *one = json_object(), *measure = mf_measure_json(&p->domains[i]);
        json_object_set_new(one, "domain", json_string(mf_dataset_domain(dataset, i)));
        json_object_update(one, measure);
        json_decref(measure);
        json_array_append_new(list, one);
    }
    json_object_set_new(json, "domains", list);
    return json;
}
