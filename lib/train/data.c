/* Spools tokens and hands out windows of them. */
#include "train/data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
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
        int take = wanted(docs, &doc, partition, err);
        if (take < 0) more = -1;
        if (take < 0) break;
        if (take == 0) continue;
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

void mf_data_free(struct mf_data *data) {
    if (data->counts && data->fd >= 0) close(data->fd);
    free(data->counts);
    free(data->name);
    *data = (struct mf_data){.fd = -1};
}

int mf_window_batch_new(struct mf_window_batch *b, size_t max_windows, size_t S, struct mf_err *err) {
    *b = (struct mf_window_batch){.max_windows = max_windows, .S = S};
    b->tokens = calloc(max_windows * S + 1, sizeof *b->tokens);
    b->targets = calloc(max_windows * S, sizeof *b->targets);
    b->begins = calloc(max_windows * S + 1, sizeof *b->begins);
    b->first = calloc(max_windows + 1, sizeof *b->first);
    b->start = calloc(max_windows * S + 1, sizeof *b->start);
    if (b->tokens && b->targets && b->begins && b->first && b->start) return 0;
    mf_window_batch_free(b);
    return mf_err_set(err, EX_OSERR, "no memory for a batch of %zu windows", max_windows);
}

void mf_window_batch_free(struct mf_window_batch *b) {
    free(b->tokens);
    free(b->targets);
    free(b->begins);
    free(b->first);
    free(b->start);
    *b = (struct mf_window_batch){0};
}

size_t mf_data_rows(const struct mf_data *data, uint64_t index) {
    uint64_t left = data->tokens - 1 - index % data->windows * data->S;
    return left < data->S ? (size_t)left : data->S;
}

int mf_data_read(const struct mf_data *data, uint64_t index, struct mf_window_batch *b, struct mf_err *err) {
    uint64_t at = index % data->windows * data->S;
    size_t rows = mf_data_rows(data, index), first = b->first[b->windows];
    if (b->windows >= b->max_windows) abort();
    /* one token more than there are rows: the last row's target */
    if (mf_pread_all(data->fd, b->tokens + first, (rows + 1) * sizeof *b->tokens, at * sizeof *b->tokens,
                     "scratch file", err) < 0)
        return -1;
    for (size_t n = first; n <= first + rows; n++) {
        b->begins[n] = (b->tokens[n] & MARK) != 0;
        b->tokens[n] &= ~MARK;
        b->begins[n] ^= is_bos(data, b->tokens[n]);
    }
    for (size_t n = first; n < first + rows; n++) {
        bool target = !b->begins[n + 1] && mf_specials_target(&data->specials, b->tokens[n + 1]);
        b->targets[n] = target ? b->tokens[n + 1] : LOSS_IGNORE;
        b->targets_left += target;
    }
    b->first[++b->windows] = first + rows;
    return 0;
}

bool mf_slice(struct mf_window_batch *b, size_t max_rows, size_t *window, struct mf_lm_batch *slice) {
    size_t begin = *window, end = begin, row = b->first[begin];
    if (begin == b->windows) return false;
    while (end < b->windows && b->first[end + 1] - row <= max_rows) end++;
    size_t count = 0;
    for (size_t w = begin; w < end; w++)
        for (size_t n = b->first[w]; n < b->first[w + 1]; n++)
            if (n == b->first[w] || b->begins[n]) b->start[count++] = n - row;
    b->start[count] = b->first[end] - row;
    slice->tokens = b->tokens + row;
    slice->targets = b->targets + row;
    slice->seqs = (struct seqs){count, b->start};
    *window = end;
    return true;
}
