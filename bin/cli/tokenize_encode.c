/* mf-tokenize encode: documents to tokens. */
#include "cli/tokenize_commands.h"

#include <stdlib.h>
#include <string.h>
#include "text/encode.h"

#define TEXT_LIMIT ((size_t)1 << 30) /* bytes of one plain text */

static const char notes[] =
    "By default text never yields a special token, even where it spells one. With --special=parse the exact spelling\n"
    "of a special token yields it; with --special=error it is an error. Added tokens that are not special are always\n"
    "found. The tokenizer puts its own tokens around each document: tokenizers trained here put <bos> and <eos>.\n"
    "\n"
    "mf-tokenize warns of text with less than 1.35 bytes a token (1.15 for tokenizers of less than 512 merges), for\n"
    "example Chinese encoded by a tokenizer of English.\n"
    "\n"
    "examples:\n"
    "  mf-tokenize encode -t tokenizer.json -o train.mf train.docs\n"
    "  printf 'In the beginning' | mf-tokenize encode -t tokenizer.json --text | mf-cat\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write,\n"
    "78 bad config.\n";

struct request {
    const struct mf_common *common;
    struct mf_tokenize_files files;
    int special; /* enum mf_special */
    bool plain, unwarned;
};

static void show_documents(void *progress, uint64_t documents) {
    mf_progress_show(progress, documents, NULL);
}

static int encode_docs(const struct request *r, struct mf_encoding *e, struct mf_stream_writer *w,
                       struct mf_err *err) {
    struct mf_stream_reader *docs;
    struct mf_progress progress;
    if (mf_stream_open(&docs, r->files.input, "docs", err) < 0) return -1;
    mf_progress_begin(&progress, "mf-tokenize encode", "documents", 0, r->common->progress, r->common->quiet);
    int status = mf_encoding_stream(e, docs, w, show_documents, &progress, err);
    mf_progress_end(&progress, mf_stream_count(docs));
    mf_stream_close(docs);
    return status;
}

/* Plain text is one document. */
static int encode_text(const struct request *r, struct mf_encoding *e, struct mf_stream_writer *w,
                       struct mf_err *err) {
    unsigned char *text;
    size_t size;
    const char *path = r->files.input, *id = path && strcmp(path, "-") != 0 ? path : "text";
    if (mf_read_all(path, TEXT_LIMIT, &text, &size, err) < 0) return -1;
    const struct mf_doc doc = {.id = id, .id_size = strlen(id), .text = (const char *)text, .size = size};
    int status = mf_encoding_doc(e, &doc, w, err);
    free(text);
    return status;
}

static int write_tokens(const struct request *r, const struct mf_tokenizer *tokenizer, struct mf_encoding *e,
                        struct mf_out *out, struct mf_err *err) {
    struct mf_stream_writer *w;
    const struct mf_tokens_header header = mf_tokens_header_of(tokenizer);
    if (mf_tokens_create(&w, out, &header, -1, err) < 0) return -1;
    return mf_stream_end(w, r->plain ? encode_text(r, e, w, err) : encode_docs(r, e, w, err), err);
}

/* One line for people that is no failure. */
static void warn_of_foreign(const struct mf_encoding *e) {
    struct mf_err line;
    double bytes;
    if (!mf_encoding_foreign(e, &bytes)) return;
    mf_err_set(
        &line, 0,
        "warning: %.2f bytes a token: the tokenizer was learnt from other text (make fresh, or mf-tokenize "
        "train, makes one for this)",
        bytes);
    mf_fail("mf-tokenize encode", &line);
}

static int encode(const struct request *r, const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    struct mf_encoding *e;
    struct mf_out *out;
    const int threads = (int)r->common->threads;
    if (mf_encoding_new(&e, tokenizer, (enum mf_special)r->special, threads, err) < 0) return -1;
    int status = mf_out_open(&out, r->files.output, err);
    if (status == 0) status = mf_out_end(out, write_tokens(r, tokenizer, e, out, err), err);
    if (status == 0 && !r->common->quiet && !r->unwarned) warn_of_foreign(e);
    mf_encoding_free(e);
    return status;
}

int mf_tokenize_check(struct mf_tokenize_files *files, const char *what, const struct mf_strs *operands,
                      const struct mf_common *common, struct mf_err *err) {
    struct mf_config config; /* nothing of it is read here, but a wrong key is an error everywhere */
    if (!files->tokenizer) return mf_err_set(err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (mf_options_operand(operands, what, &files->input, err) < 0) return -1;
    return mf_config_load_stage(&config, &common->settings, "encode", err);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *r = request;
    struct mf_tokenizer *tokenizer;
    r->common = common;
    if (mf_tokenize_check(&r->files, "docs stream", operands, common, err) < 0) return -1;
    if (mf_tokenizer_load(&tokenizer, r->files.tokenizer, err) < 0) return -1;
    int status = encode(r, tokenizer, err);
    mf_tokenizer_free(tokenizer);
    return status;
}

int mf_tokenize_encode(int argc, char **argv) {
    struct request r = {.special = MF_SPECIAL_TEXT};
    const struct mf_option options[] = {
        MF_TOKENIZER_OPTION(&r.files.tokenizer),
        {"special", 0, MF_OPT_CHOICE, &r.special, "text|parse|error",
         "what the spelling of a special token in a text is (default: text)", 0, 0},
        {"text", 0, MF_OPT_FLAG, &r.plain, NULL, "the input is plain text, one document", 0, 0},
        {"no-warning", 0, MF_OPT_FLAG, &r.unwarned, NULL, "do not warn of text unlike the tokenizer's", 0, 0},
        MF_OUTPUT_OPTION(&r.files.output),
        {0}};
    const struct mf_usage usage = {"mf-tokenize encode", "documents to tokens",
                                   "mf-tokenize encode -t TOKENIZER [OPTION]... [DOCS]", options, notes};
    return mf_options_run(&usage, run, &r, argc, argv);
}
