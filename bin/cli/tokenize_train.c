/* mf-tokenize train: learns a byte-level BPE from documents. */
#include "cli/tokenize_commands.h"

#include <malloc.h>
#include <stdarg.h>
#include "base/memory.h"
#include "cli/options.h"
#include "text/tokenizer_train.h"

/* Longer words count no further: lines without a blank, as of base64, would take the vocabulary. */
#define MAX_WORD 16384

/* --max-memory, and of it: program and libraries, and the least for words. */
#define MEMORY         100000000
#define PROGRAM_MEMORY ((size_t)6 << 20)
#define LEAST_WORDS    ((size_t)2 << 20)
#define GOOD_WORDS     ((size_t)64 << 20) /* for them, where nobody says how much */

static const char notes[] =
    "The result depends on the counts of words only, not on the order of documents, --threads or --max-memory. A\n"
    "--sample takes the documents whose text has the lowest hashes, the same ones in any order and company. What\n"
    "--max-memory does not hold waits in nameless files in $TMPDIR, some 150 bytes a different word; learning then takes\n"
    "several rounds. Besides, mf-tokenize holds the longest document.\n"
    "\n"
    "examples:\n"
    "  mf-tokenize train --vocab-size 8000 -o tokenizer.json train.docs\n"
    "  mf-tokenize train -o tokenizer.json docs/train.*.mf\n"
    "  mf-docs my/texts | mf-tokenize train --max-memory 100M > tokenizer.json\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or no text, 66 input cannot be opened, 73 or 74 cannot\n"
    "write, 78 bad config.\n";

struct training {
    const struct mf_common *common;
    struct mf_words *words;
    const struct mf_strs *paths;
    const char *output;
    int64_t vocab_size, min_frequency, max_word;
    double sample; /* below 0: the config's */
    uint64_t max_memory;
    struct mf_words_learnt learnt;
};

/* One line for people that is no failure. */
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
    struct mf_err line;
    va_list args;
    va_start(args, format);
    mf_err_vset(&line, 0, format, args); /* cleans names that came from the input */
    va_end(args);
    mf_fail("mf-tokenize train", &line);
}

static void show_documents(void *progress, uint64_t documents) {
    mf_progress_show(progress, documents, NULL);
}

/* Says what was left out, and what came of it. */
static void report_training(const struct training *t, const struct mf_words_report *r) {
    if (r->cut)
        say("%llu words of more than %lld bytes were not counted beyond them; the first in document %s",
            (unsigned long long)r->cut, (long long)t->max_word, r->first_cut);
    if (r->counted < r->documents)
        say("learnt from a sample of %llu of %llu documents", (unsigned long long)r->counted,
            (unsigned long long)r->documents);
    if (t->learnt.rounds)
        say("more different words than --max-memory holds: learnt in %zu round%s", t->learnt.rounds,
            t->learnt.rounds == 1 ? "" : "s");
    if (t->learnt.tokens < (size_t)t->vocab_size)
        say("asked for %lld tokens, the text supports %zu", (long long)t->vocab_size, t->learnt.tokens);
    else
        say("%zu tokens from %.1f MB of text", t->learnt.tokens, (double)mf_words_bytes(t->words) / 1e6);
}

static int count_docs(struct training *t, const char *path, struct mf_pool *pool, size_t memory,
                      struct mf_words_report *report, struct mf_progress *progress, struct mf_err *err) {
    struct mf_stream_reader *docs;
    if (mf_stream_open(&docs, path, "docs", err) < 0) return -1;
    int status = mf_words_count(t->words, docs, pool, memory, report, show_documents, progress, err);
    mf_stream_close(docs);
    return status;
}

static int count_all(struct training *t, size_t memory, struct mf_words_report *report, struct mf_err *err) {
    const struct mf_strs *paths = t->paths;
    struct mf_pool *pool;
    struct mf_progress progress;
    if (mf_pool_new(&pool, (int)t->common->threads, err) < 0) return -1;
    mf_progress_begin(&progress, "mf-tokenize train", "documents", 0, t->common->progress, t->common->quiet);
    int status = paths->count == 0 ? count_docs(t, NULL, pool, memory, report, &progress, err) : 0;
    for (size_t i = 0; i < paths->count && status == 0; i++)
        status = count_docs(t, paths->items[i], pool, memory, report, &progress, err);
    mf_progress_end(&progress, report->documents);
    mf_pool_free(pool);
    return status;
}

static int count_words(struct training *t, size_t memory, struct mf_words_report *report,
                       struct mf_err *err) {
    int status = count_all(t, memory, report, err);
    if (status < 0 || mf_words_bytes(t->words) > 0) return status;
    return mf_err_set(err, EX_DATAERR, "%s: no text to learn from in %llu documents%s",
                      t->paths->count ? t->paths->items[0] : "standard input",
                      (unsigned long long)report->documents,
                      report->counted < report->documents ? " (a larger tokenizer.sample takes more)" : "");
}

/* What --max-memory leaves for the words. Without it a large vocabulary raises the limit. */
static int plan_words(const struct training *t, size_t *memory, struct mf_err *err) {
    size_t fixed = PROGRAM_MEMORY + mf_words_train_memory((size_t)t->vocab_size);
    size_t usual = MEMORY < fixed + GOOD_WORDS ? fixed + GOOD_WORDS : MEMORY;
    size_t limit = t->max_memory ? t->max_memory : usual;
    if (limit < fixed + LEAST_WORDS) return mf_memory_refuse("learning", fixed + LEAST_WORDS, limit, err);
    *memory = limit - fixed;
    mallopt(M_ARENA_MAX, 1);             /* what one thread frees is for all, */
    mallopt(M_MMAP_THRESHOLD, 64 << 10); /* and large blocks go back at once */
    return 0;
}

static int learn(struct training *t, size_t memory, struct mf_err *err) {
    struct mf_words_report report = {0};
    struct mf_out *out;
    if (count_words(t, memory, &report, err) < 0 || mf_out_open(&out, t->output, err) < 0) return -1;
    int status = mf_words_train(t->words, memory, (size_t)t->vocab_size, (uint64_t)t->min_frequency, out,
                                &t->learnt, err);
    if (mf_out_end(out, status, err) < 0) return -1;
    if (!t->common->quiet) report_training(t, &report);
    return 0;
}

static int train(void *request, const struct mf_common *common, struct mf_strs *operands,
                 struct mf_err *err) {
    struct training *t = request;
    struct mf_config config;
    size_t memory = 0;
    t->common = common;
    t->paths = operands;
    if (mf_config_load_stage(&config, &t->common->settings, "tokenizer", err) < 0) return -1;
    if (!t->vocab_size) t->vocab_size = config.tokenizer.vocab_size;
    if (!t->min_frequency) t->min_frequency = config.tokenizer.min_frequency;
    if (t->vocab_size < MF_VOCAB_MIN)
        return mf_err_set(err, EX_USAGE,
                          "--vocab-size is %lld, the smallest possible is %d: 256 bytes and 4 special tokens",
                          (long long)t->vocab_size, MF_VOCAB_MIN);
    if (plan_words(t, &memory, err) < 0) return -1;
    if (mf_words_new(&t->words, (size_t)t->max_word, memory, err) < 0) return -1;
    mf_words_sample(t->words, t->sample > 0 ? t->sample : config.tokenizer.sample);
    int status = learn(t, memory, err);
    mf_words_free(t->words);
    return status;
}

int mf_tokenize_train(int argc, char **argv) {
    struct training t = {.max_word = MAX_WORD, .sample = -1};
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_OUTPUT, &t.output, "FILE",
         "write tokenizer.json to FILE instead of standard output", 0, 0},
        {"vocab-size", 0, MF_OPT_INT, &t.vocab_size, "N", "tokens (default: tokenizer.vocab_size)", 1,
         1048576},
        {"min-frequency", 0, MF_OPT_INT, &t.min_frequency, "N",
         "a pair must occur this often (default: tokenizer.min_frequency)", 1, 1e15},
        {"sample", 0, MF_OPT_REAL, &t.sample, "X",
         "learn from this share of the documents, chosen by hash (default: tokenizer.sample)", 1e-9, 1},
        {"max-word", 0, MF_OPT_INT, &t.max_word, "BYTES",
         "count longer words only so far, 0: no limit (default: 16384)", 0, 1e15},
        {"max-memory", 0, MF_OPT_SIZE, &t.max_memory, "SIZE",
         "keep to it whatever is read; the rest goes to $TMPDIR (default: 100M)", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-tokenize train", "learn a byte-level BPE from documents",
                                   "mf-tokenize train [OPTION]... [DOCS]...", options, notes};
    return mf_options_run(&usage, train, &t, argc, argv);
}
