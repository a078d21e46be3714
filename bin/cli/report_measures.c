/* Perplexities of the model and of what it is compared with, on the same documents. */
#include "cli/report_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/report_notes.h"
#include "io/utf8.h"

/* The first slice of the sample: fewer documents say little of how far they lie apart. */
#define FIRST_TOKENS    10000
#define FIRST_DOCUMENTS 32

/* Notes what the first model loses on the next document. */
static void keep_document(struct report_maker *m, double nats) {
    if (m->n_nats == m->capacity) {
        m->capacity = 2 * m->capacity + 64;
        m->nats = reallocarray(m->nats, m->capacity, sizeof *m->nats);
        if (!m->nats) mf_no_memory();
    }
    m->nats[m->n_nats][0] = nats;
    memcpy(m->nats[m->n_nats] + 1, m->document.nats, sizeof m->document.nats);
    m->at = ++m->n_nats;
}

/* Differences on the same documents have a smaller error than the two numbers. */
static void add_document(void *context, const char *id, size_t id_size, size_t domain,
                         const struct mf_measure *document) {
    struct report_maker *m = context;
    (void)id;
    (void)id_size;
    (void)domain;
    while (m->only && m->at < m->n_nats && m->of_document[m->at] != *m->only) m->at++;
    if (m->at < m->n_nats) {
        const double *of_model = m->nats[m->at++];
        mf_measure_add(&m->now.behind, document->nats - of_model[0], document->tokens, 0);
        report_positions_add(&m->now, &m->document, of_model + 1);
    } else {
        keep_document(m, document->nats);
        report_positions_add(&m->now, &m->document, NULL);
    }
    m->document = (struct report_document){0};
}

void report_show(const struct report_maker *m, const char *what, double loss, double error) {
    double perplexity = exp(loss);
    if (m->common->quiet) return;
    fprintf(stderr, "mf-eval report: %-24s perplexity %10.3f", what, perplexity);
    if (isfinite(error)) fprintf(stderr, " +- %.3f", perplexity * error);
    fputc('\n', stderr);
}

/* How much of the test stream is measured, and how sure that makes the model's perplexity. */
static void add_sample(const struct report_maker *m, json_t *report) {
    struct mf_dataset_extent e = mf_dataset_extent(m->s->dataset);
    double error = mf_measure_error(&m->test);
    json_object_set_new(report, "sample",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "tokens", (json_int_t)e.tokens,
                                  "of_tokens", (json_int_t)e.of_tokens, "documents", (json_int_t)e.documents,
                                  "of_documents", (json_int_t)e.of_documents, "seed",
                                  (json_int_t)m->s->config.seed, "target", m->s->config.eval.error, "error",
                                  mf_real_json(error)));
    if (e.tokens == e.of_tokens || m->common->quiet) return;
    fprintf(stderr, "mf-eval report: measured on a sample: %llu of %llu tokens, %llu of %llu documents",
            (unsigned long long)e.tokens, (unsigned long long)e.of_tokens, (unsigned long long)e.documents,
            (unsigned long long)e.of_documents);
    if (isfinite(error)) fprintf(stderr, ", standard error %.2f%%", 100 * error);
    fputs(" (eval.error and eval.max_tokens set its size)\n", stderr);
}

/* Is the error of this known, and no larger than asked for? */
static bool is_precise(const struct report_maker *m, const struct mf_measure *measure) {
    double target = m->s->config.eval.error;
    return target > 0 && mf_measure_error(measure) <= target;
}

int report_measure_slice(struct report_maker *m, size_t slice, struct mf_perplexity *p, struct mf_err *err) {
    const struct mf_perplexity_options o = {.batch = m->s->batch,
                                            .lengths = m->lengths,
                                            .context = m,
                                            .token = report_positions_token,
                                            .document = add_document};
    mf_dataset_range(m->s->dataset, slice, slice + 1);
    if (mf_dataset_rewind(m->s->dataset, err) < 0) return -1;
    return mf_perplexity(m->s->moe, m->s->work, m->s->dataset, &o, p, err);
}

/* Measures the session's model on `max` slices of the sample at most, one after the other until `aim`, which
 * grows with them, is precise. Returns their number, or -1. */
static int64_t measure_slices(struct report_maker *m, size_t max, const struct mf_measure *aim,
                              struct mf_perplexity *p, struct mf_err *err) {
    size_t n = 0;
    m->at = 0;
    m->now = (struct report_comparison){0};
    while (n < max && !is_precise(m, aim))
        if (report_measure_slice(m, n++, p, err) < 0) return -1;
    return (int64_t)n;
}

json_t *report_compared(const struct report_maker *m, const char *what, const struct mf_perplexity *p) {
    json_t *json = mf_perplexity_json(p, m->s->dataset);
    double error, loss = mf_measure_estimate(&p->all, &m->now.behind, &m->test, &error);
    json_object_set_new(json, "loss", mf_real_json(loss));
    json_object_set_new(json, "perplexity", mf_real_json(exp(loss)));
    json_object_set_new(json, "error", mf_real_json(exp(loss) * error));
    if (m->now.behind.tokens > 0) {
        json_object_set_new(json, "behind", mf_real_json(mf_measure_loss(&m->now.behind)));
        json_object_set_new(json, "behind_error", mf_real_json(mf_measure_error(&m->now.behind)));
    }
    json_object_set_new(json, "positions", report_positions_json(&m->now));
    if (p->all.tokens) report_show(m, what, loss, error);
    return json;
}

static json_t *number_of(const json_t *measure) {
    return json_incref(json_object_get(measure, "perplexity"));
}

static int open_model(struct report_maker *m, const char *path, const char *expert, struct mf_err *err) {
    char tokenizer[65] = "";
    if (m->s->moe) snprintf(tokenizer, sizeof tokenizer, "%s", m->s->moe->tokenizer_sha256);
    if (mf_session_model(m->s, path, expert, err) < 0) return -1;
    if (*tokenizer && strcmp(tokenizer, m->s->moe->tokenizer_sha256) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", path,
                          m->s->moe->tokenizer_sha256, tokenizer, m->files->model);
    return 0;
}

void report_put(const struct report_maker *m, const char *key, json_t *json) {
    json_object_set_new(m->perplexity, key, number_of(json));
    json_object_set_new(m->measures, key, json);
}

int report_measure_model(struct report_maker *m, json_t *report, struct mf_err *err) {
    struct mf_perplexity p = {0};
    size_t most = mf_dataset_slice(m->s->dataset, FIRST_TOKENS, FIRST_DOCUMENTS);
    int64_t slices = measure_slices(m, most, &p.all, &p, err);
    if (slices < 0) return -1;
    m->slices = (size_t)slices;
    m->test = p.all;
    if (p.all.tokens)
        report_show(m, "test", mf_measure_loss(&p.all), mf_measure_error(&p.all));
    else
        fprintf(stderr,
                "mf-eval report: %-24s nothing to measure: %s has no document with a target (a larger "
                "docs.test_fraction helps)\n",
                "test", mf_dataset_name(m->s->dataset));
    json_t *json = mf_perplexity_json(&p, m->s->dataset);
    json_object_set_new(json, "positions", report_positions_json(&m->now));
    report_put(m, "test", json);
    mf_perplexity_clear(&p);
    mf_dataset_range(m->s->dataset, 0, m->slices);
    add_sample(m, report);
    return mf_dataset_rewind(m->s->dataset, err);
}

/* A bundle with its own FFN. */
static int add_dense(struct report_maker *m, const char *key, const char *path, const char *what,
                     struct mf_err *err) {
    static const struct mf_measure nothing; /* is never precise */
    struct mf_perplexity p = {0};
    if (open_model(m, path, NULL, err) < 0) return -1;
    if (measure_slices(m, m->slices, &nothing, &p, err) < 0) return -1;
    report_put(m, key, report_compared(m, what, &p));
    mf_perplexity_clear(&p);
    return 0;
}

/* Slices that one of the experts is measured on at most, so that all of them together take no more than
 * MF_REPORT_ALONE for the whole sample; the first is for each. */
static size_t slices_of_one(const struct report_maker *m) {
    struct mf_dataset *dataset = m->s->dataset;
    mf_dataset_range(dataset, 0, m->slices);
    double all = (double)mf_dataset_extent(dataset).tokens, E = (double)m->files->experts->count;
    size_t n = m->slices;
    for (; n > 1; n--) {
        mf_dataset_range(dataset, 0, n);
        if (E * (double)mf_dataset_extent(dataset).tokens <= MF_REPORT_ALONE * all) break;
    }
    return n;
}

static int measure_expert(struct report_maker *m, size_t e, size_t most, json_t **json, struct mf_err *err) {
    struct mf_perplexity p = {0};
    const char *path = m->files->experts->items[e], *name = mf_report_name(path);
    if (open_model(m, m->files->shared, path, err) < 0) return -1;
    if (measure_slices(m, most, &m->now.behind, &p, err) < 0) return -1;
    *json = report_compared(m, name, &p);
    json_object_set_new(*json, "file", mf_utf8_json(name, strlen(name)));
    if (m->place[e] >= 0) json_object_set_new(*json, "expert", json_integer((json_int_t)m->place[e]));
    mf_perplexity_clear(&p);
    return 0;
}

/* Each expert alone with the shared backbone, and all of them as the oracle has them. */
static int add_experts(struct report_maker *m, struct mf_err *err) {
    json_t *numbers = json_array(), *list = json_array(), *json;
    size_t most = slices_of_one(m);
    json_object_set_new(m->perplexity, "experts", numbers);
    json_object_set_new(m->measures, "experts", list);
    if (report_oracle_begin(m, err) < 0) return -1;
    for (size_t e = 0; e < m->files->experts->count; e++) {
        if (measure_expert(m, e, most, &json, err) < 0) return -1;
        json_array_append_new(numbers, number_of(json));
        json_array_append_new(list, json);
        if (report_oracle_add(m, e, err) < 0) return -1;
    }
    report_oracle_end(m);
    return 0;
}

int report_measure_others(struct report_maker *m, struct mf_err *err) {
    const char *dense = m->files->dense;
    if (dense && add_dense(m, "dense_total", dense, "dense, same tokens", err) < 0) return -1;
    if (!m->files->shared) return 0;
    if (add_dense(m, "dense", m->files->shared, "dense", err) < 0 || add_experts(m, err) < 0) return -1;
    return report_unigram(m, err);
}
