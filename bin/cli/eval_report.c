/* mf-eval report: everything that is measured of a model, in one file. */
#include "cli/eval_commands.h"

#include <stdlib.h>
#include <string.h>
#include "cli/report.h"
#include "io/lines.h"

/* Tokens kept in memory of a test stream that cannot be read again. */
#define PIPE_TOKENS ((int64_t)1 << 24)

static const char notes[] =
    "Reads a tokens stream of test documents and writes report.json (formats/report.md): perplexity of the assembled\n"
    "model (perplexity.test), of the shared model with its temporary FFN (perplexity.dense), of each expert alone\n"
    "(perplexity.experts) and of token frequencies alone (perplexity.unigram); routing; memory; samples; the training\n"
    "curves; time and memory of the stages. mf-eval page makes a page of it.\n"
    "The perplexities with their standard errors over documents are also printed on standard error, and each stage\n"
    "that took more memory than its bound.\n"
    "Where the test stream is long, a sample of its documents is measured, the same for each model, which by default\n"
    "takes no longer than the experts' training; --max-tokens 0 takes all.\n"
    "Where files are too many for a command line, their names come from other files, one a line (--expert-list,\n"
    "--metrics-list, --stage-list).\n"
    "\n"
    "example:\n"
    "  mf-eval report -m model.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -e expert.1.tar \\\n"
    "      --metrics shared.metrics -o report.json test.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or pieces that do not belong together, 66 input cannot be\n"
    "opened, 70 a loss that is not finite, 73 or 74 cannot write, 78 bad config.\n";

/* The least and most tokens of a sample by default: fewer tell little, and more take memory for digits that
 * nobody reads. */
#define SAMPLE_MIN ((int64_t)10000)
#define SAMPLE_MAX ((int64_t)1 << 20)

/* Tokens that take no longer to measure than the training of all experts: a function of the settings and the
 * model, not of the clock. Training costs two forward passes a token, as measured with configs/demo.yaml (a
 * backward pass computes no gradients of frozen weights). A report passes each of E experts and the dense
 * model once, and the assembled model twice (its routing is the second), where a token costs as much as
 * top_k. */
static int64_t sample_size(const struct mf_session *s) {
    const struct mf_train_config *t = &s->config.train_expert;
    double E = (double)s->moe->router.n_experts, top_k = (double)s->moe->router.top_k;
    double trained = (double)t->steps * (double)t->batch * (double)t->accumulation * (double)s->moe->shape.S;
    double tokens = 2 * E * trained / (E + 1 + 2 * top_k);
    if (tokens < (double)SAMPLE_MIN) return SAMPLE_MIN;
    return tokens > (double)SAMPLE_MAX ? SAMPLE_MAX : (int64_t)tokens;
}

static int make(struct mf_session *s, const struct mf_common *common, const struct mf_report_files *files,
                const char *tokens, int64_t max_tokens, const char *output, struct mf_err *err) {
    struct mf_source *source;
    json_t *report;
    bool pipe = !tokens || strcmp(tokens, "-") == 0;
    if (mf_session_begin(s, "eval", common, 0, err) < 0) return -1;
    if (max_tokens == INT64_MIN) max_tokens = s->config.eval.max_tokens;
    if (max_tokens == 0 && pipe) max_tokens = PIPE_TOKENS;
    if (mf_session_model(s, files->model, NULL, err) < 0) return -1;
    if (max_tokens < 0) max_tokens = sample_size(s);
    if (mf_session_source(s, &source, tokens, 0, err) < 0) return -1;
    mf_source_spread(source, MF_SOURCE_SPREAD);
    int status = max_tokens > 0 ? mf_source_sample(source, (size_t)max_tokens, err) : 0;
    if (status == 0) status = mf_report_make(s, source, files, common, &report, err);
    mf_source_close(source);
    return status == 0 ? mf_session_write(output, report, err) : -1;
}

/* Files that hold the names of others. */
struct lists {
    const char *experts, *metrics, *stages;
    char *names[3];
};

static int read_lists(struct lists *l, struct mf_strs *experts, struct mf_strs *metrics,
                      struct mf_strs *stages, struct mf_err *err) {
    if (mf_lines_add(experts, &l->names[0], l->experts, err) < 0) return -1;
    if (mf_lines_add(metrics, &l->names[1], l->metrics, err) < 0) return -1;
    return mf_lines_add(stages, &l->names[2], l->stages, err);
}

int mf_eval_report(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0}, experts = {0}, metrics = {0}, stages = {0};
    struct mf_report_files files = {.experts = &experts, .metrics = &metrics, .stages = &stages};
    const char *output = NULL, *tokens = NULL;
    struct lists lists = {0};
    int64_t max_tokens = INT64_MIN;
    const struct mf_option options[] = {
        {"model", 'm', MF_OPT_STRING, &files.model, "FILE", "the assembled model", 0, 0},
        {"tokenizer", 't', MF_OPT_STRING, &files.tokenizer, "FILE", "tokenizer.json", 0, 0},
        {"shared", 's', MF_OPT_STRING, &files.shared, "FILE", "the shared bundle, to compare with", 0, 0},
        {"expert", 'e', MF_OPT_LIST, &experts, "FILE", "an expert bundle, to compare with (repeatable)", 0,
         0},
        {"metrics", 0, MF_OPT_LIST, &metrics, "FILE", "a metrics stream, for the curves (repeatable)", 0, 0},
        {"stage", 0, MF_OPT_LIST, &stages, "FILE", "a record of mf-time (repeatable)", 0, 0},
        {"expert-list", 0, MF_OPT_STRING, &lists.experts, "FILE", "more of --expert, one a line of FILE", 0,
         0},
        {"metrics-list", 0, MF_OPT_STRING, &lists.metrics, "FILE", "more of --metrics, one a line of FILE", 0,
         0},
        {"stage-list", 0, MF_OPT_STRING, &lists.stages, "FILE", "more of --stage, one a line of FILE", 0, 0},
        {"calibration", 0, MF_OPT_STRING, &files.calibration, "FILE", "the report of mf-calibrate", 0, 0},
        {"max-tokens", 0, MF_OPT_INT, &max_tokens, "N",
         "measure a sample of N tokens; 0: all, -1: as fast as experts train (default: eval.max_tokens)", -1,
         1e15},
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-eval report", "measure everything and write report.json",
                                   "mf-eval report -m MODEL -t TOKENIZER [OPTION]... [TOKENS]", options,
                                   notes};
    struct mf_session s = {0};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !files.model) status = mf_err_set(&err, EX_USAGE, "which model? (-m FILE)");
    if (status == 0 && !files.tokenizer) status = mf_err_set(&err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (status == 0) status = read_lists(&lists, &experts, &metrics, &stages, &err);
    if (status == 0 && experts.count && !files.shared)
        status = mf_err_set(&err, EX_USAGE, "experts go with a shared bundle (-s FILE)");
    if (status == 0) status = mf_options_operand(&operands, "tokens stream", &tokens, &err);
    if (status == 0) status = make(&s, &common, &files, tokens, max_tokens, output, &err);
    mf_session_end(&s);
    for (size_t i = 0; i < 3; i++) free(lists.names[i]);
    mf_strs_free(&experts);
    mf_strs_free(&metrics);
    mf_strs_free(&stages);
    return mf_options_end("mf-eval report", status, &common, &operands, &err);
}
