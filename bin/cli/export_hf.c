/* mf-export hf: a folder for Hugging Face's transformers. */
#include "cli/export_commands.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "cli/eval_session.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/report_notes.h"
#include "export/hf.h"
#include "io/file.h"

static const char notes[] =
    "Writes config.json, model.safetensors (or shards of it and their index), tokenizer.json, tokenizer_config.json,\n"
    "generation_config.json and a model card README.md into a new folder. A model with several experts becomes a\n"
    "MixtralForCausalLM, with norms of queries and keys a Qwen3MoeForCausalLM. A shared bundle, alone or with one\n"
    "expert, becomes a LlamaForCausalLM, with biases a Qwen2ForCausalLM, with norms of queries and keys a\n"
    "Qwen3ForCausalLM. Only models of family llama (model.arch=llama) can be exported.\n"
    "\n"
    "The folder is there when it is complete. One that mf-export made before is replaced, another is refused. The\n"
    "tokenizer has to be the one that the model was trained with. Memory does not grow with the number of experts.\n"
    "\n"
    "examples:\n"
    "  mf-export hf -m model.safetensors -t tokenizer.json --report report.json -o hf\n"
    "  mf-export hf -m shared.tar -e expert.0.tar -t tokenizer.json --type bf16 -o expert0\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or a model that transformers has no class for, 66 input\n"
    "cannot be opened, 73 or 74 cannot write.\n";

struct request {
    const char *model, *expert, *tokenizer, *output, *report;
    uint64_t shard;
    int type;
};

static int check_request(const struct request *r, const struct mf_strs *operands, struct mf_err *err) {
    if (operands->count) return mf_err_set(err, EX_USAGE, "unexpected operand '%s'", operands->items[0]);
    if (!r->model) return mf_err_set(err, EX_USAGE, "which model? (-m FILE)");
    if (!r->tokenizer) return mf_err_set(err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (!r->output || !*r->output) return mf_err_set(err, EX_USAGE, "into which folder? (-o DIR)");
    if (r->shard == 0) return mf_err_set(err, EX_USAGE, "--shard must be above 0");
    const char *read[] = {r->model, r->expert, r->tokenizer, r->report};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        if (mf_folder_check_input(r->output, read[i], err) < 0) return -1;
    return mf_folder_check(r->output, err);
}

static int export(const struct request *r, const struct mf_plain *plain, const json_t *report, bool quiet,
                  struct mf_err *err) {
    static const enum mf_dtype types[] = {MF_F32, MF_BF16, MF_F16};
    struct mf_hf hf = {.plain = plain,
                       .folder = r->output,
                       .tokenizer = r->tokenizer,
                       .report = report,
                       .version = MF_VERSION,
                       .shard = r->shard,
                       .type = types[r->type]};
    if (mf_hf_write(&hf, err) < 0) return -1;
    if (!quiet)
        fprintf(stderr, "mf-export hf: %zu tensors, %.1f MB in %zu file%s, peak memory %.1f MB\n",
                mf_plain_count(plain), (double)hf.bytes / 1e6, hf.shards, hf.shards == 1 ? "" : "s",
                (double)mf_peak_memory() / 1e6);
    return 0;
}

/* A model card must not tell the figures of another model. */
static int read_report(const struct request *r, json_t **report, struct mf_err *err) {
    if (!r->report) return 0;
    if (!(*report = mf_report_read(r->report, err))) return -1;
    const char *of = json_string_value(json_object_get(*report, "model")), *name = mf_report_name(r->model);
    if (of && strcmp(of, name) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: of the model '%s', not of '%s'", r->report, of ? of : "?", name);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    const struct request *r = request;
    struct mf_plain *plain = NULL;
    json_t *report = NULL;
    if (check_request(r, operands, err) < 0) return -1;
    int status = read_report(r, &report, err);
    if (status == 0) status = mf_plain_open(&plain, r->model, r->expert, err);
    if (status == 0) status = export(r, plain, report, common->quiet, err);
    mf_plain_close(plain);
    json_decref(report);
    return status;
}

int mf_export_hf(int argc, char **argv) {
    struct request r = {.shard = (uint64_t)5 << 30};
    const struct mf_option options[] = {
        MF_MODEL_OPTIONS(r),
        MF_TOKENIZER_OPTION(&r.tokenizer),
        {"output", 'o', MF_OPT_STRING, &r.output, "DIR", "the folder to write", 0, 0},
        {"shard", 0, MF_OPT_SIZE, &r.shard, "SIZE",
         "cut the tensors into files of at most SIZE bytes (default: 5G)", 0, 0},
        {"type", 0, MF_OPT_CHOICE, &r.type, "f32|bf16|f16",
         "what matrices are stored as (default: f32, their bytes as they are)", 0, 0},
        {"report", 0, MF_OPT_STRING, &r.report, "FILE", "report.json of the model, for the model card", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-export hf", "a folder for Hugging Face's transformers",
                                   "mf-export hf -m MODEL [-e EXPERT] -t TOKENIZER -o DIR", options, notes};
    return mf_options_run(&usage, run, &r, argc, argv);
}
