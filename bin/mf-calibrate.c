/* mf-calibrate: fits an assembled model's router and norms to a sample of documents; the experts stay as they
 * are. mf-calibrate -m model.safetensors -o calibrated.safetensors [OPTION]... < TOKENS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/memory.h"
#include "cli/options.h"
#include "calibrate/calibrate.h"
#include "cli/eval_session.h"
#include "model/moe_save.h"

static const char notes[] =
    "Reads a tokens stream of documents that no expert was trained on. Half of them are fitted to, the other half are\n"
    "held out: a change is kept only when it lowers the loss there by more than chance would (2.5 standard errors over\n"
    "the documents). A single document is cut after a window; where there is less, the model is written unchanged, and a\n"
    "line says which setting helps.\n"
    "\n"
    "To the documents held out come some that change their subject half way, each made of two of them from different\n"
    "partitions (calibrate.changes: for each token held out; 0: none). Without these a router of the prefix would be left\n"
    "with a long memory, and go on with the old subject's experts.\n"
    "\n"
    "It tries how much the token scores of the prefix count and how fast they are forgotten (router kind prefix; of\n"
    "family llama also the weight of BOS, a prior of the partitions and a factor of each layer); gates\n"
    "(calibrate.router): those there are at other temperatures, then in closed form, ridge, discriminant or the best of\n"
    "both, each layer's again once those below it are fitted; and norms moved to what the experts saw in training\n"
    "(calibrate.norms). Documents with a field `partition` (mf-partition --label) teach the gates by it; without one,\n"
    "each document's best expert is found by trying all.\n"
    "\n"
    "With calibrate.router=train the best gates are then trained for calibrate.steps steps, with noise on their logits\n"
    "(calibrate.noise) and a loss that keeps the experts in balance (calibrate.balance). Gates of top_k 1 are taught by\n"
    "the two best experts, since one alone weighs 1 whatever its logit, and measured with one.\n"
    "\n"
    "example:\n"
    "  mf-calibrate -m assembled.safetensors -o model.safetensors --report calibration.json < val.mf\n"
    "\n"
    "--max-memory holds for documents of up to half a million tokens.\n"
    "\n"
    "exit status: 0 (also when nothing helps, or there is too little to fit to: the model is then copied), or 64 wrong\n"
    "use, 65 malformed input or one that does not fit the model, 66 input cannot be opened, 73 or 74 cannot write, 78\n"
    "bad config.\n";

struct show {
    bool quiet;
};

static void show_trial(void *context, const char *what, double loss, bool kept) {
    const struct show *s = context;
    if (!s->quiet) fprintf(stderr, "mf-calibrate: %-36s loss %.5f%s\n", what, loss, kept ? "  kept" : "");
}

/* The partition of each expert, from the metadata; new. One with a name, as the anchor, has none. */
static int64_t *read_partitions(const struct mf_moe *moe) {
    json_t *entries = mf_session_entries(moe);
    int64_t *partition_of = calloc(moe->router.n_experts, sizeof *partition_of);
    if (!partition_of) mf_no_memory();
    for (size_t e = 0; e < moe->router.n_experts; e++) {
        const json_t *entry = json_array_get(entries, e), *p = json_object_get(entry, "partition");
        bool named = json_object_get(entry, "name") != NULL;
        partition_of[e] = json_is_integer(p) ? json_integer_value(p) : named ? INT64_MIN : (int64_t)e;
    }
    json_decref(entries);
    return partition_of;
}

static int save(const struct mf_moe *moe, const char *output, const json_t *report, struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, output, err) < 0) return -1;
    return mf_out_end(out, mf_moe_save(moe, out, report, err), err);
}

static void say(const json_t *report) {
    size_t i;
    json_t *note;
    json_array_foreach(json_object_get(report, "notes"), i, note)
        fprintf(stderr, "mf-calibrate: %s\n", json_string_value(note));
    if (json_is_false(json_object_get(report, "calibrated"))) return;
    fprintf(stderr, "mf-calibrate: held-out loss %.5f, was %.5f; peak memory %.0f MB\n",
            json_number_value(json_object_get(report, "loss_after")),
            json_number_value(json_object_get(report, "loss_before")), (double)mf_peak_memory() / 1e6);
}

static size_t beside(const void *context, const struct mf_moe *moe, size_t windows) {
    const struct mf_config *config = context;
    const struct mf_calibrate_options options = {.config = config, .batch = windows};
    return mf_calibrate_memory(moe, &options, (size_t)config->calibrate.max_tokens);
}

struct request {
    struct mf_session s;
    const char *report;
};

static int fit(struct mf_session *s, const struct mf_common *common, json_t **report, struct mf_err *err) {
    struct show show = {common->quiet};
    int64_t *partition_of = read_partitions(s->moe);
    const struct mf_calibrate_options options = {&s->config, s->batch, partition_of, &show, show_trial};
    int status = mf_calibrate(s->moe, s->work, s->dataset, s->pool, &options, report, err);
    free(partition_of);
    return status;
}

static int calibrate(void *request, const struct mf_common *common, struct mf_strs *operands,
                     struct mf_err *err) {
    struct request *q = request;
    struct mf_session *s = &q->s;
    struct mf_session_request *r = &s->request;
    json_t *report;
    if (q->report && strcmp(q->report, "-") == 0 && !r->output)
        return mf_err_set(err, EX_USAGE, "standard output is both --output and --report");
    if (mf_session_check(s, operands, err) < 0) return -1;
    if (mf_session_begin(s, "calibrate", common, 0, err) < 0) return -1;
    r->context = &s->config;
    r->max_tokens = s->config.calibrate.max_tokens;
    s->budget.min_windows = s->batch; /* fewer would round differently, and other changes might be kept */
    if (mf_session_open(s, err) < 0) return -1;
    if (fit(s, common, &report, err) < 0) return -1;
    int status = q->report ? mf_session_write(q->report, json_incref(report), err) : 0;
    if (status == 0)
        status = save(s->moe, r->output, report, err); /* last: its file says that all is there */
    if (status == 0 && !common->quiet) say(report);
    json_decref(report);
    return status;
}

int main(int argc, char **argv) {
    struct request q = {.s.request = {.beside = beside, .routed = true}};
    const struct mf_option options[] = {
        MF_MODEL_OPTION(q.s.request, "the assembled model"),
        {"output", 'o', MF_OPT_OUTPUT, &q.s.request.output, "FILE",
         "write the model to FILE instead of standard output", 0, 0},
        {"report", 0, MF_OPT_OUTPUT, &q.report, "FILE", "also write what was tried and kept, as JSON", 0, 0},
        MF_MEMORY_OPTION(q.s.request),
        {0}};
    const struct mf_usage usage = {"mf-calibrate", "fit an assembled model's router and norms",
                                   "mf-calibrate -m MODEL [OPTION]... [TOKENS]", options, notes};
    int status = mf_options_run(&usage, calibrate, &q, argc, argv);
    mf_session_end(&q.s);
    return status;
}
