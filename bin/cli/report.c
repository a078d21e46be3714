/* The parts of the report, one function each; what was noted elsewhere is in report_notes.c. */
#include "cli/report_internal.h"

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
#include "io/safetensors.h"
#include "io/utf8.h"
#include "model/component.h"

/* What the metadata say of a model that was made to compare with. */
static void add_ffn(const struct report_maker *m, json_t *report) {
    const struct mf_safetensors *model = mf_moe_model(m->s->moe);
    json_t *ffn = model ? json_object_get(mf_safetensors_metadata(model), "ffn") : NULL;
    if (ffn) json_object_set(report, "ffn", ffn);
}

static int make_routing(struct report_maker *m, json_t **json, struct mf_err *err) {
    struct mf_routing r;
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

static int one_sample(struct report_maker *m, struct mf_generator *g, const struct mf_tokenizer *tokenizer,
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
static int make_samples(struct report_maker *m, const struct mf_tokenizer *tokenizer, json_t *samples,
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

static json_t *unimproved(const struct report_maker *m) {
    static const char why[] = "no validation was better than before the first step (more text, or another "
                              "train_expert.steps or lr, may help)";
    size_t E = m->files->experts->count;
    json_t *text = E == 1 ? json_sprintf("left the expert as it began: %s", why)
                          : json_sprintf("left %zu of %zu experts as they began: %s", m->unimproved, E, why);
    return json_pack("{s:s, s:o}", "stage", "training", "text", text);
}

/* Stages above their bounds, trainings without a curve where others have one, and those without effect. */
static void add_warnings(const struct report_maker *m, json_t *report) {
    json_t *warnings = mf_report_warnings(json_object_get(report, "stages"));
    size_t given = m->files->metrics->count;
    size_t made = m->files->experts->count + !m->imported + (m->files->dense != NULL);
    if (m->imported) json_object_set_new(report, "imported", json_true());
    if (m->files->shared && given > 0 && given < made)
        json_array_append_new(
            warnings,
            json_pack("{s:s, s:o}", "stage", "report", "text",
                      json_sprintf("has the loss curves of %zu of %zu trainings only", given, made)));
    if (m->unimproved) json_array_append_new(warnings, unimproved(m));
    json_object_set_new(report, "warnings", warnings);
    if (!m->common->quiet) mf_report_warn("mf-eval report", warnings);
}

static int make_all(struct report_maker *m, const struct mf_tokenizer *tokenizer, json_t *report,
                    struct mf_err *err) {
    json_t *routing, *samples = json_array(), *trainings = json_array(), *stages = json_array();
    int64_t peak = 0;
    json_object_set_new(report, "samples", samples);
    json_object_set_new(report, "training", trainings);
    json_object_set_new(report, "stages", stages);
    /* what is small and may be refused comes before what takes long */
    if (report_bundles(m, err) < 0) return -1;
    add_ffn(m, report);
    for (size_t i = 0; i < m->files->stages->count; i++)
        if (mf_report_stage(m->files->stages->items[i], stages, err) < 0) return -1;
    if (mf_report_calibration(m->files->calibration, report, err) < 0) return -1;
    if (report_measure_model(m, report, err) < 0) return -1;
    if (make_routing(m, &routing, err) < 0) return -1;
    json_object_set_new(report, "routing", routing);
    if (make_samples(m, tokenizer, samples, err) < 0) return -1;
    if (report_measure_others(m, err) < 0) return -1;
    for (size_t i = 0; i < m->files->metrics->count; i++)
        if (mf_report_training(m->files->metrics->items[i], trainings, &peak, err) < 0) return -1;
    json_object_set_new(report, "memory", mf_report_memory(peak));
    mf_report_own_stage(m->start, stages);
    add_warnings(m, report);
    return 0;
}

int mf_report_make(struct mf_session *s, const struct mf_report_files *files, const struct mf_common *common,
                   json_t **report, struct mf_err *err) {
    struct report_maker m = {.s = s,
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
    free(m.of_expert);
    free(m.place);
    free(m.of_document);
    mf_tokenizer_free(tokenizer);
    if (status < 0) json_decref(*report);
    return status;
}
