/* mf-eval logits: the raw logits of every row, in the order of the stream. */
#include "cli/eval_commands.h"

#include <stdlib.h>
#include "base/memory.h"
#include "cli/eval_session.h"
#include "eval/windows.h"

static const char notes[] =
    "Reads a tokens stream from standard input. For every token that is followed by another in its document, it writes\n"
    "the logits of the next token: vocab_size little-endian float32 numbers. Documents are cut into windows as in\n"
    "mf-eval perplexity.\n"
    "\n"
    "example:\n"
    "  mf-eval logits -m model.safetensors -o logits.f32 < test.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write.\n";

static int write_all(struct mf_session *s, struct mf_out *out, float *logits, struct mf_err *err) {
    struct mf_windows *windows;
    const struct mf_batch *b;
    const float *hidden;
    int got;
    size_t V = s->moe->shape.V, D = s->moe->shape.D;
    if (mf_windows_new(&windows, s->moe, s->dataset, s->batch, 0, NULL, err) < 0) return -1;
    while ((got = mf_windows_next(windows, &b, err)) > 0) {
        got = mf_moe_forward(s->moe, s->work, b->tokens, &b->seqs, b->token_scores, NULL, &hidden, err);
        for (size_t n = 0; got == 0 && n < b->N; n++) {
            got = mf_moe_logits(s->moe, s->work, hidden + n * D, logits, err);
            if (got == 0) got = mf_out_write(out, logits, V * sizeof *logits, err);
        }
        if (got < 0) break;
    }
    mf_windows_free(windows);
    return got;
}

static int write_logits(struct mf_session *s, const char *output, struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, output, err) < 0) return -1;
    float *logits = reallocarray(NULL, s->moe->shape.V, sizeof *logits);
    if (!logits) mf_no_memory();
    int status = write_all(s, out, logits, err);
    free(logits);
    return mf_out_end(out, status, err);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct mf_session *s = request;
    if (mf_session_check(s, operands, err) < 0) return -1;
    if (mf_session_begin(s, "eval", common, s->request.batch, err) < 0) return -1;
    return mf_session_open(s, err) < 0 ? -1 : write_logits(s, s->request.output, err);
}

int mf_eval_logits(int argc, char **argv) {
    struct mf_session s = {0};
    const struct mf_option options[] = {
        MF_MODEL_OPTIONS(s.request), MF_BATCH_OPTION(s.request), MF_OUTPUT_OPTION(&s.request.output), {0}};
    const struct mf_usage usage = {"mf-eval logits",
                                   "the raw logits of every row, for comparing with other programs",
                                   "mf-eval logits -m MODEL [-e EXPERT] < TOKENS", options, notes};
    int status = mf_options_run(&usage, run, &s, argc, argv);
    mf_session_end(&s);
    return status;
}
