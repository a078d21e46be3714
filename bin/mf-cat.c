/* mf-cat: shows streams, bundles and models.
 *     mf-cat [--table | --stats] [--head N] [--follow] [-o FILE] [FILE]...
 *     mf-cat --join [-o FILE] STREAM...
 *     mf-cat --provenance FILE [FILE]... */
#include "cli/join.h"
#include "cli/options.h"
#include "cli/provenance.h"
#include "cli/show.h"

static const char notes[] =
    "The file type is detected from the first bytes: a stream (documents, tokens, metrics, statistics), a bundle (shared\n"
    "backbone, expert, checkpoint; plain or zstd), a safetensors model or a GGUF file. Without FILE, or with -, standard\n"
    "input is read; a model cannot come through a pipe. The output is one line of JSON for the stream's header, the\n"
    "bundle's manifest, the model's metadata or the GGUF file's keys, then one for each record or tensor. A file that is\n"
    "shown to its end has been checked to its end: counts, hashes and trailer.\n"
    "\n"
    "--stats reads a stream of any size in fixed memory: for each field its range, mean and sum, of lengths (bytes, tokens)\n"
    "also percentiles within 0.8%, and how many documents and bytes or tokens each of up to 4096 domains has.\n"
    "\n"
    "--join writes one stream with the records of all FILEs, which must have the same header: documents, or tokens of one\n"
    "tokenizer, that were made in parts.\n"
    "\n"
    "--provenance FILE shows where an assembled model comes from: its tokenizer, backbone and experts with their hashes,\n"
    "and the fingerprints of the tokens that each was trained and validated on. Bundles, tokenizers and tokens streams that\n"
    "follow are shown beside their place; one without a place in the model is an error (65).\n"
    "\n"
    "examples:\n"
    "  mf-cat --head 3 docs.mf                 the first three documents\n"
    "  mf-cat metrics.mf | jq .loss            the losses of a training\n"
    "  mf-cat --follow --table metrics.mf      watch a training\n"
    "  mf-cat --stats train.mf                 what a corpus is: lengths and domains\n"
    "  mf-cat --stats model.safetensors        mean, spread and NaNs of every tensor\n"
    "  mf-cat --join -o train.mf train.0.mf train.1.mf\n"
    "  mf-cat --provenance model.safetensors expert.*.tar parts/part.*.mp\n"
    "  mf-cat --table model.gguf               keys and tensors of a file for llama.cpp\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input, 66 input cannot be opened, 73 or 74 cannot write.\n";

/* Shows one file; says in front which, when there are several and the form has no place for it. */
static int show(struct mf_out *out, const char *path, const struct mf_show *form, bool several,
                struct mf_err *err) {
    if (several && form->form != MF_SHOW_JSON && mf_out_printf(out, err, "==> %s <==\n", path) < 0) return -1;
    return mf_show_file(out, path, form, err);
}

/* Shows all files: one bad file is reported, the others are shown all the same. Returns the exit status. */
static int show_all(const struct mf_strs *files, const struct mf_show *form, const char *output) {
    struct mf_err err = {0};
    struct mf_out *out;
    if (mf_out_open(&out, output, &err) < 0) return mf_fail("mf-cat", &err);
    int status = 0;
    for (size_t i = 0; i < files->count; i++) {
        if (show(out, files->items[i], form, files->count > 1, &err) == 0) continue;
        int failure = mf_fail("mf-cat", &err);
        if (status == 0) status = failure;
        if (failure == EX_IOERR) break;
    }
    if (status && output)
        mf_out_abandon(out); /* a file is complete or not there */
    else if (mf_out_commit(out, &err) < 0 && status != EX_IOERR)
        status = mf_fail("mf-cat", &err);
    return status;
}

struct request {
    struct mf_show form;
    bool table, stats, joins;
    const char *output, *model; /* model: of --provenance */
};

static int show_provenance(const struct request *q, const struct mf_strs *files, struct mf_err *err) {
    struct mf_out *out;
    if (q->table || q->stats || q->form.follow || q->form.head >= 0)
        return mf_err_set(err, EX_USAGE, "--provenance has no other form than its own");
    if (mf_out_open(&out, q->output, err) < 0) return -1;
    return mf_out_end(out, mf_provenance(out, q->model, (const char *const *)files->items, files->count, err),
                      err);
}

static int join(const struct request *q, const struct mf_strs *files, struct mf_err *err) {
    struct mf_out *out;
    if (q->table || q->stats || q->form.follow || q->form.head >= 0)
        return mf_err_set(err, EX_USAGE, "--join writes a stream, which has no other form");
    if (files->count == 0) return mf_err_set(err, EX_USAGE, "--join of which streams?");
    if (mf_out_open(&out, q->output, err) < 0) return -1;
    return mf_out_end(out, mf_join(out, files, err), err);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *files, struct mf_err *err) {
    struct request *q = request;
    (void)common;
    if (q->model && q->joins) return mf_err_set(err, EX_USAGE, "--join and --provenance exclude each other");
    if (q->model) return show_provenance(q, files, err);
    if (q->joins) return join(q, files, err);
    if (q->table && q->stats) return mf_err_set(err, EX_USAGE, "--table and --stats exclude each other");
    if (q->form.follow && files->count > 1)
        return mf_err_set(err, EX_USAGE, "--follow takes one file, not %zu", files->count);
    q->form.form = q->table ? MF_SHOW_TABLE : q->stats ? MF_SHOW_STATS : MF_SHOW_JSON;
    if (files->count == 0) mf_strs_add(files, "-");
    return show_all(files, &q->form, q->output);
}

int main(int argc, char **argv) {
    struct request q = {.form.head = -1};
    const struct mf_option options[] = {
        {"table", 't', MF_OPT_FLAG, &q.table, NULL, "a table for people instead of JSON", 0, 0},
        {"stats", 's', MF_OPT_FLAG, &q.stats, NULL,
         "sizes and values: range, mean, spread, percentiles, domains", 0, 0},
        {"head", 'n', MF_OPT_INT, &q.form.head, "N",
         "only the first N records or tensors; the rest is not read", 0, 1e18},
        {"follow", 'f', MF_OPT_FLAG, &q.form.follow, NULL,
         "wait for more of a stream that is being written, until its trailer", 0, 0},
        {"join", 0, MF_OPT_FLAG, &q.joins, NULL, "write one stream of the records of several", 0, 0},
        {"provenance", 0, MF_OPT_STRING, &q.model, "FILE",
         "the components of a model and what they were trained on, beside the FILEs", 0, 0},
        MF_OUTPUT_OPTION(&q.output),
        {0},
    };
    const struct mf_usage usage = {"mf-cat", "show streams, bundles and models",
                                   "mf-cat [OPTION]... [FILE]...", options, notes};
    return mf_options_run(&usage, run, &q, argc, argv);
}
