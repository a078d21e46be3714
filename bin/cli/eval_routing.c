/* mf-eval routing: which experts the tokens go to. */
#include "cli/eval_commands.h"

#include <math.h>
#include "eval/lengths.h"
#include "eval/routing.h"
#include "cli/eval_session.h"
#include "io/utf8.h"

static const char notes[] =
    "Reads a tokens stream and counts the tokens that predict a target, as mf-eval perplexity does. For each layer it\n"
    "prints the share of tokens that each expert gets, the entropy of the shares in nats (at most the log of the\n"
    "number of experts), how well first choices agree with the documents' domains (0 to 1; - with fewer than two\n"
    "experts or domains), the two experts that are most often chosen together and their share of the tokens, and the\n"
    "experts without tokens; then the tokens that each expert takes most. Balance is 1 - the coefficient of variation.\n"
    "Where experts have attention of their own, a token chooses for it before: that choice is not counted.\n"
    "--json prints all of this, and the shares by domain.\n"
    "\n"
    "--max-memory holds for documents of up to half a million tokens. It may lower the number of windows in one pass.\n"
    "\n"
    "example:\n"
    "  mf-eval routing -m model.safetensors < test.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or a model without experts, 66 input cannot be opened, 73 or 74\n"
    "cannot write, 78 bad config.\n";

#define BESIDE 8 /* experts that the table has room for beside one another */
#define SHOWN  8 /* tokens of an expert in the table */

/* The two experts that are chosen together most often in a layer, and of how many of its rows. */
static int print_pair(struct mf_out *out, const struct mf_routing *r, size_t layer, struct mf_err *err) {
    uint64_t max = 0;
    size_t a = 0, b = 0;
    for (size_t i = 0; i < r->E; i++)
        for (size_t j = i + 1; j < r->E; j++) {
            uint64_t n = r->together[(layer * r->E + i) * r->E + j];
            if (n > max) max = n, a = i, b = j;
        }
    if (max == 0) return mf_out_printf(out, err, " %14s", "-");
    return mf_out_printf(out, err, " %3zu+%-3zu %6.4f", a, b, (double)max / (double)r->rows);
}

/* Writes a token with line ends and tabs as C writes them; they are what many tokens are. */
static void put_token(char text[48], const char *bytes, size_t size) {
    char escaped[64];
    size_t n = 0;
    for (size_t i = 0; i < size && n + 2 < sizeof escaped; i++) {
        char letter = bytes[i] == '\n' ? 'n' : bytes[i] == '\t' ? 't' : bytes[i] == '\r' ? 'r' : 0;
        if (letter) escaped[n++] = '\\';
        escaped[n++] = letter ? letter : bytes[i];
    }
    mf_utf8_line(text, 48, escaped, n);
}

/* For each expert the tokens that take it most often as their first choice, as text where it is known. */
static int print_tokens(struct mf_out *out, const struct mf_routing *r, const json_t *names,
                        const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    for (size_t e = 0; e < r->E; e++) {
        uint32_t top[SHOWN];
        size_t n = mf_routing_top_tokens(r, e, top, SHOWN);
        if (mf_out_printf(out, err, "%-12.12s takes most:", json_string_value(json_array_get(names, e))) < 0)
            return -1;
        for (size_t i = 0; i < n; i++) {
            char text[48] = "";
            const char *bytes = NULL;
            size_t size = 0;
            if (tokenizer) mf_tokenizer_bytes(tokenizer, top[i], &bytes, &size);
            put_token(text, bytes, size);
            int status = size > 0 ? mf_out_printf(out, err, " '%s'", text)
                                  : mf_out_printf(out, err, " %u", (unsigned)top[i]);
            if (status < 0) return -1;
        }
        if (mf_out_printf(out, err, n > 0 ? "\n" : " nothing\n") < 0) return -1;
    }
    return 0;
}

/* Adds the text of the tokens to the page. */
static void add_texts(json_t *json, const struct mf_tokenizer *tokenizer) {
    size_t e, i;
    json_t *list, *one;
    json_array_foreach(json_object_get(json, "top_tokens"), e, list) json_array_foreach(list, i, one) {
        const char *bytes;
        size_t size;
        mf_tokenizer_bytes(tokenizer, (uint32_t)json_integer_value(json_object_get(one, "token")), &bytes,
                           &size);
        json_object_set_new(one, "text", mf_utf8_json(bytes, size));
    }
}

static double share(const struct mf_routing *r, size_t layer, size_t e) {
    return (double)r->slots[layer * r->E + e] / ((double)r->rows * (double)r->top_k);
}

/* The shares of so many experts that they do not fit beside one another: a row each. */
static int print_shares(struct mf_out *out, const struct mf_routing *r, const json_t *names,
                        struct mf_err *err) {
    if (mf_out_printf(out, err, "%-12s", "layer") < 0) return -1;
    for (size_t i = 0; i < r->L; i++)
        if (mf_out_printf(out, err, " %8zu", i) < 0) return -1;
    for (size_t e = 0; e < r->E; e++) {
        if (mf_out_printf(out, err, "\n%-12.12s", json_string_value(json_array_get(names, e))) < 0) return -1;
        for (size_t i = 0; i < r->L; i++)
            if (mf_out_printf(out, err, " %8.4f", share(r, i, e)) < 0) return -1;
    }
    return mf_out_printf(out, err, "\n");
}

static int print_table(struct mf_out *out, const struct mf_routing *r, const json_t *names,
                       const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    size_t beside = r->E <= BESIDE ? r->E : 0;
    if (mf_out_printf(out, err, "%-8s", "layer") < 0) return -1;
    for (size_t e = 0; e < beside; e++)
        if (mf_out_printf(out, err, " %12.12s", json_string_value(json_array_get(names, e))) < 0) return -1;
    if (mf_out_printf(out, err, " %9s %9s %9s %14s  %s\n", "balance", "entropy", "agreement", "most together",
                      "without tokens") < 0)
        return -1;
    for (size_t i = 0; i < r->L; i++) {
        if (mf_out_printf(out, err, "%-8zu", i) < 0) return -1;
        for (size_t e = 0; e < beside; e++)
            if (mf_out_printf(out, err, " %12.4f", share(r, i, e)) < 0) return -1;
        double agreement = mf_routing_agreement(r, i);
        if (mf_out_printf(out, err, " %9.4f %9.4f", mf_routing_balance(r, i), mf_routing_entropy(r, i)) < 0 ||
            (isfinite(agreement) ? mf_out_printf(out, err, " %9.4f", agreement)
                                 : mf_out_printf(out, err, " %9s", "-")) < 0 ||
            print_pair(out, r, i, err) < 0 || mf_out_printf(out, err, " ") < 0)
            return -1;
        for (size_t e = 0; e < r->E; e++)
            if (r->slots[i * r->E + e] == 0 &&
                mf_out_printf(out, err, " %s", json_string_value(json_array_get(names, e))) < 0)
                return -1;
        if (mf_out_printf(out, err, "\n") < 0) return -1;
    }
    if (!beside && print_shares(out, r, names, err) < 0) return -1;
    return print_tokens(out, r, names, tokenizer, err);
}

static int write_result(const char *output, bool as_json, const struct mf_routing *r,
                        const struct mf_dataset *dataset, const json_t *names,
                        const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    struct mf_out *out;
    if (r->rows == 0)
        return mf_err_set(err, EX_DATAERR, "%s: nothing to route: no token predicts a target",
                          mf_dataset_name(dataset));
    if (as_json) {
        json_t *json = mf_routing_json(r, dataset, names);
        if (tokenizer) add_texts(json, tokenizer);
        return mf_session_write(output, json, err);
    }
    if (mf_out_open(&out, output, err) < 0) return -1;
    return mf_out_end(out, print_table(out, r, names, tokenizer, err), err);
}

static size_t beside(const void *context, const struct mf_moe *moe, size_t windows) {
    (void)context;
    return mf_windows_memory(moe, windows) + mf_routing_memory(moe);
}

struct request {
    struct mf_session s;
    bool as_json;
};

static int measure(const struct request *q, const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    const struct mf_session *s = &q->s;
    struct mf_routing routing;
    if (mf_routing(s->moe, s->work, s->dataset, s->batch, &routing, err) < 0) return -1;
    json_t *names = mf_session_experts(s->moe);
    int status = write_result(s->request.output, q->as_json, &routing, s->dataset, names, tokenizer, err);
    json_decref(names);
    mf_routing_clear(&routing);
    return status;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *q = request;
    struct mf_session *s = &q->s;
    const char *path = s->request.tokenizer;
    struct mf_tokenizer *tokenizer = NULL;
    if (mf_session_check(s, operands, err) < 0) return -1;
    if (mf_session_begin(s, "eval", common, s->request.batch, err) < 0) return -1;
    if (mf_session_open(s, err) < 0) return -1;
    if (path && mf_model_tokenizer(&tokenizer, path, s->moe, err) < 0) return -1;
    int status = measure(q, tokenizer, err);
    mf_tokenizer_free(tokenizer);
    return status;
}

int mf_eval_routing(int argc, char **argv) {
    struct request q = {.s.request = {.max_tokens = -1, .beside = beside, .routed = true}};
    const struct mf_option options[] = {
        MF_MODEL_OPTION(q.s.request, "the model"),
        {"tokenizer", 't', MF_OPT_STRING, &q.s.request.tokenizer, "FILE",
         "tokenizer.json, to show tokens as text", 0, 0},
        {"json", 0, MF_OPT_FLAG, &q.as_json, NULL, "print JSON instead of a table", 0, 0},
        {"max-tokens", 0, MF_OPT_INT, &q.s.request.max_tokens, "N",
         "route a sample of documents with N tokens in all (default: 0, all)", 0, 1e15},
        MF_BATCH_OPTION(q.s.request),
        MF_MEMORY_OPTION(q.s.request),
        MF_OUTPUT_OPTION(&q.s.request.output),
        {0}};
    const struct mf_usage usage = {"mf-eval routing", "which experts the tokens go to",
                                   "mf-eval routing -m MODEL [OPTION]... [TOKENS]", options, notes};
    int status = mf_options_run(&usage, run, &q, argc, argv);
    mf_session_end(&q.s);
    return status;
}
