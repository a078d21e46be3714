/* mf-eval logits: the raw logits of every row, in the order of the stream. */
#include "cli/eval_commands.h"

#include <stdlib.h>
#include "base/memory.h"
#include "cli/eval_session.h"
#include "eval/windows.h"

static const char notes[] =
    "Reads a tokens stream from standard input and writes, for every token that is followed by another in its\n"
    "document, the logits of the next one: vocab_size little-endian float32. Documents are cut into windows as\n"
    "mf-eval perplexity does.\n"
    "\n"
    "example:\n"
    "  mf-eval logits -m model.safetensors -o logits.f32 < test.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write.\n";

static int write_all(struct mf_session *s, struct mf_source *source, struct mf_out *out, float *logits,
                     struct mf_err *err) {
    struct mf_windows *windows;
    const struct mf_batch *b;
    const float *hidden;
    int got;
    size_t V = s->moe->shape.V, D = s->moe->shape.D;
    if (mf_windows_new(&windows, s->moe, source, s->batch, 0, NULL, err) < 0) return -1;
    while ((got = mf_windows_next(windows, &b, err)) > 0) {
        got = mf_moe_forward(s->moe, s->work, b->tokens, &b->seqs, b->evidence, NULL, &hidden, err);
        for (size_t n = 0; got == 0 && n < b->N; n++) {
            got = mf_moe_logits(s->moe, s->work, hidden + n * D, logits, err);
            if (got == 0) got = mf_out_write(out, logits, V * sizeof *logits, err);
        }
        if (got < 0) break;
    }
    mf_windows_free(windows);
    return got;
}

static int run(struct mf_session *s, struct mf_source *source, const char *output, struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, output, err) < 0) return -1;
    float *logits = reallocarray(NULL, s->moe->shape.V, sizeof *logits);
    if (!logits) mf_no_memory();
    int status = write_all(s, source, out, logits, err);
    free(logits);
    return mf_out_end(out, status, err);
}

int mf_eval_logits(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    const char *model = NULL, *expert = NULL, *output = NULL, *tokens = NULL;
    int64_t batch = 0;
    const struct mf_option options[] = {
        {"model", 'm', MF_OPT_STRING, &model, "FILE", "the model or shared bundle", 0, 0},
        {"expert", 'e', MF_OPT_STRING, &expert, "FILE", "an expert bundle, instead of the shared dense FFN",
         0, 0},
        {"batch", 0, MF_OPT_INT, &batch, "N", "windows in one pass (default: eval.batch)", 1, 65536},
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {0},
    };
    const struct mf_usage usage = {"mf-eval logits",
                                   "the raw logits of every row, for comparing with other programs",
                                   "mf-eval logits -m MODEL [-e EXPERT] < TOKENS", options, notes};
    struct mf_session s = {0};
    struct mf_source *source = NULL;
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !model) status = mf_err_set(&err, EX_USAGE, "which model? (-m FILE)");
    if (status == 0) status = mf_options_operand(&operands, "tokens stream", &tokens, &err);
    if (status == 0) status = mf_session_begin(&s, "eval", &common, batch, &err);
    if (status == 0) status = mf_session_model(&s, model, expert, &err);
    if (status == 0) status = mf_session_source(&s, &source, tokens, 0, &err);
    if (status == 0) status = run(&s, source, output, &err);
    mf_source_close(source);
    mf_session_end(&s);
    return mf_options_end("mf-eval logits", status, &common, &operands, &err);
}
