/* mf-tokenize: learns a byte-level BPE, and turns documents into tokens and back.
 *     mf-tokenize train|encode|decode [OPTION]... */
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/options.h"
#include "io/stream.h"
#include "config/config.h"
#include "text/tokens.h"
#include "text/batch.h"
#include "text/tokenizer.h"
#include "text/train.h"

#define TEXT_LIMIT ((size_t)1 << 30) /* bytes of one plain text */

/* One line for people that is no failure. */
static void say(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const char *program, const char *format, ...) {
    struct mf_err line;
    va_list args;
    va_start(args, format);
    mf_err_vset(&line, 0, format, args); /* cleans names that came from the input */
    va_end(args);
    mf_fail(program, &line);
}

static void begin_progress(struct mf_progress *p, const char *program, const struct mf_common *common) {
    mf_progress_begin(p, program, "documents", 0, (enum mf_progress_mode)common->progress, common->quiet);
}

/* --- train --- */

/* Longer words count no further: lines without a blank, as of base64, would take the vocabulary. */
#define MAX_WORD 16384

/* Under --max-memory: program and libraries, and the least that is good for words. */
#define PROGRAM_MEMORY ((size_t)6 << 20)
#define LEAST_WORDS    ((size_t)1 << 20)

struct training {
    const struct mf_common *common;
    struct mf_words *words;
    const char *path;
    int64_t vocab_size, min_frequency, max_word;
    uint64_t max_memory;
    size_t reached;
};

static void show_documents(void *progress, uint64_t documents) {
    mf_progress_show(progress, documents, NULL);
}

/* Says what was left out, and what came of it. */
static void report_training(const struct training *t, const struct mf_words_report *r) {
    if (r->cut)
        say("mf-tokenize train",
            "%llu words of more than %lld bytes were not counted beyond them; the first in document %s",
            (unsigned long long)r->cut, (long long)t->max_word, r->first_cut);
    if (r->dropped)
        say("mf-tokenize train", "%llu rare words were dropped to stay within --max-memory, %zu kept",
            (unsigned long long)r->dropped, mf_words_distinct(t->words));
    if (t->reached < (size_t)t->vocab_size)
        say("mf-tokenize train", "asked for %lld tokens, the text supports %zu", (long long)t->vocab_size,
            t->reached);
    else
        say("mf-tokenize train", "%zu tokens from %.1f MB of text", t->reached,
            (double)mf_words_bytes(t->words) / 1e6);
}

static int count_words(struct training *t, size_t memory, struct mf_words_report *report,
                       struct mf_err *err) {
    struct mf_stream_reader *docs;
    struct mf_pool *pool;
    struct mf_progress progress;
    if (mf_stream_open(&docs, t->path, "docs", err) < 0) return -1;
    int status = mf_pool_new(&pool, (int)t->common->threads, err);
    if (status == 0) {
        begin_progress(&progress, "mf-tokenize train", t->common);
        status = mf_words_count(t->words, docs, pool, memory, report, show_documents, &progress, err);
        mf_progress_end(&progress, report->documents);
        mf_pool_free(pool);
    }
    if (status == 0 && mf_words_bytes(t->words) == 0)
        status = mf_err_set(err, EX_DATAERR, "%s: no text to learn from in %llu documents",
                            mf_stream_name(docs), (unsigned long long)report->documents);
    mf_stream_close(docs);
    return status;
}

/* What --max-memory leaves for the words; 0 without it. */
static int plan_words(const struct training *t, size_t *memory, struct mf_err *err) {
    size_t fixed = PROGRAM_MEMORY + mf_words_train_memory((size_t)t->vocab_size);
    *memory = 0;
    if (t->max_memory == 0) return 0;
    if (t->max_memory < fixed + LEAST_WORDS)
        return mf_memory_refuse("learning", fixed + LEAST_WORDS, t->max_memory, err);
    *memory = t->max_memory - fixed;
    mallopt(M_ARENA_MAX, 1);             /* what one thread frees is for all, */
    mallopt(M_MMAP_THRESHOLD, 64 << 10); /* and large blocks go back at once */
    return 0;
}

static int write_tokenizer(struct training *t, struct mf_out *out, struct mf_err *err) {
    return mf_words_train(t->words, (size_t)t->vocab_size, (uint64_t)t->min_frequency, out, &t->reached, err);
}

static int train(struct training *t, const char *output, struct mf_err *err) {
    struct mf_config config;
    struct mf_words_report report;
    struct mf_out *out;
    if (mf_config_load_stage(&config, &t->common->settings, "tokenizer", err) < 0) return -1;
    if (!t->vocab_size) t->vocab_size = config.tokenizer.vocab_size;
    if (!t->min_frequency) t->min_frequency = config.tokenizer.min_frequency;
    if (t->vocab_size < MF_VOCAB_MIN)
        return mf_err_set(err, EX_USAGE,
                          "--vocab-size is %lld, the smallest possible is %d: 256 bytes and 4 special tokens",
                          (long long)t->vocab_size, MF_VOCAB_MIN);
    size_t memory;
    if (plan_words(t, &memory, err) < 0 || mf_words_new(&t->words, (size_t)t->max_word, err) < 0) return -1;
    int status = count_words(t, memory, &report, err);
    if (status == 0) status = mf_out_open(&out, output, err);
    if (status == 0) status = mf_out_end(out, write_tokenizer(t, out, err), err);
    if (status == 0 && !t->common->quiet) report_training(t, &report);
    mf_words_free(t->words);
    return status;
}

static const char train_notes[] =
    "The result depends on how often each word occurs: not on the order of the documents or on --threads.\n"
    "Memory is in proportion to the different words; with --max-memory the rarest are dropped, and it is said. One\n"
    "document whose words alone take more comes on top.\n"
    "\n"
    "examples:\n"
    "  mf-tokenize train --vocab-size 8000 -o tokenizer.json train.docs\n"
    "  mf-docs my/texts | mf-tokenize train --max-memory 100M > tokenizer.json\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or no text, 66 input cannot be opened, 73 or 74 cannot\n"
    "write, 78 bad config.\n";

static int run_train(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    const char *output = NULL;
    struct training t = {.common = &common, .max_word = MAX_WORD};
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_STRING, &output, "FILE",
         "write tokenizer.json to FILE instead of standard output", 0, 0},
        {"vocab-size", 0, MF_OPT_INT, &t.vocab_size, "N", "tokens (default: tokenizer.vocab_size)", 1,
         1048576},
        {"min-frequency", 0, MF_OPT_INT, &t.min_frequency, "N",
         "a pair must occur this often (default: tokenizer.min_frequency)", 1, 1e15},
        {"max-word", 0, MF_OPT_INT, &t.max_word, "BYTES",
         "count longer words only so far, 0: no limit (default: 16384)", 0, 1e15},
        {"max-memory", 0, MF_OPT_SIZE, &t.max_memory, "SIZE",
         "fit into SIZE by dropping the rarest words, or refuse before it begins, e.g. 100M", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-tokenize train", "learn a byte-level BPE from documents",
                                   "mf-tokenize train [OPTION]... [DOCS]", options, train_notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0) status = mf_options_operand(&operands, "docs stream", &t.path, &err);
    if (status == 0) status = train(&t, output, &err);
    return mf_options_end("mf-tokenize train", status, &common, &operands, &err);
}

/* --- encode --- */

/* Documents are read and encoded in batches, each by the next thread that is free, and written in order. */
#define BATCH_BYTES ((size_t)2 << 20)

/* What became of a document of the batch. */
struct encoded {
    int thread;
    size_t begin, size; /* of the thread's bytes */
    struct mf_err err;
};

/* Between batches a thread keeps no more than this for its tokens. */
#define KEPT_BYTES (4 * BATCH_BYTES)

struct worker {
    struct mf_encoder *encoder;
    struct mf_ids ids;     /* not yet among the bytes */
    unsigned char *bytes;  /* the tokens of all its documents of the batch, little-endian */
    size_t used, capacity; /* of bytes */
    size_t width;          /* bytes of a token */
};

struct encoding {
    const struct mf_common *common;
    struct mf_tokenizer *tokenizer;
    struct worker *workers; /* [threads] */
    struct mf_pool *pool;
    struct mf_docs_batch batch;
    struct encoded *encoded; /* [room] */
    size_t room, width;
    atomic_size_t next;
    enum mf_special special;
    const char *path;
    bool plain;
};

/* Moves ids to the worker's bytes; drains its list (lib/text/tokenizer.h). A document's tokens take their
 * width while they wait to be written, not the four bytes of an id. */
static int pack(void *context, struct mf_ids *ids, struct mf_err *err) {
    struct worker *w = context;
    size_t size = ids->count * w->width;
    if (w->capacity - w->used < size) {
        size_t capacity = 2 * w->capacity + size;
        unsigned char *grown = realloc(w->bytes, capacity);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for %zu bytes of tokens", capacity);
        w->bytes = grown;
        w->capacity = capacity;
    }
    for (size_t i = 0; i < ids->count; i++)
        for (size_t b = 0; b < w->width; b++) w->bytes[w->used++] = (unsigned char)(ids->ids[i] >> (8 * b));
    ids->count = 0;
    return 0;
}

static void encode_job(void *context, size_t begin, size_t end, int thread) {
    struct encoding *e = context;
    struct worker *w = &e->workers[thread];
    (void)begin;
    (void)end;
    w->used = 0;
    for (size_t i; (i = atomic_fetch_add(&e->next, 1)) < e->batch.count;) {
        const struct mf_doc *doc = &e->batch.docs[i];
        struct encoded *to = &e->encoded[i];
        *to = (struct encoded){.thread = thread, .begin = w->used};
        w->ids.count = 0;
        if (mf_encode_document(w->encoder, doc->text, doc->size, e->special, &w->ids, &to->err) < 0) continue;
        if (pack(w, &w->ids, &to->err) == 0) to->size = w->used - to->begin;
    }
}

static int put_document(struct encoding *e, size_t i, struct mf_stream_writer *w, struct mf_err *err) {
    const struct mf_doc *doc = &e->batch.docs[i];
    const struct encoded *from = &e->encoded[i];
    if (from->err.status)
        return mf_err_set(err, from->err.status, "document %.*s: %s",
                          (int)(doc->id_size < 100 ? doc->id_size : 100), doc->id, from->err.text);
    struct mf_token_doc made = {.id = doc->id,
                                .id_size = doc->id_size,
                                .domain = doc->domain,
                                .domain_size = doc->domain_size,
                                .partition = -1,
                                .size = from->size};
    if (from->size) made.bytes = e->workers[from->thread].bytes + from->begin;
    return mf_tokens_put(w, &made, err);
}

/* Large documents that different threads encode one after another are not held by each of them. */
static void shrink_workers(struct encoding *e) {
    for (int t = 0; t < mf_pool_threads(e->pool); t++) {
        struct worker *w = &e->workers[t];
        if (w->capacity <= KEPT_BYTES) continue;
        free(w->bytes);
        w->bytes = NULL;
        w->capacity = w->used = 0;
    }
}

static int encode_batch(struct encoding *e, struct mf_stream_writer *w, struct mf_err *err) {
    if (e->batch.count > e->room) {
        free(e->encoded);
        e->room = 2 * e->batch.count;
        e->encoded = malloc(e->room * sizeof *e->encoded);
        if (!e->encoded) return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", e->batch.count);
    }
    atomic_store(&e->next, 0);
    mf_pool_run(e->pool, (size_t)mf_pool_threads(e->pool), 1, encode_job, e);
    for (size_t i = 0; i < e->batch.count; i++)
        if (put_document(e, i, w, err) < 0) return -1;
    shrink_workers(e);
    return 0;
}

static int encode_docs(struct encoding *e, struct mf_stream_writer *w, struct mf_err *err) {
    struct mf_stream_reader *docs;
    struct mf_progress progress;
    int more;
    if (mf_stream_open(&docs, e->path, "docs", err) < 0) return -1;
    begin_progress(&progress, "mf-tokenize encode", e->common);
    while ((more = mf_docs_batch_read(&e->batch, docs, BATCH_BYTES, err)) > 0) {
        if (encode_batch(e, w, err) < 0) {
            more = -1;
            break;
        }
        mf_progress_show(&progress, mf_stream_count(docs), NULL);
    }
    mf_progress_end(&progress, mf_stream_count(docs));
    mf_stream_close(docs);
    return more;
}

/* Plain text is a batch of one document. */
static int encode_text(struct encoding *e, struct mf_stream_writer *w, struct mf_err *err) {
    unsigned char *text;
    size_t size;
    const char *id = e->path && strcmp(e->path, "-") != 0 ? e->path : "text";
    if (mf_read_all(e->path, TEXT_LIMIT, &text, &size, err) < 0) return -1;
    struct mf_doc doc = {.id = id, .id_size = strlen(id), .text = (const char *)text, .size = size};
    e->batch = (struct mf_docs_batch){.docs = &doc, .count = 1};
    int status = encode_batch(e, w, err);
    e->batch = (struct mf_docs_batch){0};
    free(text);
    return status;
}

static int write_tokens(struct encoding *e, struct mf_out *out, struct mf_err *err) {
    struct mf_stream_writer *w = NULL;
    const struct mf_tokens_header header = mf_tokens_header_of(e->tokenizer);
    int status = mf_tokens_create(&w, out, &header, -1, err);
    if (status == 0) status = e->plain ? encode_text(e, w, err) : encode_docs(e, w, err);
    return mf_stream_end(w, status, err);
}

static int start_workers(struct encoding *e, struct mf_err *err) {
    size_t threads = (size_t)e->common->threads;
    e->workers = calloc(threads, sizeof *e->workers);
    if (!e->workers) return mf_err_set(err, EX_OSERR, "out of memory");
    for (size_t t = 0; t < threads; t++) {
        struct worker *w = &e->workers[t];
        w->ids = (struct mf_ids){.drain = pack, .context = w};
        w->width = e->width;
        if (mf_encoder_new(&w->encoder, e->tokenizer, err) < 0) return -1;
    }
    return mf_pool_new(&e->pool, (int)threads, err);
}

static void stop_workers(struct encoding *e) {
    for (int64_t t = 0; e->workers && t < e->common->threads; t++) {
        mf_encoder_free(e->workers[t].encoder);
        free(e->workers[t].ids.ids);
        free(e->workers[t].bytes);
    }
    free(e->workers);
    mf_pool_free(e->pool);
    free(e->encoded);
    mf_docs_batch_free(&e->batch);
}

static int encode(const char *tokenizer_path, struct encoding *e, const char *output, struct mf_err *err) {
    struct mf_config config; /* nothing of it is read here, but a wrong key is an error everywhere */
    struct mf_out *out;
    if (mf_config_load_stage(&config, &e->common->settings, "encode", err) < 0) return -1;
    if (mf_tokenizer_load(&e->tokenizer, tokenizer_path, err) < 0) return -1;
    e->width = (size_t)mf_tokens_header_of(e->tokenizer).width;
    int status = start_workers(e, err);
    if (status == 0) status = mf_out_open(&out, output, err);
    if (status == 0) status = mf_out_end(out, write_tokens(e, out, err), err);
    stop_workers(e);
    mf_tokenizer_free(e->tokenizer);
    return status;
}

static int run_encode(int argc, char **argv) {
    static const char notes[] =
        "The text of a document is text: by default it never yields a special token, whatever it spells. With\n"
        "--special=parse the exact spelling of one does; with --special=error it ends the program. Around each document\n"
        "comes what the tokenizer says: <bos> and <eos> of ours. Its added tokens that are not special are always found.\n"
        "\n"
        "examples:\n"
        "  mf-tokenize encode -t tokenizer.json -o train.mf train.docs\n"
        "  printf 'In the beginning' | mf-tokenize encode -t tokenizer.json --text | mf-cat\n"
        "\n"
        "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write,\n"
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
        {0}};
    const struct mf_usage usage = {"mf-tokenize encode", "documents to tokens",
                                   "mf-tokenize encode -t TOKENIZER [OPTION]... [DOCS]", options, notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !tokenizer) status = mf_err_set(&err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (status == 0) status = mf_options_operand(&operands, "docs stream", &e.path, &err);
    e.common = &common;
    e.special = (enum mf_special)special;
    if (status == 0) status = encode(tokenizer, &e, output, &err);
    return mf_options_end("mf-tokenize encode", status, &common, &operands, &err);
}

/* --- decode --- */

struct decoding {
    const struct mf_tokenizer *tokenizer;
    const char *path, *separator;
    bool docs;
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

static int decode_all(struct decoding *d, struct mf_tokens_reader *docs, struct mf_out *out,
                      struct mf_stream_writer *w, struct mf_err *err) {
    struct mf_token_doc doc;
    int more;
    for (uint64_t i = 0; (more = mf_tokens_next(docs, &doc, err)) > 0; i++) {
        d->text.size = 0;
        if (mf_decode(d->tokenizer, doc.tokens, doc.n, &d->text, err) < 0) return -1;
        if (w && put_text(d, &doc, w, err) < 0) return -1;
        if (!w && i > 0 && mf_out_write(out, d->separator, strlen(d->separator), err) < 0) return -1;
        if (!w && mf_out_write(out, d->text.bytes, d->text.size, err) < 0) return -1;
    }
    return more;
}

static int write_text(struct decoding *d, struct mf_out *out, struct mf_err *err) {
    struct mf_tokens_reader docs;
    struct mf_stream_writer *w = NULL;
    if (mf_tokens_open(&docs, d->path, err) < 0) return -1;
    int status = mf_tokens_check(&docs.header, mf_stream_name(docs.stream), d->tokenizer, err);
    if (status == 0 && d->docs) status = mf_stream_create(&w, out, "docs", 0, err);
    if (status == 0) status = decode_all(d, &docs, out, w, err);
    mf_tokens_close(&docs);
    return w ? mf_stream_end(w, status, err) : status;
}

static int run_decode(int argc, char **argv) {
    static const char notes[] =
        "Without --docs the texts are written as they are, with the separator between documents. Special tokens have no\n"
        "text.\n"
        "\n"
        "examples:\n"
        "  mf-tokenize decode -t tokenizer.json train.mf\n"
        "  mf-tokenize decode -t tokenizer.json --docs -o back.docs train.mf\n"
        "\n"
        "exit status: 0, or 64 wrong use, 65 malformed input or another tokenizer's tokens, 66 input cannot be opened, 73\n"
        "or 74 cannot write, 78 bad config.\n";
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    struct decoding d = {.separator = "\n"};
    struct mf_out *out;
    struct mf_tokenizer *tokenizer = NULL;
    struct mf_config config;
    const char *output = NULL, *path = NULL;
    const struct mf_option options[] = {
        {"tokenizer", 't', MF_OPT_STRING, &path, "FILE", "tokenizer.json", 0, 0},
        {"docs", 0, MF_OPT_FLAG, &d.docs, NULL, "write a docs stream instead of plain text", 0, 0},
        {"separator", 0, MF_OPT_STRING, &d.separator, "TEXT", "between documents (default: a line end)", 0,
         0},
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-tokenize decode", "tokens to text",
                                   "mf-tokenize decode -t TOKENIZER [OPTION]... [TOKENS]", options, notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0 && !path) status = mf_err_set(&err, EX_USAGE, "which tokenizer? (-t FILE)");
    if (status == 0) status = mf_options_operand(&operands, "tokens stream", &d.path, &err);
    if (status == 0) status = mf_config_load_stage(&config, &common.settings, "encode", &err);
    if (status == 0) status = mf_tokenizer_load(&tokenizer, path, &err);
    d.tokenizer = tokenizer;
    if (status == 0) status = mf_out_open(&out, output, &err);
    if (status == 0) status = mf_out_end(out, write_text(&d, out, &err), &err);
    free(d.text.bytes);
    mf_tokenizer_free(tokenizer);
    return mf_options_end("mf-tokenize decode", status, &common, &operands, &err);
}

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"train", "learn a byte-level BPE from documents", run_train},
        {"encode", "documents to tokens", run_encode},
        {"decode", "tokens to text", run_decode},
        {0},
    };
    return mf_command_run("mf-tokenize", "learn a tokenizer, and turn documents into tokens and back",
                          commands, argc, argv);
}
