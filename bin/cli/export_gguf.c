/* mf-export gguf: a file for llama.cpp. */
#include "cli/export_commands.h"

#include <stdio.h>
#include "base/clock.h"
#include "cli/eval_session.h"
#include "cli/options.h"
#include "export/gguf_file.h"

static const char notes[] =
    "Writes one file with tensors and tokenizer, which llama.cpp, ollama, LM Studio and others run. Only models of\n"
    "family llama (model.arch=llama) can be exported: assembled ones, a shared bundle with its own dense FFN, or with\n"
    "one expert. llama.cpp's architecture is llama, or qwen3 and qwen3moe for models with norms of queries and keys.\n"
    "\n"
    "Vectors and gates are F32 in every type. With q8_0 and q4_0 the embedding, the first layer's attention and rows\n"
    "that are no multiple of 32 are F16. The tokenizer has to be the one that the model was trained with. Memory does\n"
    "not grow with the number of experts.\n"
    "\n"
    "examples:\n"
    "  mf-export gguf -m model.safetensors -t tokenizer.json -o model.gguf\n"
    "  mf-export gguf -m shared.tar -e expert.0.tar -t tokenizer.json --type q8_0 -o expert0.gguf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or what llama.cpp cannot compute, 66 input cannot be opened,\n"
    "73 or 74 cannot write.\n";

struct request {
    const char *model, *expert, *tokenizer, *output, *name;
    int type;
};

static int check_request(const struct request *r, const struct mf_strs *operands, struct mf_err *err) {
    if (operands->count) return mf_err_set(err, EX_USAGE, "unexpected operand '%s'", operands->items[0]);
    if (!r->model) return mf_err_set(err, EX_USAGE, "which model? (-m FILE)");
    if (!r->tokenizer) return mf_err_set(err, EX_USAGE, "which tokenizer? (-t FILE)");
    return 0;
}

static int export(const struct request *r, const struct mf_plain *plain, bool quiet, struct mf_err *err) {
    static const enum mf_gguf_type types[] = {
        [MF_EXPORT_F32] = MF_GGUF_F32,   [MF_EXPORT_F16] = MF_GGUF_F16,   [MF_EXPORT_BF16] = MF_GGUF_BF16,
        [MF_EXPORT_Q8_0] = MF_GGUF_Q8_0, [MF_EXPORT_Q4_0] = MF_GGUF_Q4_0,
    };
    struct mf_gguf_file file = {.plain = plain,
                                .path = r->output,
                                .tokenizer = r->tokenizer,
                                .name = r->name,
                                .version = MF_VERSION,
                                .type = types[r->type]};
    if (mf_gguf_file_write(&file, err) < 0) return -1;
    if (!quiet)
        fprintf(stderr, "mf-export gguf: %zu tensors, %.1f MB, peak memory %.1f MB\n", file.tensors,
                (double)file.bytes / 1e6, (double)mf_peak_memory() / 1e6);
    return 0;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *r = request;
    struct mf_config config;
    struct mf_plain *plain;
    if (check_request(r, operands, err) < 0) return -1;
    if (mf_config_load_stage(&config, &common->settings, "export", err) < 0) return -1;
    if (r->type < 0) r->type = config.exports.type;
    if (mf_plain_open(&plain, r->model, r->expert, err) < 0) return -1;
    int status = export(r, plain, common->quiet, err);
    mf_plain_close(plain);
    return status;
}

int mf_export_gguf(int argc, char **argv) {
    struct request r = {.name = "ModularForge", .type = -1};
    const struct mf_option options[] = {
        MF_MODEL_OPTIONS(r),
        MF_TOKENIZER_OPTION(&r.tokenizer),
        MF_OUTPUT_OPTION(&r.output),
        {"type", 0, MF_OPT_CHOICE, &r.type, MF_EXPORT_TYPES,
         "what matrices are stored as (default: export.type, f16)", 0, 0},
        {"name", 0, MF_OPT_STRING, &r.name, "NAME", "what the model is called (default: ModularForge)", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-export gguf", "a file for llama.cpp",
                                   "mf-export gguf -m MODEL [-e EXPERT] -t TOKENIZER -o FILE", options,
                                   notes};
    return mf_options_run(&usage, run, &r, argc, argv);
}
