/* mf-eval report: everything that is measured of a model, in one file. */
#include "cli/eval_commands.h"

#include <stdlib.h>
#include <string.h>
#include "cli/report.h"
#include "io/lines.h"

/* Tokens kept in memory of a test stream that cannot be read again. */
#define PIPE_TOKENS ((int64_t)1 << 24)

static const char notes[] =
    "Reads a tokens stream of test documents and writes report.json (formats/report.md): the perplexity of the\n"
    "assembled model (perplexity.test), of the shared model with its temporary FFN (perplexity.dense), of each expert\n"
    "alone (perplexity.experts) and of token frequencies alone (perplexity.unigram); routing; memory; samples; the\n"
    "training curves; time and memory of the stages. mf-eval page turns it into a page.\n"
    "\n"
    "--shared and --expert take the bundles that the model was assembled from: others, by its metadata, are refused.\n"
    "\n"
    "Where the test stream is labelled (mf-partition --label), perplexity.oracle is of each document by the expert of\n"
    "its partition: what a router would reach that knew the whole document. With --dense, perplexity.dense_total is of\n"
    "one dense model that trained on the same total tokens: whether splitting the model was worth it here.\n"
    "\n"
    "Standard error shows the perplexities with their standard errors over documents, and each stage that took more\n"
    "memory than its bound.\n"
    "\n"
    "Of a long test stream a sample of documents is measured. It grows until the standard error of the model's\n"
    "perplexity is eval.error of it, at most to --max-tokens, by default what the experts' training time allows. Each\n"
    "expert alone is measured on the first of these documents, until its distance from the model is as certain.\n"
    "--max-tokens 0 measures everything on all.\n"
    "\n"
    "--expert-list, --metrics-list and --stage-list read names of files from a file, one a line, when they are too\n"
    "many for a command line.\n"
    "\n"
    "example:\n"
    "  mf-eval report -m model.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -e expert.1.tar \\\n"
    "      --metrics shared.metrics -o report.json test.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or bundles that do not belong together, 66 input cannot be\n"
    "opened, 70 a loss that is not finite, 73 or 74 cannot write, 78 bad config.\n";

/* The least and most tokens of a sample by default: fewer tell little, and more take memory for digits that
 * nobody reads. */
#define SAMPLE_MIN ((int64_t)10000)
#define SAMPLE_MAX ((int64_t)1 << 20)

/* Tokens that take no longer to measure than the training of all experts: a function of the settings and the
 * model, not of the clock. Training costs two forward passes a token, as measured with configs/demo.yaml (a
 * backward pass computes no gradients of frozen weights). A report passes each of E experts (what
 * MF_REPORT_ALONE of them take, if there are more), the oracle and two dense models once, and the assembled
 * model twice (its routing is the second), where a token costs as much as top_k. It is no other size where
 * one of them is missing, so that the documents stay the same when it comes. */
static int64_t sample_size(const struct mf_session *s) {
    const struct mf_train_config *t = &s->config.train_expert;
    double E = (double)s->moe->router.n_experts, top_k = (double)s->moe->router.top_k;
    double trained = (double)t->steps * (double)t->batch * (double)t->accumulation * (double)s->moe->shape.S;
    double alone = E < MF_REPORT_ALONE ? E : MF_REPORT_ALONE;
    double tokens = 2 * E * trained / (alone + 3 + 2 * top_k);
    if (tokens < (double)SAMPLE_MIN) return SAMPLE_MIN;
    return tokens > (double)SAMPLE_MAX ? SAMPLE_MAX : (int64_t)tokens;
}

/* What was asked for on the command line. */
struct asked {
    struct mf_session s;
    struct mf_report_files files;
    struct mf_strs experts, metrics, stages;
    struct {
        const char *experts, *metrics, *stages;
    } lists;        /* files that hold the names of others */
    char *names[3]; /* their contents */
    const char *tokens, *output;
    int64_t max_tokens;
};

static int check_request(struct asked *a, const struct mf_strs *operands, struct mf_err *err) {
    if (!a->files.model) return mf_err_set(err, EX_USAGE, "which model? (-m FILE)");
    if (!a->files.tokenizer) return mf_err_set(err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (mf_lines_add(&a->experts, &a->names[0], a->lists.experts, a->output, err) < 0) return -1;
    if (mf_lines_add(&a->metrics, &a->names[1], a->lists.metrics, a->output, err) < 0) return -1;
    if (mf_lines_add(&a->stages, &a->names[2], a->lists.stages, a->output, err) < 0) return -1;
    if (a->experts.count && !a->files.shared)
        return mf_err_set(err, EX_USAGE, "experts go with a shared bundle (-s FILE)");
    return mf_options_operand(operands, "tokens stream", &a->tokens, err);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct asked *a = request;
    struct mf_session *s = &a->s;
    json_t *report;
    if (check_request(a, operands, err) < 0) return -1;
    bool pipe = !a->tokens || strcmp(a->tokens, "-") == 0;
    if (mf_session_begin(s, "eval", common, 0, err) < 0) return -1;
    if (a->max_tokens == INT64_MIN) a->max_tokens = s->config.eval.max_tokens;
    if (a->max_tokens == 0) s->config.eval.error = 0;
    if (a->max_tokens == 0 && pipe) a->max_tokens = PIPE_TOKENS;
    if (mf_session_model(s, a->files.model, NULL, err) < 0) return -1;
    if (a->max_tokens < 0) a->max_tokens = sample_size(s);
    s->request.seed = (uint64_t)s->config.seed;
    if (mf_session_source(s, a->tokens, a->max_tokens, err) < 0) return -1;
    if (mf_report_make(s, &a->files, common, &report, err) < 0) return -1;
    return mf_session_write(a->output, report, err);
}

int mf_eval_report(int argc, char **argv) {
    struct asked a = {.max_tokens = INT64_MIN};
    a.files = (struct mf_report_files){.experts = &a.experts, .metrics = &a.metrics, .stages = &a.stages};
    const struct mf_option options[] = {
        MF_MODEL_OPTION(a.files, "the assembled model"),
        MF_TOKENIZER_OPTION(&a.files.tokenizer),
        {"shared", 's', MF_OPT_STRING, &a.files.shared, "FILE", "the model's shared bundle, to compare with",
         0, 0},
        {"expert", 'e', MF_OPT_LIST, &a.experts, "FILE",
         "the bundle of one of its experts, likewise (repeatable)", 0, 0},
        {"dense", 0, MF_OPT_STRING, &a.files.dense, "FILE",
         "a dense model that trained on as many tokens as the shared bundle and the experts together", 0, 0},
        {"metrics", 0, MF_OPT_LIST, &a.metrics, "FILE", "a metrics stream, for the curves (repeatable)", 0,
         0},
        {"stage", 0, MF_OPT_LIST, &a.stages, "FILE", "a record of mf-time (repeatable)", 0, 0},
        {"expert-list", 0, MF_OPT_STRING, &a.lists.experts, "FILE", "more of --expert, one a line of FILE", 0,
         0},
        {"metrics-list", 0, MF_OPT_STRING, &a.lists.metrics, "FILE", "more of --metrics, one a line of FILE",
         0, 0},
        {"stage-list", 0, MF_OPT_STRING, &a.lists.stages, "FILE", "more of --stage, one a line of FILE", 0,
         0},
        {"calibration", 0, MF_OPT_STRING, &a.files.calibration, "FILE", "the report of mf-calibrate", 0, 0},
        {"max-tokens", 0, MF_OPT_INT, &a.max_tokens, "N",
         "measure at most N tokens; 0: all, -1: as fast as experts train (default: eval.max_tokens)", -1,
         1e15},
        MF_OUTPUT_OPTION(&a.output),
        {0}};
    const struct mf_usage usage = {"mf-eval report", "measure everything and write report.json",
                                   "mf-eval report -m MODEL -t TOKENIZER [OPTION]... [TOKENS]", options,
                                   notes};
    int status = mf_options_run(&usage, run, &a, argc, argv);
    mf_session_end(&a.s);
    for (size_t i = 0; i < 3; i++) free(a.names[i]);
    mf_strs_free(&a.experts);
    mf_strs_free(&a.metrics);
    mf_strs_free(&a.stages);
    return status;
}
