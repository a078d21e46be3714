/* mf-tokenize: learns a byte-level BPE, and turns documents into tokens and back.
 *     mf-tokenize train|encode|decode [OPTION]... */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/options.h"
#include "io/stream.h"
#include "model/config.h"
#include "part/corpus.h"
#include "text/tokenizer.h"
#include "text/train.h"

#define TEXT_LIMIT ((size_t)1 << 30) /* bytes of one plain text */

static const char exit_notes[] = "\n"
                                 "exit status: 0, or 64 wrong use, 65 malformed input, another tokenizer's "
                                 "tokens, or no text, 66 input cannot be\n"
                                 "opened, 73 or 74 cannot write, 78 bad config.\n";

/* Opens `output`, runs `work` and commits, or leaves nothing. */
typedef int writing(void *context, struct mf_out *out, struct mf_err *err);
static int write_to(const char *output, writing *work, void *context, struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, output, err) < 0) return -1;
    if (work(context, out, err) == 0) return mf_out_commit(out, err);
    mf_out_abandon(out);
    return -1;
}

static int finish(const char *program, int status, struct mf_common *common, struct mf_strs *operands,
                  const struct mf_err *err) {
    mf_strs_free(operands);
    mf_strs_free(&common->sets);
    return status < 0 ? mf_fail(program, err) : 0;
}

/* One line for people that is no failure. */
static void say(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const char *program, const char *format, ...) {
    struct mf_err line;
    char text[sizeof line.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mf_err_set(&line, 0, "%s", text); /* cleans names that came from the input */
    mf_fail(program, &line);
}

static void begin_progress(struct mf_progress *p, const char *program, const struct mf_common *common) {
    mf_progress_begin(p, program, "documents", 0, (enum mf_progress_mode)common->progress, common->quiet);
}

/* --- train --- */

struct training {
    struct mf_words *words;
    size_t vocab_size, reached;
    uint64_t min_frequency;
};

/* Counts the words of all documents. Says once when words were cut. */
static int count_words(struct training *t, const struct mf_common *common, const char *path,
                       struct mf_err *err) {
    struct mf_stream_reader *docs;
    const struct mf_record *rec;
    uint64_t texts = 0, cut = 0;
    char first[80] = "";
    int more;
    struct mf_progress progress;
    if (mf_stream_open(&docs, path, "docs", err) < 0) return -1;
    begin_progress(&progress, "mf-tokenize train", common);
    while ((more = mf_stream_next(docs, &rec, err)) > 0) {
        const char *text, *id = "";
        size_t size, id_size = 0;
        int there = mf_record_string(rec, "text", &text, &size, err);
        if (there == 0)
            mf_err_set(err, EX_DATAERR, "%s: record %llu has no text", mf_stream_name(docs),
                       (unsigned long long)mf_stream_count(docs));
        int64_t long_words = there > 0 ? mf_words_add(t->words, text, size, err) : -1;
        if (long_words < 0 || mf_record_string(rec, "id", &id, &id_size, err) < 0) {
            more = -1;
            break;
        }
        if (long_words > 0 && cut == 0)
            snprintf(first, sizeof first, "%.*s", (int)(id_size < 60 ? id_size : 60), id);
        cut += (uint64_t)long_words;
        mf_progress_show(&progress, ++texts, NULL);
    }
    mf_progress_end(&progress, texts);
    if (more == 0 && mf_words_bytes(t->words) == 0)
        more = mf_err_set(err, EX_DATAERR, "%s: no text to learn from in %llu documents",
                          mf_stream_name(docs), (unsigned long long)texts);
    if (more == 0 && cut > 0 && !common->quiet)
        say("mf-tokenize train",
            "%llu words of more than %zu bytes were cut in pieces, and not counted beyond %zu bytes; the "
            "first "
            "in document %s",
            (unsigned long long)cut, MF_WORD_LIMIT, MF_WORD_MOST, first);
    mf_stream_close(docs);
    return more < 0 ? -1 : 0;
}

static int write_tokenizer(void *context, struct mf_out *out, struct mf_err *err) {
    struct training *t = context;
    return mf_words_train(t->words, t->vocab_size, t->min_frequency, out, &t->reached, err);
}

static int train(const struct mf_common *common, int64_t vocab_size, int64_t min_frequency, const char *path,
                 const char *output, struct mf_err *err) {
    struct mf_config config;
    struct training t = {0};
    if (mf_config_load(&config, common, err) < 0) return -1;
    t.vocab_size = (size_t)(vocab_size ? vocab_size : config.tokenizer.vocab_size);
    t.min_frequency = (uint64_t)(min_frequency ? min_frequency : config.tokenizer.min_frequency);
    if (t.vocab_size < MF_VOCAB_MIN)
        return mf_err_set(err, EX_USAGE,
                          "--vocab-size is %zu, the smallest possible is %d: 256 bytes and 4 special tokens",
                          t.vocab_size, MF_VOCAB_MIN);
    if (mf_words_new(&t.words, err) < 0) return -1;
    int status = count_words(&t, common, path, err);
    if (status == 0) status = write_to(output, write_tokenizer, &t, err);
    if (status == 0 && !common->quiet && t.reached < t.vocab_size)
        say("mf-tokenize train", "asked for %zu tokens, the text supports %zu", t.vocab_size, t.reached);
    else if (status == 0 && !common->quiet)
        say("mf-tokenize train", "%zu tokens from %.1f MB of text", t.reached,
            (double)mf_words_bytes(t.words) / 1e6);
    mf_words_free(t.words);
    return status;
}

static int run_train(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    const char *output = NULL;
    int64_t vocab_size = 0, min_frequency = 0;
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_STRING, &output, "FILE",
         "write tokenizer.json to FILE instead of standard output", 0, 0},
        {"vocab-size", 0, MF_OPT_INT, &vocab_size, "N", "tokens (default: tokenizer.vocab_size)", 1, 1048576},
        {"min-frequency", 0, MF_OPT_INT, &min_frequency, "N",
         "a pair must occur this often (default: tokenizer.min_frequency)", 1, 1e15},
        {NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {"mf-tokenize train", "learn a byte-level BPE from documents",
                                   "mf-tokenize train [OPTION]... [DOCS]", options, exit_notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && operands.count > 1) status = mf_err_set(&err, EX_USAGE, "one docs stream at a time");
    if (status == 0)
        status = train(&common, vocab_size, min_frequency, operands.count ? operands.items[0] : NULL, output,
                       &err);
    return finish("mf-tokenize train", status, &common, &operands, &err);
}

/* --- encode --- */

struct encoding {
    const struct mf_common *common;
    const struct mf_tokenizer *tokenizer;
    struct mf_encoder *encoder;
    struct mf_stream_writer *writer;
    struct mf_ids ids;
    unsigned char *bytes;
    size_t room, width;
    enum mf_special special;
    const char *path;
    bool plain;
};

static int begin_tokens(struct encoding *e, struct mf_out *out, struct mf_err *err) {
    struct mf_tokens_header h = {.vocab = mf_tokenizer_size(e->tokenizer),
                                 .width = (int64_t)e->width,
                                 .bos = mf_tokenizer_special(e->tokenizer, MF_BOS),
                                 .eos = mf_tokenizer_special(e->tokenizer, MF_EOS),
                                 .pad = mf_tokenizer_special(e->tokenizer, MF_PAD)};
    memcpy(h.tokenizer, mf_tokenizer_sha256(e->tokenizer), sizeof h.tokenizer);
    if (mf_stream_create(&e->writer, out, "tokens", MF_TOKENS_HEADER_FIELDS, err) < 0) return -1;
    return mf_tokens_header_put(&h, e->writer, err);
}

static int put_special(struct encoding *e, enum mf_special_id which, struct mf_err *err) {
    int64_t id = mf_tokenizer_special(e->tokenizer, which);
    return id < 0 ? 0 : mf_ids_add(&e->ids, (uint32_t)id, err);
}

/* The ids as little-endian bytes. */
static int pack(struct encoding *e, struct mf_err *err) {
    size_t size = e->ids.count * e->width;
    if (size > e->room) {
        unsigned char *grown = realloc(e->bytes, size);
        if (!grown)
            return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu tokens", e->ids.count);
        e->bytes = grown;
        e->room = size;
    }
    for (size_t i = 0; i < e->ids.count; i++)
        for (size_t b = 0; b < e->width; b++)
            e->bytes[i * e->width + b] = (unsigned char)(e->ids.ids[i] >> (8 * b));
    return 0;
}

static int encode_one(struct encoding *e, const char *id, size_t id_size, const char *domain,
                      size_t domain_size, const char *text, size_t size, struct mf_err *err) {
    e->ids.count = 0;
    if (put_special(e, MF_BOS, err) < 0) return -1;
    if (mf_encode(e->encoder, text, size, e->special, &e->ids, err) < 0) {
        struct mf_err why = *err;
        return why.status == EX_DATAERR ? mf_err_set(err, EX_DATAERR, "document %.*s: %s",
                                                     (int)(id_size < 100 ? id_size : 100), id, why.text)
                                        : -1;
    }
    if (put_special(e, MF_EOS, err) < 0 || pack(e, err) < 0) return -1;
    if (mf_stream_begin(e->writer, domain ? 3 : 2, err) < 0 ||
        mf_put_string(e->writer, "id", id, id_size, err) < 0)
        return -1;
    if (domain && mf_put_string(e->writer, "domain", domain, domain_size, err) < 0) return -1;
    return mf_put_bin(e->writer, "tokens", e->bytes, e->ids.count * e->width, err);
}

static int encode_docs(struct encoding *e, struct mf_err *err) {
    struct mf_stream_reader *docs;
    const struct mf_record *rec;
    struct mf_progress progress;
    int more;
    if (mf_stream_open(&docs, e->path, "docs", err) < 0) return -1;
    begin_progress(&progress, "mf-tokenize encode", e->common);
    while ((more = mf_stream_next(docs, &rec, err)) > 0) {
        const char *text = NULL, *id = "", *domain = NULL;
        size_t size = 0, id_size = 0, domain_size = 0;
        int there = mf_record_string(rec, "text", &text, &size, err);
        if (there == 0)
            mf_err_set(err, EX_DATAERR, "%s: record %llu has no text", mf_stream_name(docs),
                       (unsigned long long)mf_stream_count(docs));
        if (there <= 0 || mf_record_string(rec, "id", &id, &id_size, err) < 0 ||
            mf_record_string(rec, "domain", &domain, &domain_size, err) < 0 ||
            encode_one(e, id, id_size, domain, domain_size, text, size, err) < 0) {
            more = -1;
            break;
        }
        mf_progress_show(&progress, mf_stream_count(docs), NULL);
    }
    mf_progress_end(&progress, mf_stream_count(docs));
    mf_stream_close(docs);
    return more;
}

static int encode_text(struct encoding *e, struct mf_err *err) {
    unsigned char *text;
    size_t size;
    const char *id = e->path && strcmp(e->path, "-") != 0 ? e->path : "text";
    if (mf_read_all(e->path, TEXT_LIMIT, &text, &size, err) < 0) return -1;
    int status = encode_one(e, id, strlen(id), NULL, 0, (const char *)text, size, err);
    free(text);
    return status;
}

static int write_tokens(void *context, struct mf_out *out, struct mf_err *err) {
    struct encoding *e = context;
    int status = begin_tokens(e, out, err);
    if (status == 0) status = e->plain ? encode_text(e, err) : encode_docs(e, err);
    struct mf_stream_writer *writer = e->writer;
    if (status == 0) return mf_stream_finish(writer, err);
    mf_stream_drop(writer);
    return -1;
}

static int encode(const char *tokenizer_path, struct encoding *e, const char *output, struct mf_err *err) {
    struct mf_tokenizer *tokenizer;
    struct mf_config config; /* nothing of it is used here, but a wrong key is an error everywhere */
    if (mf_config_load(&config, e->common, err) < 0) return -1;
    if (mf_tokenizer_load(&tokenizer, tokenizer_path, err) < 0) return -1;
    e->tokenizer = tokenizer;
    e->width = mf_tokenizer_size(tokenizer) <= 65536 ? 2 : 4;
    int status = mf_encoder_new(&e->encoder, tokenizer, err);
    if (status == 0) status = write_to(output, write_tokens, e, err);
    mf_encoder_free(e->encoder);
    free(e->ids.ids);
    free(e->bytes);
    mf_tokenizer_free(tokenizer);
    return status;
}

static int run_encode(int argc, char **argv) {
    static const char notes[] = "The text of a document is text: by default it never yields a special token, "
                                "whatever it spells. With\n"
                                "--special=parse the exact spelling of one does; with --special=error it "
                                "ends the program. Each document is\n"
                                "wrapped in <bos> and <eos>.\n"
                                "\n"
                                "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be "
                                "opened, 73 or 74 cannot write,\n"
                                "78 bad config.\n";
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    struct encoding e = {0};
    const char *output = NULL, *tokenizer = NULL;
    int special = MF_SPECIAL_TEXT;
    const struct mf_option options[] = {
        {"tokenizer", 't', MF_OPT_STRING, &tokenizer, "FILE", "tokenizer.json", 0, 0},
        {"special", 0, MF_OPT_CHOICE, &special, "text|parse|error",
         "what the spelling of a special token in a text is (default: text)", 0, 0},
        {"text", 0, MF_OPT_FLAG, &e.plain, NULL, "the input is plain text, one document", 0, 0},
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {"mf-tokenize encode", "documents to tokens",
                                   "mf-tokenize encode -t TOKENIZER [OPTION]... [DOCS]", options, notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !tokenizer) status = mf_err_set(&err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (status == 0 && operands.count > 1) status = mf_err_set(&err, EX_USAGE, "one docs stream at a time");
    e.common = &common;
    e.special = (enum mf_special)special;
    e.path = operands.count ? operands.items[0] : NULL;
    if (status == 0) status = encode(tokenizer, &e, output, &err);
    return finish("mf-tokenize encode", status, &common, &operands, &err);
}

/* --- decode --- */

struct decoding {
    const struct mf_tokenizer *tokenizer;
    const char *path, *separator;
    bool docs;
    char *text;
    size_t size, room;
};

/* The bytes of a document; special tokens have none. */
static int decode_one(struct decoding *d, const struct mf_document *doc, struct mf_err *err) {
    d->size = 0;
    for (size_t i = 0; i < doc->count; i++) {
        const char *piece;
        size_t size;
        mf_tokenizer_piece(d->tokenizer, doc->ids[i], &piece, &size);
        if (size > d->room - d->size) {
            char *grown = realloc(d->text, 2 * (d->size + size));
            if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a document's text");
            d->text = grown;
            d->room = 2 * (d->size + size);
        }
        if (size) memcpy(d->text + d->size, piece, size);
        d->size += size;
    }
    return 0;
}

static int put_document(struct decoding *d, const struct mf_document *doc, struct mf_stream_writer *w,
                        struct mf_err *err) {
    if (mf_stream_begin(w, doc->domain ? 3 : 2, err) < 0) return -1;
    if (mf_put_string(w, "id", doc->id ? doc->id : "", doc->id_size, err) < 0) return -1;
    if (mf_put_string(w, "text", d->size ? d->text : "", d->size, err) < 0) return -1;
    return doc->domain ? mf_put_string(w, "domain", doc->domain, doc->domain_size, err) : 0;
}

static int decode_all(struct decoding *d, struct mf_documents *docs, struct mf_out *out,
                      struct mf_stream_writer *w, struct mf_err *err) {
    struct mf_document doc;
    int more;
    for (uint64_t i = 0; (more = mf_documents_next(docs, &doc, err)) > 0; i++) {
        if (decode_one(d, &doc, err) < 0) return -1;
        if (w && put_document(d, &doc, w, err) < 0) return -1;
        if (!w && i > 0 && mf_out_write(out, d->separator, strlen(d->separator), err) < 0) return -1;
        if (!w && mf_out_write(out, d->text, d->size, err) < 0) return -1;
    }
    return more;
}

static int write_text(void *context, struct mf_out *out, struct mf_err *err) {
    struct decoding *d = context;
    struct mf_documents docs;
    struct mf_stream_writer *w = NULL;
    if (mf_documents_open(&docs, d->path, err) < 0) return -1;
    int status = 0;
    if (strcmp(docs.header.tokenizer, mf_tokenizer_sha256(d->tokenizer)) != 0)
        status =
            mf_err_set(err, EX_DATAERR, "%s: made with tokenizer %.12s, not %.12s",
                       mf_stream_name(docs.stream), docs.header.tokenizer, mf_tokenizer_sha256(d->tokenizer));
    if (status == 0 && d->docs) status = mf_stream_create(&w, out, "docs", 0, err);
    if (status == 0) status = decode_all(d, &docs, out, w, err);
    mf_documents_close(&docs);
    if (status == 0 && w) return mf_stream_finish(w, err);
    mf_stream_drop(w);
    return status;
}

static int run_decode(int argc, char **argv) {
    static const char notes[] = "Without --docs the texts are written as they are, with the separator "
                                "between documents. Special tokens have no\n"
                                "text.\n"
                                "\n"
                                "exit status: 0, or 64 wrong use, 65 malformed input or another tokenizer's "
                                "tokens, 66 input cannot be opened, 73\n"
                                "or 74 cannot write, 78 bad config.\n";
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    struct decoding d = {.separator = "\n"};
    struct mf_tokenizer *tokenizer = NULL;
    struct mf_config config;
    const char *output = NULL, *path = NULL;
    const struct mf_option options[] = {
        {"tokenizer", 't', MF_OPT_STRING, &path, "FILE", "tokenizer.json", 0, 0},
        {"docs", 0, MF_OPT_FLAG, &d.docs, NULL, "write a docs stream", 0, 0},
        {"separator", 0, MF_OPT_STRING, &d.separator, "TEXT", "between documents (default: a line end)", 0,
         0},
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {"mf-tokenize decode", "tokens to text",
                                   "mf-tokenize decode -t TOKENIZER [OPTION]... [TOKENS]", options, notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !path) status = mf_err_set(&err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (status == 0 && operands.count > 1) status = mf_err_set(&err, EX_USAGE, "one tokens stream at a time");
    d.path = operands.count ? operands.items[0] : NULL;
    if (status == 0) status = mf_config_load(&config, &common, &err);
    if (status == 0) status = mf_tokenizer_load(&tokenizer, path, &err);
    d.tokenizer = tokenizer;
    if (status == 0) status = write_to(output, write_text, &d, &err);
    free(d.text);
    mf_tokenizer_free(tokenizer);
    return finish("mf-tokenize decode", status, &common, &operands, &err);
}

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"train", "learn a byte-level BPE from documents", run_train},
        {"encode", "documents to tokens", run_encode},
        {"decode", "tokens to text", run_decode},
        {NULL, NULL, NULL},
    };
    return mf_command_run("mf-tokenize", "learn a tokenizer, and turn documents into tokens and back",
                          commands, argc, argv);
}
