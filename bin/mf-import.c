/* mf-import: makes a shared bundle and a tokenizer.json out of a model that exists.
 *     mf-import [OPTION]... -t tokenizer.json BASE > shared.tar */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "cli/options.h"
#include "import/base.h"
#include "io/file.h"

static const char notes[] =
    "BASE is a Hugging Face folder (config.json, tokenizer.json, and model.safetensors or shards of it and their index;\n"
    "F32, F16 or BF16) of a LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM, or a GGUF file\n"
    "of llama.cpp's architectures llama, qwen2 or qwen3 (F32, F16, BF16 or Q8_0; byte-level BPE). The shared bundle is\n"
    "as mf-train-shared writes it: experts are trained on it, and begin from its FFN. Numbers stay as they are stored;\n"
    "Q8_0 becomes F32.\n"
    "\n"
    "What cannot be computed exactly as the base does is refused by its name (65): other classes, experts, windows of\n"
    "attention shorter than the context, other positions than plain ones and Llama 3's, other activations, biases\n"
    "elsewhere than on queries, keys and values, quantised weights. docs/bases.md lists them.\n"
    "\n"
    "The tokenizer is the base's, which also puts the base's BOS before and its EOS behind each document where its\n"
    "own post-processor puts nothing there. The context is the longest window that experts train on, and memory grows\n"
    "with it: the base's own, which may be 131072, is cut to 2048 unless --context says another.\n"
    "\n"
    "Memory does not grow with the size of the base. Both files are written, or none; a file that would not change keeps\n"
    "its time.\n"
    "\n"
    "examples:\n"
    "  mf-import -o shared.tar -t tokenizer.json SmolLM2-135M\n"
    "  mf-import --context 512 -o shared.tar.zst -t tokenizer.json base.gguf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or a base that is refused, 66 input cannot be opened, 73 or 74\n"
    "cannot write.\n";

struct request {
    const char *output, *tokenizer;
    int64_t context;
};

static void say(const struct mf_base *b, const struct mf_base_tokenizer *t, uint64_t bytes) {
    const struct mf_shape *s = mf_base_shape(b);
    fprintf(
        stderr,
        "mf-import: %s, %zu layers of %zu, %zu tensors, %.1f MB, context %zu, %zu tokens in a vocabulary of %zu, "
        "peak memory %.1f MB\n",
        mf_base_class(b), s->L, s->D, mf_base_tensors(b), (double)bytes / 1e6, s->S, t->size, s->V,
        (double)mf_peak_memory() / 1e6);
}

/* Completes both outputs before either gets its name. What would not change keeps its time, for make. */
static int end(struct mf_out *shared, struct mf_out *tokenizer, int status, struct mf_err *err) {
    if (status == 0) status = mf_out_complete(shared, err);
    if (status == 0) status = mf_out_complete(tokenizer, err);
    if (status < 0) {
        mf_out_abandon(tokenizer);
        mf_out_abandon(shared);
        return -1;
    }
    if (mf_out_commit_changed(tokenizer, err) == 0) return mf_out_commit_changed(shared, err);
    mf_out_abandon(shared);
    return -1;
}

static int import(const struct request *r, const struct mf_base *b, bool quiet, struct mf_err *err) {
    struct mf_out *shared = NULL, *tokenizer = NULL;
    struct mf_base_tokenizer t = {0};
    int status = mf_out_open(&shared, r->output, err);
    if (status == 0) status = mf_out_open(&tokenizer, r->tokenizer, err);
    if (status == 0) status = mf_base_write_tokenizer(b, tokenizer, &t, err);
    if (status == 0) status = mf_base_write(b, &t, shared, err);
    uint64_t bytes = status == 0 ? mf_out_offset(shared) : 0;
    if (end(shared, tokenizer, status, err) < 0) return -1;
    if (!quiet) say(b, &t, bytes);
    return 0;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    const struct request *r = request;
    const char *path = NULL;
    struct mf_base *base;
    if (mf_options_operand(operands, "base", &path, err) < 0) return -1;
    if (!path) return mf_err_set(err, EX_USAGE, "which base? (a folder or a GGUF file)");
    if (!r->tokenizer) return mf_err_set(err, EX_USAGE, "into which tokenizer.json? (-t FILE)");
    if (mf_base_open(&base, path, (size_t)r->context, err) < 0) return -1;
    int status = mf_base_check_output(base, r->output, "output", err);
    if (status == 0) status = mf_base_check_output(base, r->tokenizer, "tokenizer", err);
    if (status == 0) status = import(r, base, common->quiet, err);
    mf_base_close(base);
    return status;
}

int main(int argc, char **argv) {
    struct request r = {0};
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_OUTPUT, &r.output, "FILE",
         "write the shared bundle to FILE instead of standard output", 0, 0},
        {"tokenizer", 't', MF_OPT_OUTPUT, &r.tokenizer, "FILE", "write the tokenizer.json to FILE", 0, 0},
        {"context", 0, MF_OPT_INT, &r.context, "N",
         "the longest sequence in tokens (default: the base's, at most 2048)", 1, 1048576},
        {0}};
    const struct mf_usage usage = {"mf-import", "make a shared bundle out of a model that exists",
                                   "mf-import [OPTION]... -t FILE BASE", options, notes};
    return mf_options_run(&usage, run, &r, argc, argv);
}
