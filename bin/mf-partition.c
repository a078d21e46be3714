/* mf-partition: divides documents among experts.
 *     mf-partition -o DIR [OPTION]... [TOKENS] */
#include <stdio.h>
#include "cli/options.h"
#include "io/file.h"
#include "io/spool.h"
#include "config/config.h"
#include "cli/partition_table.h"

#define MEMORY    200000000 /* --max-memory */
#define NAMED     10        /* partitions in a message */
#define LIST_SIZE (NAMED * 24 + 40)

static const char notes[] =
    "Reads a tokens stream and writes one stream for each expert, DIR/part.0.mp, DIR/part.1.mp, ..., and\n"
    "DIR/partition.mp, which places later documents in the same way (formats/partition.md). A partition whose bytes\n"
    "did not change keeps its file and its time.\n"
    "\n"
    "Methods: clustered (tf-idf and balanced k-means), random, curriculum (easy to hard, needs -t), domain.\n"
    "\n"
    "With --saved DIR/partition.mp, documents that were placed before stay where they are and new documents join them.\n"
    "With -n larger than the saved number, new documents form the additional partitions, and the old partitions keep\n"
    "their bytes. mf-partition warns when a partition gets no document any more (it keeps its file) and when most\n"
    "documents are new to the saved partitioning.\n"
    "\n"
    "With --label nothing is divided: the stream is copied, and each record gets the number of its partition, for\n"
    "validation and calibration. --each DIR also gives each partition a file of its own, so that an expert's validation\n"
    "reads no other; where it would have nothing to predict, the file has all documents.\n"
    "\n"
    "Memory does not grow with the documents: clusters are found on a sample of 32,768 of them, and what --max-memory\n"
    "does not hold waits in nameless files in $TMPDIR. No limit changes the output; one that is too small for the\n"
    "number of partitions is refused with the least that does.\n"
    "\n"
    "examples:\n"
    "  mf-partition -n 5 -o parts train.mf\n"
    "  mf-partition --saved parts/partition.mp -n 6 -o parts all.mf\n"
    "  mf-partition --saved parts/partition.mp --label --each val -o val.labelled.mf val.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or fewer documents than partitions, 66 input cannot be opened,\n"
    "73 or 74 cannot write, 78 bad config.\n";

static int label(const struct mf_division *division, const struct mf_divide *d, const char *output,
                 const char *folder, struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, output, err) < 0) return -1;
    return mf_out_end(out, mf_division_label(division, d, out, folder, err), err);
}

/* What a saved partitioning is no longer good for. */
static void warn(const struct mf_division *d) {
    size_t n = d->corpus.count;
    if (n > 0 && d->were > 0 && (2 * d->known < n || 2 * d->known < d->were))
        fprintf(
            stderr,
            "mf-partition: only %zu of %zu documents are among the %zu that were partitioned: if this is another "
            "corpus, make all anew (make fresh)\n",
            d->known, n, d->were);
    for (size_t e = 0; e < d->saved.E; e++)
        if (d->saved.sizes[e] == 0)
            fprintf(
                stderr,
                "mf-partition: partition %zu has no documents now: its file, and so its expert, stay as they are\n",
                e);
}

/* "partition 3" or "partitions 0, 2, 5, ... (12)": those with `least` to `most` of something. False: none. */
static bool list_poor(const struct mf_partition *p, const uint64_t *amounts, uint64_t min, uint64_t max,
                      char *text, size_t capacity) {
    size_t count = 0, at = 0;
    for (size_t e = 0; e < p->E; e++) count += amounts[e] >= min && amounts[e] <= max;
    if (count == 0) return false;
    at = (size_t)snprintf(text, capacity, "partition%s", count > 1 ? "s" : "");
    for (size_t e = 0, n = 0; e < p->E && n < NAMED; e++) {
        if (amounts[e] < min || amounts[e] > max) continue;
        at += (size_t)snprintf(text + at, capacity - at, "%s %zu", n ? "," : "", e);
        if (++n == NAMED && count > n) snprintf(text + at, capacity - at, ", ... (%zu)", count);
    }
    return true;
}

/* What the experts' validation will lack. */
static void warn_of_labels(const struct mf_division *d, const char *name) {
    char poor[LIST_SIZE];
    if (d->corpus.count == 0)
        fprintf(
            stderr,
            "mf-partition: %s has no document: nothing to validate or calibrate on (docs.val_fraction and "
            "docs.min_targets above 0 give it some)\n",
            name);
    else if (list_poor(&d->saved, d->saved.sizes, 0, 0, poor, sizeof poor))
        fprintf(stderr,
                "mf-partition: %s has no document of %s: such experts are validated on all partitions "
                "(a larger docs.val_fraction helps)\n",
                name, poor);
}

/* An expert that has less than a window sees the same few tokens at each step. */
static void warn_of_windows(const struct mf_division *d, int64_t context) {
    char poor[LIST_SIZE];
    if (list_poor(&d->saved, d->saved.n_tokens, 1, (uint64_t)context, poor, sizeof poor))
        fprintf(stderr,
                "mf-partition: less than one window of %lld tokens in %s (a smaller model.n_experts or "
                "model.context helps, or more text)\n",
                (long long)context, poor);
}

static int divide(struct mf_divide *d, bool labels, const char *output, const char *folder, int64_t context,
                  bool quiet, struct mf_err *err) {
    struct mf_division division;
    size_t changed = 0;
    int status = mf_divide_open(&division, d, err);
    if (status == 0 && !quiet && !labels) mf_divide_plan_print(&division.memory, d->max_memory, stderr);
    if (status == 0) status = mf_divide(&division, d, err);
    if (status == 0)
        status = labels ? label(&division, d, output, folder, err)
                        : mf_division_write(&division, d, output, &changed, err);
    if (status == 0 && !quiet && !labels) {
        warn(&division);
        status = mf_division_print(&division, stderr, err);
        fprintf(stderr, "mf-partition: %zu of %zu partition%s changed\n", changed, division.saved.E,
                division.saved.E == 1 ? "" : "s");
        warn_of_windows(&division, context);
    }
    if (status == 0 && !quiet && labels) warn_of_labels(&division, d->name);
    mf_division_free(&division);
    return status;
}

/* What was asked for on the command line; what was not comes from the config. */
struct request {
    struct mf_divide divide;
    const char *tokens, *output, *folder;
    bool labels;
    int64_t partitions;
    int method; /* -1: not given */
    double overlap, general, balance;
    uint64_t max_memory;
};

static int check_request(const struct request *q, struct mf_err *err) {
    if (!q->output && !q->labels) return mf_err_set(err, EX_USAGE, "which folder? (-o DIR)");
    if (q->folder && !q->labels) return mf_err_set(err, EX_USAGE, "--each goes with --label");
    if (q->labels && !q->divide.saved)
        return mf_err_set(err, EX_USAGE, "--label goes with a saved partitioning (--saved FILE)");
    if (q->divide.saved && (q->method >= 0 || q->overlap >= 0 || q->general >= 0 || q->balance > 0))
        return mf_err_set(
            err, EX_USAGE,
            "--method, --overlap, --general and --balance belong to a new partitioning, a saved "
            "one has its own");
    if (q->labels && q->partitions)
        return mf_err_set(err, EX_USAGE, "--partitions divides, --label does not");
    if (q->folder && mf_folder_check(q->folder, err) < 0) return -1;
    if (!q->labels) return mf_folder_check(q->output, err);
    const char *read[] = {q->tokens, q->divide.saved, q->divide.tokenizer};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        if (mf_out_check_input(q->output, "output", read[i], err) < 0) return -1;
    return mf_out_check(q->output, err);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *q = request;
    struct mf_divide *d = &q->divide;
    struct mf_config config;
    struct mf_spool source; /* the stream is read several times */
    if (mf_options_operand(operands, "tokens stream", &q->tokens, err) < 0 || check_request(q, err) < 0)
        return -1;
    if (mf_config_load_stage(&config, &common->settings, "partition", err) < 0) return -1;
    d->params = (struct mf_plan_params){
        .method = (enum mf_partition_method)(q->method >= 0 ? q->method : config.partition.method),
        .partitions = (size_t)(q->partitions || d->saved ? q->partitions : config.model.n_experts),
        .overlap = q->overlap >= 0 ? q->overlap : config.partition.overlap,
        .general = q->general >= 0 ? q->general : config.partition.general,
        .balance = q->balance > 0 ? q->balance : config.partition.balance,
        .restarts = config.partition.restarts,
        .iterations = config.partition.iterations,
        .seed = (uint64_t)config.seed};
    d->features = (size_t)config.partition.features;
    d->labels = q->labels;
    d->files = !q->labels || q->folder;
    d->max_memory = (size_t)q->max_memory;
    int status = mf_spool_open(&source, q->tokens, err);
    d->path = source.path;
    d->name = source.name;
    if (status == 0) status = mf_pool_new(&d->pool, (int)common->threads, err);
    if (status == 0)
        status = divide(d, q->labels, q->output, q->folder, config.model.context, common->quiet, err);
    if (status < 0) mf_spool_name(&source, err);
    mf_pool_free(d->pool);
    mf_spool_close(&source);
    return status;
}

int main(int argc, char **argv) {
    struct request q = {.method = -1, .overlap = -1, .general = -1, .max_memory = MEMORY};
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_STRING, &q.output, "DIR",
         "the folder of the partitions; with --label the file", 0, 0},
        {"tokenizer", 't', MF_OPT_STRING, &q.divide.tokenizer, "FILE",
         "tokenizer.json: shows the words that tell partitions apart; needed for the curriculum", 0, 0},
        {"partitions", 'n', MF_OPT_INT, &q.partitions, "N",
         "how many (default: model.n_experts, or as many as --saved has)", 1, MF_PARTITIONS_MAX},
        {"method", 0, MF_OPT_CHOICE, &q.method, MF_PARTITION_METHODS,
         "how to divide (default: partition.method)", 0, 0},
        {"by", 0, MF_OPT_CHOICE, &q.method, MF_PARTITION_METHODS, "another name for --method", 0, 0},
        {"overlap", 0, MF_OPT_REAL, &q.overlap, "X",
         "add each partition's nearest other documents, up to X of its tokens (default: partition.overlap)",
         0, 1},
        {"general", 0, MF_OPT_REAL, &q.general, "X",
         "add documents of others by hash, about X of each partition's tokens (default: partition.general)",
         0, 1},
        {"balance", 0, MF_OPT_REAL, &q.balance, "X",
         "largest partition over the mean (default: partition.balance)", 1, 1000},
        {"saved", 0, MF_OPT_STRING, &q.divide.saved, "FILE", "go on with a saved partitioning", 0, 0},
        {"centroids", 0, MF_OPT_STRING, &q.divide.saved, "FILE", "another name for --saved", 0, 0},
        {"label", 0, MF_OPT_FLAG, &q.labels, NULL, "write the stream with a field `partition` in each record",
         0, 0},
        {"each", 0, MF_OPT_STRING, &q.folder, "DIR",
         "with --label: also write the documents of each partition to DIR/part.0.mf, ...", 0, 0},
        {"max-memory", 0, MF_OPT_SIZE, &q.max_memory, "SIZE",
         "keep to it whatever is read; the rest goes to $TMPDIR (default: 200M)", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-partition", "divide documents among experts",
                                   "mf-partition -o DIR [OPTION]... [TOKENS]", options, notes};
    return mf_options_run(&usage, run, &q, argc, argv);
}
