/* mf-eval generate: continues prompts. */
#include "eval/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "eval/generate.h"
#include "eval/lengths.h"
#include "eval/session.h"
#include "eval/utf8.h"

#define PROMPT_LIMIT ((size_t)16 << 20)

static const char notes[] =
    "The prompt is standard input, a file, or -p TEXT (repeatable). What is written is the prompt and its "
    "continuation,\n"
    "as it comes; with --json one line per continuation. Only valid UTF-8 is written of what the model "
    "makes.\n"
    "\n"
    "Temperature 0 takes the likeliest token each time. With the same seed the same text comes again.\n"
    "\n"
    "examples:\n"
    "  printf 'In the beginning' | mf-eval generate -m model.safetensors -t tokenizer.json --max-tokens 50\n"
    "  mf-eval generate -m model.safetensors -t tokenizer.json -p 'The function returns' --temperature 0 "
    "--json\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or pieces that do not belong together, 66 input "
    "cannot be\n"
    "opened, 70 the model's numbers are not finite, 73 or 74 cannot write, 78 bad config.\n";

struct writer {
    struct mf_out *out;
};

static int write_piece(void *context, const char *bytes, size_t size, struct mf_err *err) {
    struct writer *w = context;
    if (mf_out_write(w->out, bytes, size, err) < 0) return -1;
    return mf_out_flush(w->out, err);
}

struct request {
    struct mf_generate_options options;
    const char *text;
    size_t size;
    bool as_json, bare;
    uint64_t key;
};

static const char *end_name(enum mf_generate_end end) {
    return end == MF_END_EOS ? "eos" : end == MF_END_STOP ? "stop" : "length";
}

static int write_json(struct mf_out *out, const struct request *q, const struct mf_generated *g,
                      struct mf_err *err) {
    json_t *experts = NULL, *line = json_object();
    json_object_set_new(line, "prompt", mf_utf8_json(q->text, q->size));
    json_object_set_new(line, "text", mf_utf8_json(g->text ? g->text : "", g->size));
    json_object_set_new(line, "prompt_tokens", json_integer((json_int_t)g->n_prompt));
    json_object_set_new(line, "tokens", json_integer((json_int_t)(g->ids.count - g->n_prompt)));
    json_object_set_new(line, "end", json_string(end_name(g->end)));
    if (g->experts) {
        experts = json_array();
        for (size_t i = 0; i < g->ids.count; i++)
            json_array_append_new(experts,
                                  g->experts[i] == UINT32_MAX ? json_null() : json_integer(g->experts[i]));
        json_object_set_new(line, "experts", experts);
    }
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (!text) abort();
    int status = mf_out_printf(out, err, "%s\n", text);
    free(text);
    return status;
}

static int one(struct mf_generator *g, struct mf_out *out, struct request *q, struct mf_err *err) {
    struct writer w = {out};
    struct mf_generated result;
    q->options.context = &w;
    q->options.text = q->as_json ? NULL : write_piece;
    if (!q->as_json && !q->bare && mf_out_write(out, q->text, q->size, err) < 0) return -1;
    if (mf_generate(g, q->text, q->size, q->key, &q->options, &result, err) < 0) return -1;
    int status = q->as_json ? write_json(out, q, &result, err) : mf_out_printf(out, err, "\n");
    mf_generated_clear(&result);
    return status;
}

/* All prompts, each `samples` times. */
static int all(struct mf_session *s, const struct mf_tokenizer *tokenizer, const struct mf_strs *prompts,
               const char *file, int64_t samples, struct mf_out *out, struct request *q, struct mf_err *err) {
    struct mf_generator *g = NULL;
    unsigned char *bytes = NULL;
    size_t size = 0, count = prompts->count ? prompts->count : 1;
    if (prompts->count == 0 && mf_read_all(file, PROMPT_LIMIT, &bytes, &size, err) < 0) return -1;
    int status = mf_generator_new(&g, s->moe, s->work, tokenizer, err);
    for (size_t i = 0; i < count && status == 0; i++)
        for (int64_t j = 0; j < samples && status == 0; j++) {
            q->text = prompts->count ? prompts->items[i] : (const char *)bytes;
            q->size = prompts->count ? strlen(prompts->items[i]) : size;
            q->key = mf_rng_key((uint64_t)s->config.seed, "generate", (uint64_t)i * 1000003 + (uint64_t)j);
            status = one(g, out, q, err);
        }
    free(bytes);
    mf_generator_free(g);
    return status;
}

int mf_eval_generate(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0}, prompts = {0}, stops = {0};
    const char *model = NULL, *expert = NULL, *tokenizer_path = NULL, *output = NULL;
    struct request q = {.options.sampling = mf_sampling_default()};
    struct mf_sampling *sampling = &q.options.sampling;
    int64_t max_tokens = 100, samples = 1, top_k = 0;
    uint64_t memory = MF_SESSION_CACHE;
    bool experts = false;
    sampling->temperature = 0.8;
    const struct mf_option options[] = {
        {"model", 'm', MF_OPT_STRING, &model, "FILE", "the model or shared bundle", 0, 0},
        {"expert", 'e', MF_OPT_STRING, &expert, "FILE", "an expert bundle, instead of the shared dense FFN",
         0, 0},
        {"tokenizer", 't', MF_OPT_STRING, &tokenizer_path, "FILE", "tokenizer.json", 0, 0},
        {"prompt", 'p', MF_OPT_LIST, &prompts, "TEXT", "a prompt, instead of standard input", 0, 0},
        {"max-tokens", 'n', MF_OPT_INT, &max_tokens, "N", "new tokens at most (default: 100)", 0, 1e9},
        {"temperature", 0, MF_OPT_REAL, &sampling->temperature, "T", "0: the likeliest token (default: 0.8)",
         0, 1e9},
        {"top-k", 0, MF_OPT_INT, &top_k, "K", "only the K likeliest tokens (default: 0, all)", 0, 1e9},
        {"top-p", 0, MF_OPT_REAL, &sampling->top_p, "P",
         "only the likeliest with P of the probability (default: 1)", 1e-9, 1},
        {"min-p", 0, MF_OPT_REAL, &sampling->min_p, "P",
         "only those with P of the likeliest's probability (default: 0)", 0, 1},
        {"repetition-penalty", 0, MF_OPT_REAL, &sampling->repetition_penalty, "R",
         "makes what was said less likely (default: 1, no)", 1e-3, 1000},
        {"stop", 0, MF_OPT_LIST, &stops, "TEXT", "end before this text (repeatable)", 0, 0},
        {"samples", 0, MF_OPT_INT, &samples, "N", "continuations of each prompt (default: 1)", 1, 1e6},
        {"bare", 0, MF_OPT_FLAG, &q.bare, NULL, "write the continuation without the prompt", 0, 0},
        {"json", 0, MF_OPT_FLAG, &q.as_json, NULL, "a line of JSON for each continuation", 0, 0},
        {"experts", 0, MF_OPT_FLAG, &experts, NULL, "with --json: the expert that weighed most at each token",
         0, 0},
        {"max-memory", 0, MF_OPT_SIZE, &memory, "SIZE",
         "memory for weights read from the file (default: 64M)", 0, 0},
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {"mf-eval generate", "continue prompts",
                                   "mf-eval generate -m MODEL -t TOKENIZER [OPTION]... [FILE]", options,
                                   notes};
    struct mf_session s = {0};
    struct mf_tokenizer *tokenizer = NULL;
    struct mf_out *out = NULL;
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !model) status = mf_err_set(&err, EX_USAGE, "which model? (-m FILE)");
    if (status == 0 && !tokenizer_path) status = mf_err_set(&err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (status == 0 && operands.count + prompts.count > 1 && operands.count > 0)
        status = mf_err_set(&err, EX_USAGE, "one prompt file, or prompts by -p");
    q.options.max_tokens = (size_t)max_tokens;
    q.options.stops = &stops;
    q.options.experts = experts;
    sampling->top_k = (uint64_t)top_k;
    if (status == 0) status = mf_session_begin(&s, &common, 1, &err);
    if (status == 0) status = mf_session_model(&s, model, expert, memory, 1, &err);
    if (status == 0) status = mf_model_tokenizer(&tokenizer, tokenizer_path, s.moe, &err);
    if (status == 0) status = mf_out_open(&out, output, &err);
    if (status == 0)
        status =
            all(&s, tokenizer, &prompts, operands.count ? operands.items[0] : NULL, samples, out, &q, &err);
    if (status == 0)
        status = mf_out_commit(out, &err);
    else
        mf_out_abandon(out);
    mf_tokenizer_free(tokenizer);
    mf_session_end(&s);
    mf_strs_free(&operands);
    mf_strs_free(&prompts);
    mf_strs_free(&stops);
    mf_strs_free(&common.sets);
    return status < 0 ? mf_fail("mf-eval generate", &err) : 0;
}
