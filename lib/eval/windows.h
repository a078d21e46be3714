/* Documents cut into windows, and windows packed into batches for one forward pass.
 *
 * A document t_0 .. t_n has n predictions: row j has the input t_j and the target t_{j+1}. Window k takes the
 * inputs from k * stride on, at most S of them; where windows overlap (stride < S) a prediction counts in the
 * first window that has it. So every token but a document's first is scored exactly once. A prediction at row
 * r of its window sees r + 1 tokens: with stride S between 1 and S, with a smaller stride at least S - stride
 * + 1 after the first window. What is no target is never
 * scored (text/specials.h). The router's token_scores runs over the whole document. */
#ifndef MF_EVAL_WINDOWS_H
#define MF_EVAL_WINDOWS_H

#include <stdbool.h>
#include "eval/dataset.h"
#include "model/moe.h"
#include "model/rows.h"

struct mf_window {
    size_t domain;
    size_t position;    /* of its first input in the document */
    size_t scored;      /* targets that count */
    uint64_t bytes;     /* of text in them; 0 without lengths */
    bool last;          /* of its document */
    size_t id, id_size; /* the document's id is at batch->ids + id; not zero-terminated */
};

struct mf_batch {
    size_t N;                        /* rows */
    const uint32_t *tokens;          /* [N] inputs */
    const uint32_t *targets;         /* [N]; LOSS_IGNORE where nothing is scored */
    const float *token_scores;       /* [N,E] */
    struct seqs seqs;                /* one sequence a window */
    const struct mf_window *windows; /* [seqs.count] */
    const char *ids;                 /* of the windows' documents */
};

struct mf_windows;

/* Cuts the documents of `dataset` (borrowed) for `moe` (borrowed) into batches of at most batch * S rows.
 * stride 0 means S. `lengths` [V]: bytes of each token's text, or NULL (borrowed). EX_OSERR; EX_USAGE: a
 * stride above S. */
int mf_windows_new(struct mf_windows **windows, const struct mf_moe *moe, struct mf_dataset *dataset,
                   size_t batch, size_t stride, const uint32_t *lengths, struct mf_err *err);

/* The next batch, borrowed until the next call: 1, or 0 at the end, or -1 (as mf_dataset_next). */
int mf_windows_next(struct mf_windows *windows, const struct mf_batch **batch, struct mf_err *err);

size_t mf_windows_memory(const struct mf_moe *moe, size_t batch); /* bytes of one */
void mf_windows_free(struct mf_windows *windows);                 /* accepts NULL */

#endif
