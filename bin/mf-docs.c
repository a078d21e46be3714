/* mf-docs: makes a stream of documents out of files.
 *     mf-docs [OPTION]... [PATH]... > docs */
#include <string.h>
#include <unistd.h>
#include "cli/docs_request.h"
#include "config/config.h"
#include "io/file.h"

static const char notes[] =
    "A PATH is a folder (with everything below it), a text file, JSON lines (.jsonl) or WikiText (a line ` = Title = `\n"
    "begins a document). Files may be compressed (gzip, bzip2, xz, zstd, lz4) or in tar or zip archives. Without PATH,\n"
    "or with -, mf-docs reads standard input. It refuses input that unpacks to more than 32 MiB and more than 250\n"
    "times its size.\n"
    "\n"
    "Copies of earlier documents are removed before the split, so no test or validation document has a copy in the\n"
    "training split. Exact copies may differ in white space at line ends; near copies are found by Jaccard similarity\n"
    "(--near-dup).\n"
    "\n"
    "A hash of the document's text chooses its split, so adding documents does not move the others. Small corpora are\n"
    "the exception: validation and test take more documents until each has docs.min_targets tokens, and a document\n"
    "larger than 1/docs.blocks of the text is first cut into blocks (formats/docs.md). --max-chars cuts after the\n"
    "split. In a corpus that grows such a document would be whole again, in one split: --cuts remembers it.\n"
    "\n"
    "Memory does not grow with the input: what --max-memory does not hold waits in nameless files in $TMPDIR, about\n"
    "half of the text and 0.7 KB a document. No limit changes the output. Besides, mf-docs holds the longest document.\n"
    "\n"
    "With --shard I/N several jobs read an input together, each a run of its files; --merge takes what all of them wrote\n"
    "in the place of the files. The documents are those of one reading, whatever N (formats/docs.md).\n"
    "\n"
    "examples:\n"
    "  mf-docs my/texts --splits docs\n"
    "  mf-docs my/texts --domain-from folder --split train > train.docs\n"
    "  mf-docs --shard 0/2 -o 0.mf my/texts; mf-docs --shard 1/2 -o 1.mf my/texts; mf-docs --merge --splits docs 0.mf 1.mf\n"
    "  mf-docs dump.jsonl.zst --text-key body --id-key url --removed copies.jsonl -o all.docs\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write, 78 bad\n"
    "config.\n";

#define MEMORY      200000000 /* --max-memory */
#define TOKEN_BYTES 4         /* of text: what a token counts before there is a tokenizer */

enum { FROM_NOTHING, FROM_FOLDER };

static int check_request(const struct mf_docs_request *q, const struct mf_strs *paths, struct mf_err *err) {
    if (q->folder && (q->output || q->split))
        return mf_err_set(err, EX_USAGE, "--splits writes all three, without --split and --output");
    if (q->removed && strcmp(q->removed, "-") == 0 && !q->folder && !q->output)
        return mf_err_set(err, EX_USAGE, "standard output is both --output and --removed");
    if (q->job && (q->merges || q->removed || q->folder || q->split || q->cuts))
        return mf_err_set(err, EX_USAGE, "--shard only reads: copies and splits are for --merge to decide");
    if (q->merges && paths->count == 0)
        return mf_err_set(err, EX_USAGE, "which shards? (what mf-docs --shard I/N wrote, all of them)");
    return q->folder ? mf_folder_check(q->folder, err) : 0;
}

/* What is not there is said before the plan. */
static int check_paths(const struct mf_strs *paths, struct mf_err *err) {
    for (size_t i = 0; i < paths->count; i++)
        if (strcmp(paths->items[i], "-") != 0 && access(paths->items[i], F_OK) < 0)
            return mf_err_sys(err, EX_NOINPUT, "%s", paths->items[i]);
    return 0;
}

/* What the command line leaves open, below 0, is the config's. */
static int load(struct mf_docs_request *q, const struct mf_common *common, struct mf_err *err) {
    struct mf_config config;
    if (mf_config_load_stage(&config, &common->settings, "docs", err) < 0) return -1;
    if (q->min_chars < 0) q->min_chars = config.docs.min_chars;
    if (q->max_chars < 0) q->max_chars = config.docs.max_chars;
    if (q->max_docs < 0) q->max_docs = config.docs.max_docs;
    if (q->near_dup < 0) q->near_dup = config.docs.near_dup;
    q->blocks = config.docs.blocks;
    q->rule = (struct mf_split_rule){
        .fraction = {[MF_VAL] = config.docs.val_fraction, [MF_TEST] = config.docs.test_fraction},
        .floor = TOKEN_BYTES * (uint64_t)config.docs.min_targets};
    q->common = common;
    return 0;
}

struct choices {
    struct mf_docs_request request;
    int format, from;
};

static int run(void *context, const struct mf_common *common, struct mf_strs *paths, struct mf_err *err) {
    struct choices *c = context;
    struct mf_docs_request *q = &c->request;
    q->options.format = (enum mf_docs_format)c->format;
    q->options.domain_from_folder = c->from == FROM_FOLDER;
    if (check_request(q, paths, err) < 0 || load(q, common, err) < 0 || check_paths(paths, err) < 0)
        return -1;
    return q->job ? mf_docs_write_shard(q, paths, err) : mf_docs_select(q, paths, err);
}

static const struct choices defaults = {
    .request = {.options = {.text_key = "text", .id_key = "id", .domain_key = "domain"},
                .min_chars = -1,
                .max_chars = -1,
                .max_docs = -1,
                .near_dup = -1,
                .max_memory = MEMORY},
    .format = MF_DOCS_AUTO,
    .from = FROM_NOTHING,
};

/* clang-format off */
#define KEY_OPTION(name, target) \
    {name "-key", 0, MF_OPT_STRING, target, "KEY", "of JSON lines (default: " name ")", 0, 0}
#define COUNT_OPTION(name, target, help) {name, 0, MF_OPT_INT, target, "N", help, 0, 1e15}
/* clang-format on */

int main(int argc, char **argv) {
    struct choices c = defaults;
    struct mf_docs_request *q = &c.request;
    const struct mf_option options[] = {
        MF_OUTPUT_OPTION(&q->output),
        {"split", 0, MF_OPT_CHOICE, &q->split, "all|train|val|test", "only this split (default: all)", 0, 0},
        {"splits", 0, MF_OPT_STRING, &q->folder, "DIR",
         "write DIR/train.mf, DIR/val.mf and DIR/test.mf; a file that would not change keeps its time", 0, 0},
        {"format", 0, MF_OPT_CHOICE, &c.format, "auto|text|jsonl|wikitext",
         "what the files are (default: auto)", 0, 0},
        {"all", 0, MF_OPT_FLAG, &q->options.all, NULL, "also read files that are not text", 0, 0},
        COUNT_OPTION("skip-bad", &q->max_bad, "leave out up to N bad lines of JSON (default: 0)"),
        KEY_OPTION("text", &q->options.text_key),
        KEY_OPTION("id", &q->options.id_key),
        KEY_OPTION("domain", &q->options.domain_key),
        {"domain", 0, MF_OPT_STRING, &q->options.domain, "NAME", "the domain of all documents", 0, 0},
        {"domain-from", 0, MF_OPT_CHOICE, &c.from, "nothing|folder",
         "folder: the first folder below PATH names the domain (default: nothing)", 0, 0},
        COUNT_OPTION("min-chars", &q->min_chars, "leave out shorter documents (default: docs.min_chars)"),
        COUNT_OPTION("max-chars", &q->max_chars, "cut longer ones, 0: none (default: docs.max_chars)"),
        COUNT_OPTION("max-docs", &q->max_docs, "read at most N, 0: all (default: docs.max_docs)"),
        {"near-dup", 0, MF_OPT_REAL, &q->near_dup, "X",
         "Jaccard similarity of near copies, 0: keep them (default: docs.near_dup)", 0, 1},
        {"shard", 0, MF_OPT_STRING, &q->job, "I/N",
         "read shard I (from 0) of the files, cut into N of about equal bytes, for --merge", 0, 0},
        {"merge", 0, MF_OPT_FLAG, &q->merges, NULL,
         "the PATHs are all the shards of an input; --splits writes DIR/train.0.mf ... of them", 0, 0},
        {"max-memory", 0, MF_OPT_SIZE, &q->max_memory, "SIZE",
         "keep to it whatever is read; the rest goes to $TMPDIR (default: 200M)", 0, 0},
        {"cuts", 0, MF_OPT_OUTPUT, &q->cuts, "FILE",
         "cut the documents that FILE lists as they were cut before; list there what else is cut", 0, 0},
        {"removed", 0, MF_OPT_OUTPUT, &q->removed, "FILE",
         "list removed copies and what was kept, as JSON lines", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-docs", "make a stream of documents out of files",
                                   "mf-docs [OPTION]... [PATH]...", options, notes};
    return mf_options_run(&usage, run, &c, argc, argv);
}
