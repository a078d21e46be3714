/* mf-eval generate: continues prompts. */
#include "cli/eval_commands.h"

#include <stdio.h>
#include "base/rng.h"
#include "eval/generate.h"
#include "eval/lengths.h"
#include "eval/outtext.h"
#include "cli/prompts.h"
#include "cli/eval_session.h"
#include "io/json_file.h"
#include "io/utf8.h"

static const char notes[] =
    "Prompts come from the lines of standard input, from one FILE as a whole, from -p TEXT (repeatable), or from the\n"
    "keyboard (--interactive; Ctrl-C stops the answer, Ctrl-D ends). The prompt and its continuation are written as\n"
    "they are made; with --json, one line for each continuation. The output is always valid UTF-8.\n"
    "\n"
    "Temperature 0 takes the likeliest token, and the lowest id of equally likely ones. The same seed gives the same\n"
    "text. --top-k 0 (or more than the vocabulary), --top-p 1 and --min-p 0 keep all tokens; --top-p 0 and --min-p 1\n"
    "keep the likeliest only. When the context is full, generation continues from the last half of it, with one\n"
    "warning.\n"
    "\n"
    "Weights stay in memory, up to half of the machine's. With --max-memory as many stay as fit, and the others are\n"
    "read from the file when they are needed; the text is the same.\n"
    "\n"
    "examples:\n"
    "  echo 'In the beginning' | mf-eval generate -m model.safetensors -t tokenizer.json --max-tokens 50\n"
    "  mf-eval generate -m model.safetensors -t tokenizer.json -p 'The function returns' --temperature 0 --json\n"
    "  mf-eval generate -m model.safetensors -t tokenizer.json --interactive\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or bundles that do not belong together, 66 input cannot be\n"
    "opened, 70 the model's numbers are not finite, 73 or 74 cannot write, 78 bad config.\n";

struct writer {
    struct mf_out *out;
    const struct mf_prompts *prompts;
};

static int write_token(void *context, const char *bytes, size_t size, struct mf_err *err) {
    struct writer *w = context;
    if (mf_out_write(w->out, bytes, size, err) < 0) return -1;
    return mf_out_flush(w->out, err);
}

static int write_prompt(struct writer *w, const char *text, size_t size, struct mf_err *err) {
    struct mf_outtext valid = {0};
    int status = 0;
    mf_outtext_add(&valid, text, size);
    while (status == 0 && mf_outtext_next(&valid, true, &text, &size) > 0)
        status = mf_out_write(w->out, text, size, err);
    mf_outtext_clear(&valid);
    return status == 0 ? mf_out_flush(w->out, err) : -1;
}

static bool halted(void *context) {
    const struct writer *w = context;
    return mf_prompts_halted(w->prompts);
}

struct request {
    struct mf_generate_options options;
    const char *text;
    size_t size;
    bool as_json, bare, quiet;
    bool slid; /* said already */
    uint64_t key;
};

static const char *end_name(enum mf_generate_end end) {
    static const char *const names[] = {
        [MF_END_LENGTH] = "length", [MF_END_EOS] = "eos", [MF_END_STOP] = "stop", [MF_END_HALTED] = "halted"};
    return names[end];
}

static int write_json(struct mf_out *out, const struct request *q, const struct mf_generated *g,
                      struct mf_err *err) {
    json_t *experts = NULL, *line = json_object();
    json_object_set_new(line, "prompt", mf_utf8_json(q->text, q->size));
    json_object_set_new(line, "text", mf_utf8_json(g->text ? g->text : "", g->size));
    json_object_set_new(line, "prompt_tokens", json_integer((json_int_t)g->n_prompt));
    json_object_set_new(line, "tokens", json_integer((json_int_t)(g->ids.count - g->n_prompt)));
    json_object_set_new(line, "end", json_string(end_name(g->end)));
    json_object_set_new(line, "slid", json_boolean(g->slid));
    if (g->experts.count > 0) {
        experts = json_array();
        for (size_t i = 0; i < g->experts.count; i++) {
            uint32_t e = g->experts.ids[i];
            json_array_append_new(experts, e == UINT32_MAX ? json_null() : json_integer((json_int_t)e));
        }
        json_object_set_new(line, "experts", experts);
    }
    return mf_json_line(out, line, err);
}

static int one(struct mf_generator *g, size_t context, struct writer *w, struct request *q,
               struct mf_err *err) {
    struct mf_generated result;
    struct mf_generate_options options = q->options;
    options.context = w;
    options.halted = halted;
    options.text = q->as_json ? NULL : write_token;
    if (!q->as_json && !q->bare && write_prompt(w, q->text, q->size, err) < 0) return -1;
    if (mf_generate(g, q->text, q->size, q->key, &options, &result, err) < 0) return -1;
    int status = q->as_json ? write_json(w->out, q, &result, err) : mf_out_printf(w->out, err, "\n");
    if (status == 0) status = mf_out_flush(w->out, err);
    if (result.slid && !q->slid && !q->quiet) {
        fprintf(stderr, "mf-eval generate: past the context of %zu tokens: went on from the last %zu\n",
                context, context / 2);
        q->slid = true;
    }
    mf_generated_clear(&result);
    return status;
}

/* All prompts, each `samples` times. */
static int all(struct mf_session *s, const struct mf_tokenizer *tokenizer, struct mf_prompts *prompts,
               int64_t samples, struct mf_out *out, struct request *q, struct mf_err *err) {
    struct mf_generator *g = NULL;
    struct writer w = {out, prompts};
    int status = mf_generator_new(&g, s->moe, s->work, tokenizer, err), more = 0;
    for (uint64_t i = 0; status == 0 && (more = mf_prompts_next(prompts, &q->text, &q->size, err)) > 0; i++)
        for (int64_t j = 0; j < samples && status == 0 && !mf_prompts_halted(prompts); j++) {
            q->key = mf_rng_key((uint64_t)s->config.seed, "generate", i * 1000003 + (uint64_t)j);
            status = one(g, s->moe->shape.S, &w, q, err);
        }
    mf_generator_free(g);
    return more < 0 ? -1 : status;
}

/* What was asked for on the command line. */
struct asked {
    struct mf_session s;
    const char *model, *expert, *tokenizer, *output, *file;
    struct mf_strs prompts, stops;
    int64_t max_tokens, samples, top_k;
    uint64_t memory;
    bool interactive;
    struct request q;
};

static int check_request(struct asked *a, const struct mf_common *common, const struct mf_strs *operands,
                         struct mf_err *err) {
    if (!a->model) return mf_err_set(err, EX_USAGE, "which model? (-m FILE)");
    if (!a->tokenizer) return mf_err_set(err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (operands->count + a->prompts.count > 1 && operands->count > 0)
        return mf_err_set(err, EX_USAGE, "one prompt file, or prompts by -p");
    if (a->interactive && operands->count + a->prompts.count > 0)
        return mf_err_set(err, EX_USAGE, "--interactive asks for the prompts itself");
    if (a->q.options.experts && !a->q.as_json) return mf_err_set(err, EX_USAGE, "--experts goes with --json");
    a->file = operands->count ? operands->items[0] : NULL;
    a->q.quiet = common->quiet;
    a->q.options.max_tokens = (size_t)a->max_tokens;
    a->q.options.stops = &a->stops;
    a->q.options.sampling.top_k = (uint64_t)a->top_k;
    return 0;
}

/* What the command takes beside the model. */
static size_t beside_model(const void *context, const struct mf_moe *moe, size_t windows) {
    const struct asked *a = context;
    (void)windows;
    return mf_generator_memory(moe) + mf_session_tokenizer_memory(a->tokenizer);
}

static int write_all(struct asked *a, const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    struct mf_prompts *prompts;
    struct mf_out *out;
    int status = a->interactive ? mf_prompts_interactive(&prompts, "mf-eval", err)
                                : mf_prompts_open(&prompts, &a->prompts, a->file, err);
    if (status < 0) return -1;
    status = mf_out_open(&out, a->output, err);
    if (status == 0)
        status = mf_out_end(out, all(&a->s, tokenizer, prompts, a->samples, out, &a->q, err), err);
    mf_prompts_close(prompts);
    return status;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct asked *a = request;
    struct mf_session *s = &a->s;
    struct mf_tokenizer *tokenizer;
    if (check_request(a, common, operands, err) < 0) return -1;
    if (mf_session_begin(s, "eval", common, 1, err) < 0) return -1;
    s->budget.cache = mf_session_half_memory();
    s->budget.limit = a->memory;
    s->budget.beside = beside_model;
    s->budget.context = a;
    if (mf_session_model(s, a->model, a->expert, err) < 0) return -1;
    if (mf_model_tokenizer(&tokenizer, a->tokenizer, s->moe, err) < 0) return -1;
    int status = write_all(a, tokenizer, err);
    mf_tokenizer_free(tokenizer);
    return status;
}

int mf_eval_generate(int argc, char **argv) {
    struct asked a = {.max_tokens = 100, .samples = 1, .q.options.sampling = mf_sampling_default()};
    a.q.options.sampling.temperature = 0.8;
    const struct mf_option options[] = {
        MF_MODEL_OPTIONS(a),
        MF_TOKENIZER_OPTION(&a.tokenizer),
        {"prompt", 'p', MF_OPT_LIST, &a.prompts, "TEXT", "a prompt, instead of standard input", 0, 0},
        {"interactive", 'i', MF_OPT_FLAG, &a.interactive, NULL, "ask for prompts, with line editing", 0, 0},
        {"max-tokens", 0, MF_OPT_INT, &a.max_tokens, "N", "new tokens at most (default: 100)", 0, 1e9},
        {"temperature", 0, MF_OPT_REAL, &a.q.options.sampling.temperature, "T",
         "0: the likeliest token (default: 0.8)", 0, 1e9},
        {"top-k", 0, MF_OPT_INT, &a.top_k, "K", "only the K likeliest tokens (default: 0, all)", 0, 1e9},
        {"top-p", 0, MF_OPT_REAL, &a.q.options.sampling.top_p, "P",
         "only the likeliest with P of the probability (default: 1)", 0, 1},
        {"min-p", 0, MF_OPT_REAL, &a.q.options.sampling.min_p, "P",
         "only those with P of the likeliest's probability (default: 0)", 0, 1},
        {"repetition-penalty", 0, MF_OPT_REAL, &a.q.options.sampling.repetition_penalty, "R",
         "makes what was said less likely (default: 1, no)", 1e-3, 1000},
        {"stop", 0, MF_OPT_LIST, &a.stops, "TEXT", "end before this text (repeatable)", 0, 0},
        {"n", 'n', MF_OPT_INT, &a.samples, "N", "continuations of each prompt (default: 1)", 1, 1e6},
        {"bare", 0, MF_OPT_FLAG, &a.q.bare, NULL, "write the continuation without the prompt", 0, 0},
        {"json", 0, MF_OPT_FLAG, &a.q.as_json, NULL, "a line of JSON for each continuation", 0, 0},
        {"experts", 0, MF_OPT_FLAG, &a.q.options.experts, NULL,
         "with --json: the expert that weighed most at each token", 0, 0},
        {"max-memory", 0, MF_OPT_SIZE, &a.memory, "SIZE",
         "fit into SIZE, or refuse before it begins (default: weights in half of the machine's)", 0, 0},
        MF_OUTPUT_OPTION(&a.output),
        {0}};
    const struct mf_usage usage = {"mf-eval generate", "continue prompts",
                                   "mf-eval generate -m MODEL -t TOKENIZER [OPTION]... [FILE]", options,
                                   notes};
    int status = mf_options_run(&usage, run, &a, argc, argv);
    mf_session_end(&a.s);
    mf_strs_free(&a.prompts);
    mf_strs_free(&a.stops);
    return status;
}
