/* Spools tokens and hands out windows of them. */
#include "train/data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/memory.h"
#include "base/strings.h"
#include "io/file.h"
#include "text/tokens.h"

/* Is the document one of those asked for? 1, 0 or -1. */
static int wanted(const struct mf_tokens_reader *docs, const struct mf_token_doc *doc, int64_t partition,
                  struct mf_err *err) {
    if (partition < 0) return 1;
    if (doc->partition < 0)
        return mf_err_set(err, EX_DATAERR, "%s: record %llu has no partition (mf-partition --label adds it)",
                          mf_stream_name(docs->stream), (unsigned long long)mf_stream_count(docs->stream));
    return doc->partition == partition;
}

/* In the scratch file and the hash a token has this bit where it begins a document without being BOS, or is
 * BOS and begins none: tokens with a BOS before each document stand there as they are. */
#define MARK ((uint32_t)1 << 31)

static bool is_bos(const struct mf_data *data, uint32_t token) {
    return (int64_t)token == data->specials.bos;
}

/* Counts a document's tokens and targets, and marks the tokens. */
static void take_in(struct mf_data *data, uint32_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        data->counts[ids[i]]++;
        data->targets += i > 0 && mf_specials_target(&data->specials, ids[i]);
        if ((i == 0) != is_bos(data, ids[i])) ids[i] |= MARK;
    }
    data->tokens += count;
    data->documents++;
}

static int spool(struct mf_data *data, struct mf_tokens_reader *docs, int64_t partition, struct mf_err *err) {
    struct mf_token_doc doc;
    XXH64_state_t *state = XXH64_createState();
    if (!state) return mf_err_set(err, EX_OSERR, "out of memory");
    XXH64_reset(state, 0);
    int more;
    while ((more = mf_tokens_next(docs, &doc, err)) > 0) {
        if ((more = wanted(docs, &doc, partition, err)) < 0) break;
        if (more == 0) continue;
        take_in(data, docs->ids, doc.n);
        XXH64_update(state, docs->ids, doc.n * sizeof *docs->ids);
        more = mf_write_all(data->fd, docs->ids, doc.n * sizeof *docs->ids, "scratch file", err);
        if (more < 0) break;
    }
    data->hash = XXH64_digest(state);
    XXH64_freeState(state);
    return more < 0 ? -1 : 0;
}

static int nothing_to_predict(const struct mf_data *data, struct mf_err *err) {
    return mf_err_set(
        err, EX_DATAERR, "%s: nothing to predict: of %llu token%s in %llu document%s each is %s", data->name,
        (unsigned long long)data->tokens, data->tokens == 1 ? "" : "s", (unsigned long long)data->documents,
        data->documents == 1 ? "" : "s", "the first of its document, padding or a boundary");
}

int mf_data_load(struct mf_data *data, const char *path, int64_t partition, size_t S,
                 const struct mf_specials *otherwise, struct mf_err *err) {
    struct mf_tokens_reader docs;
    *data = (struct mf_data){.fd = -1, .S = S};
    if (mf_tokens_open(&docs, path, err) < 0) return -1;
    data->vocab = docs.header.vocab;
    data->specials = docs.header.specials;
    if (!data->specials.given && otherwise) data->specials = *otherwise;
    memcpy(data->tokenizer, docs.header.tokenizer, sizeof data->tokenizer);
    data->name = mf_format("%s", mf_stream_name(docs.stream));
    data->counts = calloc(data->vocab, sizeof *data->counts);
    data->fd = data->counts ? mf_scratch_open(err) : mf_err_set(err, EX_OSERR, "out of memory");
    int status = data->fd < 0 ? -1 : spool(data, &docs, partition, err);
    mf_tokens_close(&docs);
    bool nothing = status == 0 && data->targets == 0;
    if (nothing) status = nothing_to_predict(data, err);
    if (status < 0) {
        mf_data_free(data);
        data->nothing = nothing;
        return -1;
    }
    data->windows = (data->tokens - 1 + S - 1) / S;
    return 0;
}

void mf_data_widen(struct mf_data *data, size_t vocab) {
    if (vocab <= data->vocab) return;
    data->counts = reallocarray(data->counts, vocab, sizeof *data->counts);
    if (!data->counts) mf_no_memory();
    memset(data->counts + data->vocab, 0, (vocab - data->vocab) * sizeof *data->counts);
    data->vocab = vocab;
}

void mf_data_free(struct mf_data *data) {
    if (data->counts && data->fd >= 0) close(data->fd);
    free(data->counts);
    free(data->name);
    *data = (struct mf_data){.fd = -1};
}

int mf_window_batch_new(struct mf_window_batch *b, size_t max_windows, size_t S, struct mf_err *err) {
    *b = (struct mf_window_batch){.max_windows = max_windows};
    if (mf_rows_new(&b->rows, max_windows * S, err) < 0) return -1;
    b->first = calloc(max_windows + 1, sizeof *b->first);
    b->start = calloc(max_windows * S + 1, sizeof *b->start);
    if (b->first && b->start) return 0;
    mf_window_batch_free(b);
    return mf_err_set(err, EX_OSERR, "no memory for a batch of %zu windows", max_windows);
}

void mf_window_batch_free(struct mf_window_batch *b) {
    mf_rows_free(&b->rows);
    free(b->first);
    free(b->start);
    *b = (struct mf_window_batch){0};
}

void mf_window_batch_clear(struct mf_window_batch *b) {
    b->windows = 0;
    mf_rows_clear(&b->rows);
}

size_t mf_data_rows(const struct mf_data *data, uint64_t index) {
    return mf_window_inputs(data->tokens, index % data->windows * data->S, data->S);
}

/* Does a token of the scratch file begin a document? Takes the mark away. */
static bool begins(const struct mf_data *data, uint32_t *token) {
    bool marked = *token & MARK;
    *token &= ~MARK;
    return marked != is_bos(data, *token);
}

int mf_data_read(const struct mf_data *data, uint64_t index, struct mf_window_batch *b, struct mf_err *err) {
    uint64_t at = index % data->windows * data->S;
    size_t n = mf_data_rows(data, index), begin = 0;
    uint32_t *tokens = b->rows.tokens + b->rows.N;
    if (b->windows >= b->max_windows) abort();
    /* one token more than there are rows: the last row's target */
    if (mf_pread_all(data->fd, tokens, (n + 1) * sizeof *tokens, at * sizeof *tokens, "scratch file", err) <
        0)
        return -1;
    for (size_t i = 0; i <= n; i++) {
        bool next = begins(data, &tokens[i]);
        if (i == 0 || (i < n && !next)) continue;
        /* a sequence ends with the window or with its document, whose last token predicts nothing */
        mf_rows_add(&b->rows, &data->specials, tokens + begin, i - begin, 0, i - begin - next);
        begin = i;
    }
    b->first[++b->windows] = b->rows.seqs.count;
    return 0;
}

bool mf_slice(struct mf_window_batch *b, size_t max_rows, size_t *window, struct mf_lm_batch *slice) {
    size_t begin = *window, end = begin;
    const size_t *start = b->rows.start + b->first[begin]; /* of the slice's sequences, and of all rows */
    if (begin == b->windows) return false;
    while (end < b->windows && b->rows.start[b->first[end + 1]] - *start <= max_rows) end++;
    size_t count = b->first[end] - b->first[begin];
    for (size_t i = 0; i <= count; i++) b->start[i] = start[i] - *start;
    slice->tokens = b->rows.tokens + *start;
    slice->targets = b->rows.targets + *start;
    slice->seqs = (struct seqs){count, b->start};
    *window = end;
    return true;
}
