/* mf-eval perplexity: how well a model predicts documents. */
#include "cli/eval_commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "eval/lengths.h"
#include "eval/perplexity.h"
#include "cli/eval_session.h"
#include "io/utf8.h"

static const char notes[] =
    "Reads a tokens stream from standard input. The model is a model.safetensors or a shared bundle; a shared bundle\n"
    "uses its own dense FFN or an expert's (-e).\n"
    "\n"
    "Perplexity is exp(sum of losses / number of scored tokens); both are printed, with the standard error over\n"
    "documents. Bits per byte need the tokenizer (-t). Every token of a document but the first is scored once, except\n"
    "padding and a BOS inside the document. The validation loss of a training differs a little, since its windows\n"
    "cross the ends of documents.\n"
    "\n"
    "Documents are cut into windows of the model's context S. The first token scored in a window sees one token before\n"
    "it, the last one S; a prefix router sees the whole document. With --stride N the windows overlap: each begins N\n"
    "tokens after the one before, so that beyond the first window every token sees at least S - N + 1.\n"
    "\n"
    "--max-memory holds for documents of up to half a million tokens, without --documents and --losses. It may lower\n"
    "the number of windows in one pass.\n"
    "\n"
    "examples:\n"
    "  mf-eval perplexity -m model.safetensors < test.tokens.mp\n"
    "  mf-eval perplexity -m shared.tar -e expert.3.tar -t tokenizer.json --json < test.tokens.mp\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or one that does not fit the model, 66 input cannot be\n"
    "opened, 70 a loss that is not finite, 73 or 74 cannot write, 78 bad config.\n";

/* What the callbacks collect: the documents, when asked for, and progress. */
struct collect {
    json_t *documents; /* NULL: not asked for */
    json_t *losses;    /* of the document so far; NULL: not asked for */
    struct mf_progress progress;
    const struct mf_dataset *dataset;
};

static void add_token(void *context, double loss) {
    struct collect *c = context;
    json_array_append_new(c->losses, mf_real_json(loss));
}

static void add_document(void *context, const char *id, size_t id_size, size_t domain,
                         const struct mf_measure *m) {
    struct collect *c = context;
    if (!c->documents) return;
    json_t *one = json_object(), *measure = mf_measure_json(m);
    json_object_set_new(one, "id", mf_utf8_json(id, id_size));
    json_object_set_new(one, "domain", json_string(mf_dataset_domain(c->dataset, domain)));
    json_object_update(one, measure);
    json_decref(measure);
    json_object_del(one, "documents");
    json_object_del(one, "error");
    if (c->losses) {
        json_object_set_new(one, "losses", c->losses);
        c->losses = json_array();
    }
    json_array_append_new(c->documents, one);
}

static void show_progress(void *context, uint64_t tokens) {
    struct collect *c = context;
    mf_progress_show(&c->progress, tokens, NULL);
}

/* A number for a table, "-" when it is not known. */
static int print_number(struct mf_out *out, const char *format, double value, struct mf_err *err) {
    return isfinite(value) ? mf_out_printf(out, err, format, value) : mf_out_printf(out, err, "%13s", "-");
}

static int print_row(struct mf_out *out, const char *name, const struct mf_measure *m, struct mf_err *err) {
    double perplexity = mf_measure_perplexity(m);
    if (mf_out_printf(out, err, "%-24s", name) < 0) return -1;
    if (print_number(out, "%13.4f", perplexity, err) < 0) return -1;
    if (print_number(out, "%13.4f", perplexity * mf_measure_error(m), err) < 0) return -1;
    if (print_number(out, "%13.5f", mf_measure_loss(m), err) < 0) return -1;
    if (print_number(out, "%13.5f", mf_measure_bits(m), err) < 0) return -1;
    return mf_out_printf(out, err, "%13.3f %11llu %9llu\n", m->nats, (unsigned long long)m->tokens,
                         (unsigned long long)m->documents);
}

static int print_documents(struct mf_out *out, const json_t *documents, struct mf_err *err) {
    size_t i;
    json_t *d;
    json_array_foreach(documents, i, d) {
        char id[64];
        const json_t *text = json_object_get(d, "id");
        mf_utf8_line(id, sizeof id, json_string_value(text), json_string_length(text));
        if (mf_out_printf(out, err, "%-63s %13.4f %13.3f nats %8lld tokens\n", id,
                          json_number_value(json_object_get(d, "perplexity")),
                          json_number_value(json_object_get(d, "nats")),
                          (long long)json_integer_value(json_object_get(d, "tokens"))) < 0)
            return -1;
    }
    return 0;
}

static int print_table(struct mf_out *out, const struct mf_perplexity *p, const struct collect *c,
                       struct mf_err *err) {
    if (print_documents(out, c->documents, err) < 0) return -1;
    if (mf_out_printf(out, err, "%-24s%13s%13s%13s%13s%13s %11s %9s\n", "", "perplexity", "+- error",
                      "nats/token", "bits/byte", "nats", "tokens", "documents") < 0)
        return -1;
    if (print_row(out, "all", &p->all, err) < 0) return -1;
    for (size_t i = 0; i < p->n_domains; i++)
        if (p->domains[i].tokens && print_row(out, mf_dataset_domain(c->dataset, i), &p->domains[i], err) < 0)
            return -1;
    return 0;
}

static int write_result(const char *output, bool as_json, const struct mf_perplexity *p, struct collect *c,
                        struct mf_err *err) {
    struct mf_out *out;
    if (p->all.tokens == 0)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: nothing to score: each token is the first of its document, padding or a boundary",
            mf_dataset_name(c->dataset));
    if (as_json) {
        json_t *json = mf_perplexity_json(p, c->dataset);
        if (c->documents) json_object_set(json, "per_document", c->documents);
        return mf_session_write(output, json, err);
    }
    if (mf_out_open(&out, output, err) < 0) return -1;
    return mf_out_end(out, print_table(out, p, c, err), err);
}

struct request {
    struct mf_session s;
    bool as_json, documents, losses;
    int64_t stride;
};

/* But for what --documents and --losses collect. */
static size_t beside(const void *context, const struct mf_moe *moe, size_t windows) {
    (void)context;
    return mf_windows_memory(moe, windows) + windows * moe->shape.S * sizeof(double);
}

static int measure(const struct request *q, const struct mf_common *common, const uint32_t *lengths,
                   struct mf_err *err) {
    const struct mf_session *s = &q->s;
    struct collect c = {.dataset = s->dataset};
    struct mf_perplexity result = {0};
    const struct mf_perplexity_options o = {.batch = s->batch,
                                            .stride = (size_t)q->stride,
                                            .lengths = lengths,
                                            .context = &c,
                                            .token = q->losses ? add_token : NULL,
                                            .document = add_document,
                                            .progress = show_progress};
    if (q->documents || q->losses) c.documents = json_array();
    if (q->losses) c.losses = json_array();
    mf_progress_begin(&c.progress, "mf-eval", "tokens", 0, common->progress, common->quiet);
    int status = mf_perplexity(s->moe, s->work, s->dataset, &o, &result, err);
    mf_progress_end(&c.progress, result.all.tokens);
    if (status == 0) status = write_result(s->request.output, q->as_json, &result, &c, err);
    mf_perplexity_clear(&result);
    json_decref(c.documents);
    json_decref(c.losses);
    return status;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *q = request;
    struct mf_session *s = &q->s;
    uint32_t *lengths = NULL;
    if (mf_session_check(s, operands, err) < 0) return -1;
    if (q->losses && !q->as_json) return mf_err_set(err, EX_USAGE, "--losses goes with --json");
    if (mf_session_begin(s, "eval", common, s->request.batch, err) < 0) return -1;
    if (mf_session_open(s, err) < 0) return -1;
    if (s->request.tokenizer && mf_token_lengths(&lengths, s->request.tokenizer, s->moe, err) < 0) return -1;
    int status = measure(q, common, lengths, err);
    free(lengths);
    return status;
}

int mf_eval_perplexity(int argc, char **argv) {
    struct request q = {.s.request = {.max_tokens = -1, .beside = beside}};
    const struct mf_option options[] = {
        MF_MODEL_OPTIONS(q.s.request),
        {"tokenizer", 't', MF_OPT_STRING, &q.s.request.tokenizer, "FILE", "tokenizer.json, for bits per byte",
         0, 0},
        {"json", 0, MF_OPT_FLAG, &q.as_json, NULL, "print JSON instead of a table", 0, 0},
        {"documents", 0, MF_OPT_FLAG, &q.documents, NULL, "also list every document", 0, 0},
        {"losses", 0, MF_OPT_FLAG, &q.losses, NULL,
         "with --json: list every document with the loss of each scored token", 0, 0},
        {"max-tokens", 0, MF_OPT_INT, &q.s.request.max_tokens, "N",
         "measure a sample of documents with N tokens in all (default: 0, all)", 0, 1e15},
        {"batch", 0, MF_OPT_INT, &q.s.request.batch, "N",
         "windows in one pass (default: eval.batch); changes no result", 1, 65536},
        {"stride", 0, MF_OPT_INT, &q.stride, "N", "tokens from window to window (default: the context)", 1,
         1e9},
        MF_MEMORY_OPTION(q.s.request),
        MF_OUTPUT_OPTION(&q.s.request.output),
        {0},
    };
    const struct mf_usage usage = {"mf-eval perplexity", "how well a model predicts documents",
                                   "mf-eval perplexity -m MODEL [-e EXPERT] [OPTION]... < TOKENS", options,
                                   notes};
    int status = mf_options_run(&usage, run, &q, argc, argv);
    mf_session_end(&q.s);
    return status;
}
