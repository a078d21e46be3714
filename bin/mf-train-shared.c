/* mf-train-shared: trains the foundation that all experts share, with a temporary dense FFN in their place.
 *     mf-train-shared [OPTION]... [TOKENS] > shared.tar */
#include "base/options.h"
#include "train/session.h"

static const char notes[] =
    "Reads a tokens stream and writes a bundle of kind shared: embedding, attention, output norm, the "
    "temporary\n"
    "FFN, and how often each token occurs. The model's size is the config's (model.*), the training is\n"
    "train_shared.*. A step takes accumulation x batch windows of `context` tokens.\n"
    "\n"
    "SIGINT or SIGTERM writes a checkpoint and ends with status 130 or 143; the same command with --resume "
    "goes on\n"
    "and ends with the same bytes as a run that was never stopped.\n"
    "\n"
    "example:\n"
    "  mf-train-shared --config my.yaml -v val.mf --metrics shared.metrics -o shared.tar train.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or another training's checkpoint, 66 input cannot "
    "be\n"
    "opened, 70 the training diverged, 73 or 74 cannot write, 78 bad config.\n";

static int shape_of(const struct mf_config *config, size_t vocab, struct mf_shape *shape,
                    struct mf_err *err) {
    *shape = (struct mf_shape){.V = vocab,
                               .D = (size_t)config->model.d_model,
                               .H = (size_t)config->model.n_heads,
                               .L = (size_t)config->model.n_layers,
                               .F = (size_t)config->model.d_ff,
                               .S = (size_t)config->model.context};
    return mf_shape_check(shape, "config", err);
}

static int train(struct mf_train_session *s, const struct mf_common *common, const struct mf_train_options *o,
                 const char *tokens, int *signal, struct mf_err *err) {
    struct mf_shape shape;
    struct mf_training_result result;
    if (mf_train_session_begin(s, "train-shared", common, o, tokens, -1, 0, err) < 0) return -1;
    if (shape_of(&s->config, s->data.vocab, &shape, err) < 0) return -1;
    if (mf_train_session_plan(s, "mf-train-shared", common, o, &shape, &s->config.train_shared, NULL, err) <
        0)
        return -1;
    if (mf_train_session_model(s, MF_FFN_DENSE, err) < 0) return -1;
    mf_trunk_init(&shape, s->trunk, s->config.model.init_std, (uint64_t)s->config.seed);
    mf_ffn_init(&shape, s->ffn, (uint64_t)s->config.seed);
    if (mf_train(&s->training, s->pool, &result, err) < 0) return -1;
    mf_train_report(&s->training, &result);
    *signal = result.signal;
    if (result.signal) return 0;
    return mf_train_session_write(s, "shared", o->output, json_object(), &result, s->tensors, s->n_tensors,
                                  err);
}

int main(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    struct mf_train_options o = {0};
    const struct mf_option options[] = {MF_TRAIN_OPTIONS(o), {NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {"mf-train-shared", "train the foundation that all experts share",
                                   "mf-train-shared [OPTION]... [TOKENS]", options, notes};
    struct mf_train_session s = {.data.fd = -1, .validation.fd = -1};
    int signal = 0, status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && operands.count > 1)
        status = mf_err_set(&err, EX_USAGE, "one tokens stream at a time, not %zu", operands.count);
    if (status == 0)
        status = train(&s, &common, &o, operands.count ? operands.items[0] : NULL, &signal, &err);
    mf_train_session_end(&s);
    mf_strs_free(&operands);
    mf_strs_free(&common.sets);
    if (status < 0) return mf_fail("mf-train-shared", &err);
    return signal ? 128 + signal : 0;
}
