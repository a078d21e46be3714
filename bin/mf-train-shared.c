/* mf-train-shared: trains the backbone that all experts share, with a temporary dense FFN in their place.
 *     mf-train-shared [OPTION]... [TOKENS] > shared.tar
 *     mpirun -n 2 mf-train-shared [OPTION]... TOKENS > shared.tar */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/options.h"
#include "cli/train_session.h"

static const char notes[] =
    "Reads a tokens stream and writes a shared bundle: embedding, attention, output norm, the temporary FFN, and the\n"
    "counts of the tokens. The keys model.* set the size, train_shared.* the training. A step takes accumulation x\n"
    "batch windows of `context` tokens.\n"
    "\n"
    "Every token of a document but the first is predicted, except padding and a <bos> inside the document\n"
    "(formats/stream.md). Training and validation windows cross the ends of documents, so mf-eval perplexity, whose\n"
    "windows begin with each document, gives a slightly different loss on the same tokens.\n"
    "\n"
    "SIGINT, SIGTERM or SIGHUP writes a checkpoint and ends with status 130, 143 or 129. The same command with\n"
    "--resume continues, and ends with the same bytes as a run that was never stopped.\n"
    "\n"
    "Programs built with MPI (--version shows it) can train in several processes, on one machine or many. With --ranks\n"
    "N the processes divide each batch: the model is that of one process, up to rounding. Without it each process\n"
    "takes `batch` windows, so that N processes train like one with N times the batch. Each process needs the printed\n"
    "memory. All read the same tokens file, and the first alone writes. A signal to one process, or its error, ends\n"
    "all. When mpirun is stopped, it leaves the processes one second to write a checkpoint. mpirun passes SIGUSR1 on;\n"
    "mf-time before each process turns it into SIGTERM.\n"
    "\n"
    "examples:\n"
    "  mf-train-shared --config my.yaml -v val.mf --metrics shared.metrics -o shared.tar train.mf\n"
    "  mpirun -n 4 mf-train-shared --ranks 4 --config my.yaml -v val.mf -o shared.tar train.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or another training's checkpoint, 66 input cannot be\n"
    "opened, 70 the training diverged, 73 or 74 cannot write, 78 bad config.\n";

/* Of several processes only one has the standard input. */
static int check_input(const struct mf_ranks *ranks, const char *path, struct mf_err *err) {
    int count = mf_ranks_count(ranks);
    if (count == 1 || (path && strcmp(path, "-") != 0)) return 0;
    return mf_err_set(err, EX_USAGE, "%d processes cannot share the standard input: name a file", count);
}

/* Leaves each of the `wanted` processes its share of a batch; 0: the batch is each one's. */
static int divide_batch(struct mf_train_config *config, const struct mf_ranks *ranks, int64_t wanted,
                        struct mf_err *err) {
    char build[64];
    int count = mf_ranks_count(ranks);
    if (wanted == 0) return 0;
    if (wanted != count)
        return mf_err_set(err, EX_USAGE, "--ranks %lld, but started as %d (mpirun -n; built %s)",
                          (long long)wanted, count, mf_ranks_build(build));
    if (config->batch % wanted != 0)
        return mf_err_set(err, EX_CONFIG, "train_shared.batch of %lld cannot be divided by --ranks %lld",
                          (long long)config->batch, (long long)wanted);
    config->batch /= wanted;
    return 0;
}

static int prepare(struct mf_train_session *s, const struct mf_ranks *ranks, int64_t wanted,
                   const struct mf_common *common, const struct mf_train_options *o, const char *tokens,
                   struct mf_err *err) {
    struct mf_shape shape;
    if (check_input(ranks, tokens, err) < 0) return -1;
    if (o->validation && check_input(ranks, o->validation, err) < 0) return -1;
    if (mf_train_session_begin(s, "train-shared", common, o, tokens, -1, 0, NULL, err) < 0) return -1;
    if (divide_batch(&s->config.train_shared, ranks, wanted, err) < 0) return -1;
    s->training.ranks = ranks;
    if (mf_train_shape(&s->config, s->data.vocab, &shape, err) < 0) return -1;
    if (mf_train_session_plan(s, "mf-train-shared", common, o, &shape, &s->config.train_shared, NULL, err) <
        0)
        return -1;
    if (mf_train_session_model(s, err) < 0) return -1;
    mf_backbone_init(&shape, s->training.weights.backbone, s->config.model.init_std, s->training.pad,
                     (uint64_t)s->config.seed);
    mf_ffn_init(&shape, s->training.weights.ffn, (uint64_t)s->config.seed);
    return 0;
}

static int train(struct mf_train_session *s, const struct mf_ranks *ranks, int64_t wanted,
                 const struct mf_common *common, const struct mf_train_options *o, const char *tokens,
                 int *signal, struct mf_err *err) {
    struct mf_training_result result;
    int status = mf_ranks_agree(ranks, prepare(s, ranks, wanted, common, o, tokens, err), err);
    if (status < 0 || mf_train_session_run(s, &result, err) < 0) return -1;
    *signal = result.signal;
    if (result.signal) return 0;
    if (mf_ranks_rank(ranks) == 0)
        status = mf_train_session_write(s, "shared", o->output, json_object(), &result, s->tensors,
                                        s->n_tensors, err);
    return mf_ranks_agree(ranks, status, err);
}

/* What Open MPI's mpirun, or srun with its help, tells what it starts: mf_ranks_begin's `started`. */
static const char *started_by_mpirun(void) {
    const char *processes = getenv("OMPI_COMM_WORLD_SIZE");
    return processes ? processes : getenv("PMIX_RANK") ? "" : NULL;
}

/* The second line of --version. */
static int print_build(struct mf_err *err) {
    char text[64];
    printf("built %s\n", mf_ranks_build(text));
    return fflush(stdout) == 0 && !ferror(stdout) ? 1 : mf_err_sys(err, EX_IOERR, "standard output");
}

int main(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    struct mf_train_options o = {0};
    const char *tokens = NULL;
    int64_t wanted = 0;
    const struct mf_option options[] = {MF_TRAIN_OPTIONS(o),
                                        {"ranks", 0, MF_OPT_INT, &wanted, "N",
                                         "divide each batch among the N processes that were started", 1, 1e6},
                                        {0}};
    const struct mf_usage usage = {"mf-train-shared", "train the backbone that all experts share",
                                   "mf-train-shared [OPTION]... [TOKENS]", options, notes};
    struct mf_train_session s = {.data.fd = -1, .validation.fd = -1};
    struct mf_ranks *ranks;
    int signal = 0, status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 1 && common.version) status = print_build(&err);
    if (status == 0) status = mf_options_operand(&operands, "tokens stream", &tokens, &err);
    if (mf_ranks_begin(&ranks, started_by_mpirun(), &err) < 0) status = -1;
    status = mf_ranks_agree(ranks, status, &err);
    common.quiet |= mf_ranks_rank(ranks) > 0;
    if (status == 0) status = train(&s, ranks, wanted, &common, &o, tokens, &signal, &err);
    mf_train_session_end(&s);
    mf_strs_free(&operands);
    mf_strs_free(&common.settings.sets);
    if (status < 0 && mf_ranks_rank(ranks) == 0) mf_fail("mf-train-shared", &err);
    mf_ranks_end(ranks);
    return status < 0 ? err.status : signal ? 128 + signal : 0;
}
