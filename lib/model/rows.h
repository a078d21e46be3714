/* Documents cut into windows, and windows packed without padding: what training, evaluation and calibration
 * run a model on.
 *
 * A document t_0 .. t_n has n predictions: a row has the input t_j and the target t_{j+1}. A window is at
 * most S rows one behind the other, where S is the model's context. */
#ifndef MF_MODEL_ROWS_H
#define MF_MODEL_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "nn/loss.h"
#include "text/specials.h"

/* Inputs of the window that begins at `position` of a document of n tokens: at most S, and only those with a
 * token behind them; 0 when there is none. */
static inline size_t mf_window_inputs(size_t n, size_t position, size_t S) {
    size_t left = n > position + 1 ? n - 1 - position : 0;
    return left < S ? left : S;
}

/* Sequences of rows, one behind the other. */
struct mf_rows {
    size_t capacity, N; /* rows */
    uint32_t *tokens;   /* [capacity + 1] inputs */
    uint32_t *targets;  /* [capacity] LOSS_IGNORE where there is none */
    struct seqs seqs;
    size_t *start;   /* [capacity + 1] its memory */
    uint64_t scored; /* targets that are not LOSS_IGNORE */
};

/* Bytes for each row. */
#define MF_ROW_BYTES (2 * sizeof(uint32_t) + sizeof(size_t))

/* EX_OSERR. */
int mf_rows_new(struct mf_rows *rows, size_t capacity, struct mf_err *err);
void mf_rows_free(struct mf_rows *rows); /* accepts a zeroed one */
void mf_rows_clear(struct mf_rows *rows);

/* Appends a sequence with the inputs tokens[0 .. n-1], which may be where the rows have room for them. Scored
 * are rows from `first` on and before `end` (at most n) whose next token can be a target (text/specials.h).
 * Returns how many are. */
size_t mf_rows_add(struct mf_rows *rows, const struct mf_specials *specials, const uint32_t *tokens, size_t n,
                   size_t first, size_t end);

#endif
