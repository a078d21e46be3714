/* Tokens to train on: a stream, spooled to a scratch file and cut into windows.
 *
 * The documents stand one behind the other. Window i has the inputs i*S .. i*S+S-1 and as targets the tokens
 * behind them, but none across the end of a document. Each document begins a sequence of its own, whether a
 * BOS says so or not, so no document sees another. What else is no target: text/specials.h. */
#ifndef MF_TRAIN_DATA_H
#define MF_TRAIN_DATA_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "model/lm.h"
#include "model/rows.h"
#include "text/specials.h"

struct mf_data {
    size_t vocab, S;
    char tokenizer[65];
    char *name;         /* of the stream, for messages; owned */
    uint64_t documents; /* read */
    uint64_t tokens;    /* in them */
    uint64_t windows;   /* at least 1 */
    uint64_t targets;   /* of them, at least 1 */
    uint64_t hash;      /* XXH64 of the tokens in order, and of where documents begin that no BOS shows */
    int64_t *counts;    /* [V] of each token, BOS and EOS included */
    struct mf_specials specials;
    bool nothing; /* it was not loaded, since there is nothing to predict */
    int fd;       /* the scratch file: 4 bytes a token */
};

/* Reads a tokens stream (NULL: standard input). `partition` >= 0 takes only documents with that number in the
 * field `partition`. S is the length of a window. `otherwise` are the special tokens of a stream that names
 * none (NULL: there are none). EX_NOINPUT; EX_DATAERR: malformed, no field `partition`, or nothing to
 * predict. Zeroed before, freed by mf_data_free. */
int mf_data_load(struct mf_data *data, const char *path, int64_t partition, size_t S,
                 const struct mf_specials *otherwise, struct mf_err *err);

/* The vocabulary of a model that has more rows than the tokens' own: no token is one of the others. */
void mf_data_widen(struct mf_data *data, size_t vocab);

void mf_data_free(struct mf_data *data); /* of a zeroed one too */

/* Bytes for each row of a batch. */
#define MF_WINDOW_ROW (MF_ROW_BYTES + sizeof(size_t))

/* Memory for the windows of one batch. */
struct mf_window_batch {
    size_t max_windows, windows; /* windows: filled so far */
    struct mf_rows rows;         /* [max_windows * S] */
    size_t *first;               /* [max_windows + 1] sequence with which each window begins */
    size_t *start;               /* [max_windows * S + 1] for slices, filled by mf_slice */
};
int mf_window_batch_new(struct mf_window_batch *b, size_t max_windows, size_t S, struct mf_err *err);
void mf_window_batch_free(struct mf_window_batch *b);
void mf_window_batch_clear(struct mf_window_batch *b);

/* Rows of window `index` (taken modulo the number of windows): S, or fewer at the end of the data. */
size_t mf_data_rows(const struct mf_data *data, uint64_t index);

/* Appends window `index` (modulo again) of `data`. EX_IOERR. */
int mf_data_read(const struct mf_data *data, uint64_t index, struct mf_window_batch *b, struct mf_err *err);

/* The next windows from *window on that fit into max_rows rows, as sequences: false when none is left. The
 * slice is borrowed from `b`. */
bool mf_slice(struct mf_window_batch *b, size_t max_rows, size_t *window, struct mf_lm_batch *slice);

#endif
