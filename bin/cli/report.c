/* The parts of the report, one function each; what was noted elsewhere is in report_notes.c. */
#include "cli/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "eval/generate.h"
#include "eval/lengths.h"
#include "eval/perplexity.h"
#include "cli/report_notes.h"
#include "eval/routing.h"
#include "io/utf8.h"
#include "model/component.h"

/* What is measured on the same documents, and where it goes. */
struct maker {
    struct mf_session *s;
    const struct mf_report_files *files;
    const struct mf_common *common;
    uint32_t *lengths;
    double start;                  /* mf_now() */
    double *nats;                  /* of each test document under the model, which is measured first */
    size_t n_nats, capacity, at;   /* of them; the document that is being measured again */
    struct mf_measure behind;      /* what another loses more than the model, document by document */
    size_t unimproved;             /* experts that are as they were before training */
    json_t *perplexity, *measures; /* single numbers; the same in full */
};

/* Differences on the same documents have a smaller error than the two numbers. */
static void add_document(void *context, const char *id, size_t id_size, size_t domain,
                         const struct mf_measure *document) {
    struct maker *m = context;
    (void)id;
    (void)id_size;
    (void)domain;
    if (m->at < m->n_nats) {
        mf_measure_add(&m->behind, document->nats - m->nats[m->at++], document->tokens, 0);
        return;
    }
    if (m->n_nats == m->capacity) {
        m->capacity = 2 * m->capacity + 64;
        m->nats = reallocarray(m->nats, m->capacity, sizeof *m->nats);
        if (!m->nats) mf_no_memory();
    }
    m->nats[m->n_nats++] = document->nats;
    m->at = m->n_nats;
}

/* How far what was measured last is behind the model. */
static void set_behind(const struct maker *m, json_t *json) {
    json_object_set_new(json, "behind", mf_real_json(mf_measure_loss(&m->behind)));
    json_object_set_new(json, "behind_error", mf_real_json(mf_measure_error(&m->behind)));
}

/* A row for people: perplexity and its standard error. */
static void show(const struct maker *m, const char *what, const struct mf_measure *measure) {
    double perplexity = mf_measure_perplexity(measure), error = mf_measure_error(measure);
    if (m->common->quiet) return;
    fprintf(stderr, "mf-eval report: %-24s perplexity %10.3f", what, perplexity);
    if (isfinite(error)) fprintf(stderr, " +- %.3f", perplexity * error);
    fputc('\n', stderr);
}

/* How much of the test stream is measured; it has been read once. */
static void add_sample(const struct maker *m, json_t *report) {
    struct mf_dataset_extent e = mf_dataset_extent(m->s->dataset);
    json_object_set_new(report, "sample",
                        json_pack("{s:I, s:I, s:I, s:I}", "tokens", (json_int_t)e.tokens, "of_tokens",
                                  (json_int_t)e.of_tokens, "documents", (json_int_t)e.documents,
                                  "of_documents", (json_int_t)e.of_documents));
    if (e.tokens == e.of_tokens || m->common->quiet) return;
    fprintf(stderr,
            "mf-eval report: measured on a sample: %llu of %llu tokens, %llu of %llu documents "
            "(eval.max_tokens=0: all)\n",
            (unsigned long long)e.tokens, (unsigned long long)e.of_tokens, (unsigned long long)e.documents,
            (unsigned long long)e.of_documents);
}

/* Measures the session's model. *json is new. */
static int measure(struct maker *m, const char *what, json_t **json, struct mf_err *err) {
    struct mf_perplexity_options o = {
        .batch = m->s->batch, .lengths = m->lengths, .context = m, .document = add_document};
    struct mf_perplexity p;
    m->at = 0;
    m->behind = (struct mf_measure){0};
    if (mf_dataset_rewind(m->s->dataset, err) < 0) return -1;
    if (mf_perplexity(m->s->moe, m->s->work, m->s->dataset, &o, &p, err) < 0) return -1;
    *json = mf_perplexity_json(&p, m->s->dataset);
    if (m->behind.tokens > 0) set_behind(m, *json);
    if (p.all.tokens) show(m, what, &p.all);
    if (!p.all.tokens && strcmp(what, "test") == 0)
        fprintf(stderr,
                "mf-eval report: %-24s nothing to measure: %s has no document with a target (a larger "
                "docs.test_fraction helps)\n",
                what, mf_dataset_name(m->s->dataset));
    mf_perplexity_clear(&p);
    return 0;
}

static json_t *number_of(const json_t *measure) {
    return json_incref(json_object_get(measure, "perplexity"));
}

static int open_model(struct maker *m, const char *path, const char *expert, struct mf_err *err) {
    char tokenizer[65] = "";
    if (m->s->moe) snprintf(tokenizer, sizeof tokenizer, "%s", m->s->moe->tokenizer_sha256);
    if (mf_session_model(m->s, path, expert, err) < 0) return -1;
    if (*tokenizer && strcmp(tokenizer, m->s->moe->tokenizer_sha256) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", path,
                          m->s->moe->tokenizer_sha256, tokenizer, m->files->model);
    return 0;
}

static int add_measure(struct maker *m, const char *key, struct mf_err *err) {
    json_t *json;
    if (measure(m, key, &json, err) < 0) return -1;
    json_object_set_new(m->perplexity, key, number_of(json));
    json_object_set_new(m->measures, key, json);
    return 0;
}

/* Counts the expert when its weights are those from before its training, where no validation was better. */
static int count_unimproved(struct maker *m, const char *path, struct mf_err *err) {
    struct mf_bundle *bundle;
    if (mf_bundle_open(&bundle, path, "expert", err) < 0) return -1;
    const json_t *training = json_object_get(mf_bundle_meta(bundle), "training");
    const json_t *best = json_object_get(training, "best_step");
    m->unimproved += json_is_integer(best) && json_integer_value(best) == 0;
    mf_bundle_close(bundle);
    return 0;
}

/* Each expert alone with the shared backbone. */
static int add_experts(struct maker *m, struct mf_err *err) {
    json_t *numbers = json_array(), *list = json_array();
    json_object_set_new(m->perplexity, "experts", numbers);
    json_object_set_new(m->measures, "experts", list);
    for (size_t e = 0; e < m->files->experts->count; e++) {
        json_t *json;
        const char *path = m->files->experts->items[e];
        if (open_model(m, m->files->shared, path, err) < 0 || count_unimproved(m, path, err) < 0) return -1;
        if (measure(m, mf_report_name(path), &json, err) < 0) return -1;
        json_object_set_new(json, "file", mf_utf8_json(mf_report_name(path), strlen(mf_report_name(path))));
        json_array_append_new(numbers, number_of(json));
        json_array_append_new(list, json);
    }
    return 0;
}

/* What predicting each token by its share of the training tokens alone would give: (count + 1) / (all + V).
 * Nothing of an imported backbone, whose training tokens nobody counted. */
static int add_unigram(struct maker *m, struct mf_err *err) {
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
    json_object_set_new(m->perplexity, "unigram", mf_real_json(mf_measure_perplexity(&unigram)));
    json_object_set_new(m->measures, "unigram", mf_measure_json(&unigram));
    if (unigram.tokens) show(m, "unigram", &unigram);
    return 0;
}

static int make_routing(struct maker *m, json_t **json, struct mf_err *err) {
    struct mf_routing r;
    if (mf_dataset_rewind(m->s->dataset, err) < 0) return -1;
    if (mf_routing(m->s->moe, m->s->work, m->s->dataset, m->s->batch, &r, err) < 0) return -1;
    json_t *names = mf_session_experts(m->s->moe);
    *json = mf_routing_json(&r, m->s->dataset, names);
    json_decref(names);
    mf_routing_clear(&r);
    return 0;
}

/* --- samples --- */

/* The tokens' texts with their top experts: a list of [text, expert or null]. A character that several tokens
 * make up stands where it ends. */
static json_t *pieces(const struct mf_tokenizer *tokenizer, const struct mf_generated *r, size_t from,
                      size_t to) {
    json_t *list = json_array();
    struct mf_text text = {0};
    struct mf_err err;
    for (size_t i = from; i < to; i++) {
        size_t whole = 0, n;
        bool valid, last = i + 1 == to;
        if (mf_decode(tokenizer, r->ids.ids + i, 1, &text, &err) < 0) mf_no_memory();
        while (whole < text.size &&
               (n = mf_utf8_step((unsigned char *)text.bytes + whole, text.size - whole, &valid)) > 0)
            whole += n;
        if (last) whole = text.size;
        if (whole == 0) continue;
        uint32_t e = r->experts.ids[i];
        json_t *expert = e == UINT32_MAX ? json_null() : json_integer((json_int_t)e);
        json_array_append_new(list, json_pack("[o,o]", mf_utf8_json(text.bytes, whole), expert));
        memmove(text.bytes, text.bytes + whole, text.size - whole);
        text.size -= whole;
    }
    free(text.bytes);
    return list;
}

static int one_sample(struct maker *m, struct mf_generator *g, const struct mf_tokenizer *tokenizer,
                      const char *prompt, size_t size, size_t number, json_t *samples, struct mf_err *err) {
    const struct mf_config *c = &m->s->config;
    struct mf_generate_options o = {
        .sampling = mf_sampling_default(), .max_tokens = (size_t)c->eval.sample_tokens, .experts = true};
    struct mf_generated result;
    o.sampling.temperature = c->eval.temperature;
    uint64_t key = mf_rng_key((uint64_t)c->seed, "sample", number);
    if (mf_generate(g, prompt, size, key, &o, &result, err) < 0) return -1;
    json_t *one = json_object();
    json_object_set_new(one, "prompt", mf_utf8_json(prompt, size));
    json_object_set_new(one, "text", mf_utf8_json(result.text ? result.text : "", result.size));
    json_object_set_new(one, "tokens", json_integer((json_int_t)(result.ids.count - result.n_prompt)));
    json_object_set_new(one, "prompt_pieces", pieces(tokenizer, &result, result.n_begin, result.n_prompt));
    json_object_set_new(one, "pieces", pieces(tokenizer, &result, result.n_prompt, result.ids.count));
    json_array_append_new(samples, one);
    mf_generated_clear(&result);
    return 0;
}

/* The config's prompts in turn, eval.samples in all. */
static int make_samples(struct maker *m, const struct mf_tokenizer *tokenizer, json_t *samples,
                        struct mf_err *err) {
    struct mf_generator *g;
    const char *all = m->s->config.eval.prompts, *at = all;
    if (mf_generator_new(&g, m->s->moe, m->s->work, tokenizer, err) < 0) return -1;
    int status = 0;
    for (size_t i = 0; i < (size_t)m->s->config.eval.samples && status == 0; i++) {
        size_t size = strcspn(at, "|");
        status = one_sample(m, g, tokenizer, at, size, i, samples, err);
        at = at[size] ? at + size + 1 : all;
    }
    mf_generator_free(g);
    return status;
}

/* Stages above their bounds, trainings without a curve where others have one, and those without effect. */
static void add_warnings(const struct maker *m, json_t *report) {
    json_t *warnings = mf_report_warnings(json_object_get(report, "stages"));
    size_t given = m->files->metrics->count, made = m->files->experts->count + 1;
    if (m->files->shared && given > 0 && given < made)
        json_array_append_new(
            warnings,
            json_pack("{s:s, s:o}", "stage", "report", "text",
                      json_sprintf("has the loss curves of %zu of %zu trainings only", given, made)));
    if (m->unimproved)
        json_array_append_new(
            warnings,
            json_pack("{s:s, s:o}", "stage", "training", "text",
                      json_sprintf("left %zu of %zu experts as they began: no validation was better than "
                                   "before the first step (more train_expert.steps may help)",
                                   m->unimproved, m->files->experts->count)));
    json_object_set_new(report, "warnings", warnings);
    if (!m->common->quiet) mf_report_warn("mf-eval report", warnings);
}

static int make_all(struct maker *m, const struct mf_tokenizer *tokenizer, json_t *report,
                    struct mf_err *err) {
    json_t *routing, *samples = json_array(), *trainings = json_array(), *stages = json_array();
    int64_t peak = 0;
    json_object_set_new(report, "samples", samples);
    json_object_set_new(report, "training", trainings);
    json_object_set_new(report, "stages", stages);
    if (add_measure(m, "test", err) < 0) return -1;
    add_sample(m, report);
    if (make_routing(m, &routing, err) < 0) return -1;
    json_object_set_new(report, "routing", routing);
    if (make_samples(m, tokenizer, samples, err) < 0) return -1;
    if (m->files->shared) {
        if (open_model(m, m->files->shared, NULL, err) < 0 || add_measure(m, "dense", err) < 0) return -1;
        if (add_experts(m, err) < 0 || add_unigram(m, err) < 0) return -1;
    }
    for (size_t i = 0; i < m->files->metrics->count; i++)
        if (mf_report_training(m->files->metrics->items[i], trainings, &peak, err) < 0) return -1;
    for (size_t i = 0; i < m->files->stages->count; i++)
        if (mf_report_stage(m->files->stages->items[i], stages, err) < 0) return -1;
    if (mf_report_calibration(m->files->calibration, report, err) < 0) return -1;
    json_object_set_new(report, "memory", mf_report_memory(peak));
    mf_report_own_stage(m->start, stages);
    add_warnings(m, report);
    return 0;
}

int mf_report_make(struct mf_session *s, const struct mf_report_files *files, const struct mf_common *common,
                   json_t **report, struct mf_err *err) {
    struct maker m = {.s = s,
                      .files = files,
                      .common = common,
                      .start = mf_now(),
                      .perplexity = json_object(),
                      .measures = json_object()};
    struct mf_tokenizer *tokenizer = NULL;
    *report = json_object();
    json_object_set_new(*report, "version", json_integer(1));
    json_object_set_new(*report, "model",
                        mf_utf8_json(mf_report_name(files->model), strlen(mf_report_name(files->model))));
    json_object_set_new(*report, "perplexity", m.perplexity);
    json_object_set_new(*report, "measures", m.measures);
    int status = mf_model_tokenizer(&tokenizer, files->tokenizer, s->moe, err);
    if (status == 0) {
        m.lengths = mf_token_lengths_of(tokenizer, s->moe->shape.V);
        status = make_all(&m, tokenizer, *report, err);
    }
    free(m.lengths);
    free(m.nats);
    mf_tokenizer_free(tokenizer);
    if (status < 0) json_decref(*report);
    return status;
}
