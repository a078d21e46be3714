/* mf-tokenize decode: tokens to text. */
#include "cli/tokenize_commands.h"

#include <stdlib.h>
#include <string.h>
#include "text/doc.h"
#include "text/tokens.h"

static const char notes[] =
    "Writes the texts with the separator between documents, or with --docs as a docs stream. Special tokens have no\n"
    "text.\n"
    "\n"
    "examples:\n"
    "  mf-tokenize decode -t tokenizer.json train.mf\n"
    "  mf-tokenize decode -t tokenizer.json --docs -o back.docs train.mf\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or another tokenizer's tokens, 66 input cannot be opened, 73\n"
    "or 74 cannot write, 78 bad config.\n";

struct request {
    struct mf_tokenize_files files;
    const char *separator;
    bool docs;
};

struct decoding {
    const struct mf_tokenizer *tokenizer;
    const struct request *request;
    struct mf_text text;
};

static int put_text(struct decoding *d, const struct mf_token_doc *from, struct mf_stream_writer *w,
                    struct mf_err *err) {
    const struct mf_doc doc = {.id = from->id,
                               .id_size = from->id_size,
                               .domain = from->domain,
                               .domain_size = from->domain_size,
                               .text = d->text.size ? d->text.bytes : "",
                               .size = d->text.size};
    return mf_doc_put(w, &doc, err);
}

/* To a docs stream, or where `w` is NULL as plain text. */
static int decode_all(struct decoding *d, struct mf_tokens_reader *docs, struct mf_out *out,
                      struct mf_stream_writer *w, struct mf_err *err) {
    const char *separator = d->request->separator;
    struct mf_token_doc doc;
    int more;
    for (uint64_t i = 0; (more = mf_tokens_next(docs, &doc, err)) > 0; i++) {
        d->text.size = 0;
        if (mf_decode(d->tokenizer, doc.tokens, doc.n, &d->text, err) < 0) return -1;
        if (w && put_text(d, &doc, w, err) < 0) return -1;
        if (!w && i > 0 && mf_out_write(out, separator, strlen(separator), err) < 0) return -1;
        if (!w && mf_out_write(out, d->text.bytes, d->text.size, err) < 0) return -1;
    }
    return more;
}

static int write_docs(struct decoding *d, struct mf_tokens_reader *docs, struct mf_out *out,
                      struct mf_err *err) {
    struct mf_stream_writer *w;
    if (mf_tokens_check(&docs->header, mf_stream_name(docs->stream), d->tokenizer, err) < 0) return -1;
    if (!d->request->docs) return decode_all(d, docs, out, NULL, err);
    if (mf_stream_create(&w, out, "docs", 0, err) < 0) return -1;
    return mf_stream_end(w, decode_all(d, docs, out, w, err), err);
}

static int write_text(struct decoding *d, struct mf_out *out, struct mf_err *err) {
    struct mf_tokens_reader docs;
    if (mf_tokens_open(&docs, d->request->files.input, err) < 0) return -1;
    int status = write_docs(d, &docs, out, err);
    mf_tokens_close(&docs);
    return status;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *r = request;
    struct mf_tokenizer *tokenizer;
    struct mf_out *out;
    if (mf_tokenize_check(&r->files, "tokens stream", operands, common, err) < 0) return -1;
    if (mf_tokenizer_load(&tokenizer, r->files.tokenizer, err) < 0) return -1;
    struct decoding d = {.tokenizer = tokenizer, .request = r};
    int status = mf_out_open(&out, r->files.output, err);
    if (status == 0) status = mf_out_end(out, write_text(&d, out, err), err);
    free(d.text.bytes);
    mf_tokenizer_free(tokenizer);
    return status;
}

int mf_tokenize_decode(int argc, char **argv) {
    struct request r = {.separator = "\n"};
    const struct mf_option options[] = {
        MF_TOKENIZER_OPTION(&r.files.tokenizer),
        {"docs", 0, MF_OPT_FLAG, &r.docs, NULL, "write a docs stream instead of plain text", 0, 0},
        {"separator", 0, MF_OPT_STRING, &r.separator, "TEXT", "between documents (default: a line end)", 0,
         0},
        MF_OUTPUT_OPTION(&r.files.output),
        {0}};
    const struct mf_usage usage = {"mf-tokenize decode", "tokens to text",
                                   "mf-tokenize decode -t TOKENIZER [OPTION]... [TOKENS]", options, notes};
    return mf_options_run(&usage, run, &r, argc, argv);
}
