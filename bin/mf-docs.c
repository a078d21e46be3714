/* mf-docs: makes a stream of documents out of files.
 *     mf-docs [OPTION]... [PATH]... > docs */
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "cli/docs_summary.h"
#include "cli/options.h"
#include "config/config.h"
#include "text/select.h"
#include "text/split_files.h"

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
    "split.\n"
    "\n"
    "Memory does not grow with the input: what --max-memory does not hold waits in nameless files in $TMPDIR, about a\n"
    "third of the text and 0.7 KB a document. No limit changes the output. Besides, mf-docs holds the longest document.\n"
    "\n"
    "examples:\n"
    "  mf-docs my/texts --splits docs\n"
    "  mf-docs my/texts --domain-from folder --split train > train.docs\n"
    "  mf-docs dump.jsonl.zst --text-key body --id-key url --removed copies.jsonl -o all.docs\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write, 78 bad\n"
    "config.\n";

#define MEMORY            200000000          /* --max-memory */
#define PROGRAM_MEMORY    ((size_t)12 << 20) /* of it: program, libraries, buffers of reading and writing */
#define COPIES_MEMORY_MIN ((size_t)2 << 20)  /* for copies; less would do, slowly */
#define TOKEN_BYTES       4                  /* of text: what a token counts before there is a tokenizer */

enum { FROM_NOTHING, FROM_FOLDER };
enum { SPLIT_ALL, SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST };

struct work {
    struct mf_selection selection;
    struct mf_split_files files;
    struct mf_docs_summary summary;
    int64_t skip_bad;
    struct mf_progress progress;
};

static int write_document(void *context, const struct mf_doc *doc, enum mf_split split, struct mf_err *err) {
    struct work *w = context;
    return mf_split_files_add(&w->files, doc, split, err);
}

static int take(void *context, const struct mf_doc *doc, struct mf_err *err) {
    struct work *w = context;
    mf_progress_show(&w->progress, w->selection.read.documents, NULL);
    return mf_selection_add(&w->selection, doc, err);
}

static void note(struct mf_left_out *l, const char *name) {
    if (l->count++ < MF_LEFT_OUT_NAMED) mf_err_set(&l->first[l->count - 1], EX_DATAERR, "%s", name);
}

static void leave(void *context, enum mf_docs_left why, const char *name) {
    struct work *w = context;
    note(&w->summary.left[why], name);
}

static bool leave_line(void *context, const struct mf_err *why) {
    struct work *w = context;
    if (w->summary.bad.count >= (uint64_t)w->skip_bad) return false;
    note(&w->summary.bad, why->text);
    return true;
}

static int read_all(struct work *w, const struct mf_strs *paths, struct mf_docs_options *o,
                    struct mf_err *err) {
    int status = paths->count == 0 ? mf_docs_read(NULL, o, err) : 0;
    for (size_t i = 0; i < paths->count && status == 0; i++) status = mf_docs_read(paths->items[i], o, err);
    const struct mf_left_out *left = w->summary.left;
    const struct mf_left_out *l = &left[left[MF_DOCS_NO_TEXT].count ? MF_DOCS_NO_TEXT : MF_DOCS_OWN];
    if (status == 0 && w->selection.read.documents == 0 && l->count > 0)
        return mf_err_set(err, EX_DATAERR, "%s: %s, and nothing else is there", l->first[0].text,
                          l == &left[MF_DOCS_NO_TEXT] ? "no text (--all takes it)" : "ModularForge wrote it");
    return status < 0 ? -1 : mf_selection_end(&w->selection, err);
}

/* Where documents go. */
struct outputs {
    const char *file, *folder, *removed; /* folder: of the three splits */
    int split;
};

static int open_files(struct mf_split_files *files, const struct outputs *to, struct mf_err *err) {
    if (to->folder) return mf_split_files_open(files, to->folder, err);
    enum mf_split split = to->split == SPLIT_ALL ? MF_TRAIN : (enum mf_split)(to->split - 1);
    return mf_split_files_open_one(files, to->file, split, err);
}

static int write_all(struct work *w, const struct mf_strs *paths, struct mf_docs_options *o,
                     const struct outputs *to, struct mf_err *err) {
    struct mf_out **removed = &w->selection.removed, *list;
    if (to->removed && mf_out_open(removed, to->removed, err) < 0) return -1;
    if (open_files(&w->files, to, err) < 0 || read_all(w, paths, o, err) < 0) return -1;
    if (mf_split_files_complete(&w->files, err) < 0) return -1;
    list = *removed;
    *removed = NULL;
    if (list && mf_out_commit(list, err) < 0) return -1;
    return mf_split_files_commit(&w->files, err);
}

/* All outputs become real, or none. */
static int make(struct work *w, const struct mf_strs *paths, struct mf_docs_options *o,
                const struct outputs *to, struct mf_err *err) {
    int status = write_all(w, paths, o, to, err);
    mf_out_abandon(w->selection.removed);
    w->summary.written = w->files.written;
    mf_split_files_abandon(&w->files);
    return status;
}

/* What was asked for; below 0: the config's. */
struct request {
    struct mf_docs_options options;
    struct outputs to;
    int format, from;
    int64_t skip_bad, min_chars, max_chars, max_docs;
    double near_dup;
    uint64_t max_memory;
};

static int new_copies(struct mf_selection *s, double near, size_t memory, bool quiet, struct mf_err *err) {
    if (memory < PROGRAM_MEMORY + COPIES_MEMORY_MIN)
        return mf_memory_refuse("finding copies", PROGRAM_MEMORY + COPIES_MEMORY_MIN, memory, err);
    if (!quiet) mf_docs_plan_print(near, memory, memory - PROGRAM_MEMORY);
    return mf_copies_new(&s->copies, near, memory - PROGRAM_MEMORY, err);
}

/* What is not there is said before the plan. */
static int check_paths(const struct mf_strs *paths, struct mf_err *err) {
    for (size_t i = 0; i < paths->count; i++)
        if (strcmp(paths->items[i], "-") != 0 && access(paths->items[i], F_OK) < 0)
            return mf_err_sys(err, EX_NOINPUT, "%s", paths->items[i]);
    return 0;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *paths, struct mf_err *err) {
    struct request *q = request;
    const struct outputs *to = &q->to;
    struct mf_docs_options *o = &q->options;
    struct work w = {.skip_bad = q->skip_bad, .summary.all_splits = to->folder != NULL};
    struct mf_selection *s = &w.selection;
    struct mf_config config;
    if (to->folder && (to->file || to->split != SPLIT_ALL))
        return mf_err_set(err, EX_USAGE, "--splits writes all three, without --split and --output");
    if (mf_config_load_stage(&config, &common->settings, "docs", err) < 0 || check_paths(paths, err) < 0)
        return -1;
    *s = (struct mf_selection){
        .splitting = to->folder || to->split != SPLIT_ALL,
        .rule = {.fraction = {[MF_VAL] = config.docs.val_fraction, [MF_TEST] = config.docs.test_fraction},
                 .floor = TOKEN_BYTES * (uint64_t)config.docs.min_targets},
        .blocks = (uint64_t)config.docs.blocks,
        .min_chars = (uint64_t)(q->min_chars >= 0 ? q->min_chars : config.docs.min_chars),
        .max_chars = (uint64_t)(q->max_chars >= 0 ? q->max_chars : config.docs.max_chars),
        .max_docs = (uint64_t)(q->max_docs >= 0 ? q->max_docs : config.docs.max_docs),
        .context = &w,
        .take = write_document};
    double near = q->near_dup >= 0 ? q->near_dup : config.docs.near_dup;
    if (new_copies(s, near, q->max_memory, common->quiet, err) < 0) return -1;
    o->format = (enum mf_docs_format)q->format;
    o->domain_from_folder = q->from == FROM_FOLDER;
    o->context = &w;
    o->take = take;
    o->left = leave;
    o->bad = leave_line;
    mf_progress_begin(&w.progress, "mf-docs", "documents", 0, common->progress, common->quiet);
    int status = make(&w, paths, o, to, err);
    mf_progress_end(&w.progress, s->read.documents);
    mf_copies_free(s->copies);
    mf_selection_free(s);
    if (status == 0 && !common->quiet) mf_docs_summary_print(&w.summary, s);
    return status;
}

int main(int argc, char **argv) {
    struct request q = {.options = {.text_key = "text", .id_key = "id", .domain_key = "domain"},
                        .format = MF_DOCS_AUTO,
                        .from = FROM_NOTHING,
                        .min_chars = -1,
                        .max_chars = -1,
                        .max_docs = -1,
                        .near_dup = -1,
                        .max_memory = MEMORY};
    const struct mf_option options[] = {
        MF_OUTPUT_OPTION(&q.to.file),
        {"split", 0, MF_OPT_CHOICE, &q.to.split, "all|train|val|test", "only this split (default: all)", 0,
         0},
        {"splits", 0, MF_OPT_STRING, &q.to.folder, "DIR",
         "write DIR/train.mf, DIR/val.mf and DIR/test.mf; a file that would not change keeps its time", 0, 0},
        {"format", 0, MF_OPT_CHOICE, &q.format, "auto|text|jsonl|wikitext",
         "what the files are (default: auto)", 0, 0},
        {"all", 0, MF_OPT_FLAG, &q.options.all, NULL, "also read files that are not text", 0, 0},
        {"skip-bad", 0, MF_OPT_INT, &q.skip_bad, "N", "leave out up to N bad lines of JSON (default: 0)", 0,
         1e15},
        {"text-key", 0, MF_OPT_STRING, &q.options.text_key, "KEY", "of JSON lines (default: text)", 0, 0},
        {"id-key", 0, MF_OPT_STRING, &q.options.id_key, "KEY", "of JSON lines (default: id)", 0, 0},
        {"domain-key", 0, MF_OPT_STRING, &q.options.domain_key, "KEY", "of JSON lines (default: domain)", 0,
         0},
        {"domain", 0, MF_OPT_STRING, &q.options.domain, "NAME", "the domain of all documents", 0, 0},
        {"domain-from", 0, MF_OPT_CHOICE, &q.from, "nothing|folder",
         "folder: the first folder below PATH names the domain (default: nothing)", 0, 0},
        {"min-chars", 0, MF_OPT_INT, &q.min_chars, "N",
         "leave out shorter documents (default: docs.min_chars)", 0, 1e15},
        {"max-chars", 0, MF_OPT_INT, &q.max_chars, "N", "cut longer ones, 0: none (default: docs.max_chars)",
         0, 1e15},
        {"max-docs", 0, MF_OPT_INT, &q.max_docs, "N", "read at most N, 0: all (default: docs.max_docs)", 0,
         1e15},
        {"near-dup", 0, MF_OPT_REAL, &q.near_dup, "X",
         "Jaccard similarity of near copies, 0: keep them (default: docs.near_dup)", 0, 1},
        {"max-memory", 0, MF_OPT_SIZE, &q.max_memory, "SIZE",
         "keep to it whatever is read; the rest goes to $TMPDIR (default: 200M)", 0, 0},
        {"removed", 0, MF_OPT_STRING, &q.to.removed, "FILE",
         "list removed copies and what was kept, as JSON lines", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-docs", "make a stream of documents out of files",
                                   "mf-docs [OPTION]... [PATH]...", options, notes};
    return mf_options_run(&usage, run, &q, argc, argv);
}
