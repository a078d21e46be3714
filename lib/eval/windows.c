/* Cutting documents into windows and packing them into batches. */
#include "eval/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct mf_windows {
    const struct mf_moe *moe;
    struct mf_dataset *dataset;
    const uint32_t *lengths;
    size_t S, E, stride;
    struct mf_token_doc doc; /* the document being cut, borrowed from the dataset */
    size_t domain;           /* its number */
    size_t position;         /* input of its next window */
    bool open, ended;        /* there is a document with more windows; there are no more documents */
    double *state;           /* [E+1] of mf_moe_token_scores, of the document so far */
    float *tail; /* [S,E] token_scores of the rows that the next window shares with the last one */
    size_t n_tail;
    struct mf_batch batch;
    struct mf_rows rows;
    float *token_scores;       /* [capacity of rows,E] */
    struct mf_window *windows; /* [capacity of rows] */
    char *ids;                 /* of the batch's documents, one after the other */
    size_t ids_used, ids_capacity;
};

int mf_windows_new(struct mf_windows **windows, const struct mf_moe *moe, struct mf_dataset *dataset,
                   size_t batch, size_t stride, const uint32_t *lengths, struct mf_err *err) {
    size_t S = moe->shape.S, E = moe->router.n_experts, rows;
    if (stride > S)
        return mf_err_set(err, EX_USAGE, "a stride of %zu is larger than the context of %s, %zu", stride,
                          moe->name, S);
    if (__builtin_mul_overflow(batch ? batch : 1, S, &rows))
        return mf_err_set(err, EX_USAGE, "a batch of %zu windows is too large", batch);
    struct mf_windows *w = calloc(1, sizeof *w);
    if (!w) mf_no_memory();
    *w = (struct mf_windows){.moe = moe, .dataset = dataset, .lengths = lengths, .S = S, .E = E};
    w->stride = stride ? stride : S;
    w->state = calloc(E + 1, sizeof *w->state);
    w->tail = reallocarray(NULL, S * E, sizeof *w->tail);
    w->token_scores = reallocarray(NULL, rows, E * sizeof *w->token_scores);
    w->windows = reallocarray(NULL, rows, sizeof *w->windows);
    if (mf_rows_new(&w->rows, rows, err) < 0 || !w->state || !w->tail || !w->token_scores || !w->windows) {
        mf_windows_free(w);
        return mf_err_set(err, EX_OSERR, "out of memory for batches of %zu windows", batch);
    }
    *windows = w;
    return 0;
}

/* Makes sure there is a document with a window left: 1, or 0 when all are done. */
static int open_document(struct mf_windows *w, struct mf_err *err) {
    while (!w->open) {
        if (w->ended) return 0;
        int got = mf_dataset_next(w->dataset, &w->doc, err);
        if (got < 0) return -1;
        w->ended = got == 0;
        if (got == 0 || w->doc.n < 2) continue;
        w->open = true;
        w->domain = mf_dataset_last_domain(w->dataset);
        w->position = w->n_tail = 0;
        memset(w->state, 0, (w->E + 1) * sizeof *w->state);
    }
    return 1;
}

/* Evidence of a window's rows: those it shares with the window before are copied, the rest follow the
 * document. */
static void window_token_scores(struct mf_windows *w, float *token_scores, size_t n) {
    size_t E = w->E, shared = w->n_tail;
    memcpy(token_scores, w->tail, shared * E * sizeof *token_scores);
    mf_moe_token_scores(w->moe, w->state, w->doc.tokens + w->position + shared, n - shared,
                        token_scores + shared * E);
    w->n_tail = n > w->stride ? n - w->stride : 0;
    memcpy(w->tail, token_scores + (n - w->n_tail) * E, w->n_tail * E * sizeof *token_scores);
}

static size_t keep_id(struct mf_windows *w) {
    size_t at = w->ids_used, need = at + w->doc.id_size;
    if (need > w->ids_capacity) {
        w->ids_capacity = 2 * need;
        w->ids = realloc(w->ids, w->ids_capacity);
        if (!w->ids) mf_no_memory();
    }
    if (w->doc.id_size) memcpy(w->ids + at, w->doc.id, w->doc.id_size);
    w->ids_used = need;
    return at;
}

/* Appends the open document's next window of n inputs to the batch. */
static void add_window(struct mf_windows *w, size_t n) {
    struct mf_rows *rows = &w->rows;
    size_t old = w->n_tail; /* rows that an earlier window has scored */
    const uint32_t *tokens = w->doc.tokens + w->position;
    struct mf_window window = {.domain = w->domain, .position = w->position};
    window_token_scores(w, w->token_scores + rows->N * w->E, n);
    window.scored = mf_rows_add(rows, &w->moe->specials, tokens, n, old, n);
    for (size_t r = rows->N - n; w->lengths && r < rows->N; r++)
        if (rows->targets[r] != LOSS_IGNORE) window.bytes += w->lengths[rows->targets[r]];
    w->position += w->stride;
    window.last = window.position + n + 1 >= w->doc.n;
    w->open = !window.last;
    window.id = keep_id(w);
    window.id_size = w->doc.id_size;
    w->windows[rows->seqs.count - 1] = window;
}

int mf_windows_next(struct mf_windows *w, const struct mf_batch **batch, struct mf_err *err) {
    mf_rows_clear(&w->rows);
    w->ids_used = 0;
    for (;;) {
        int got = open_document(w, err);
        if (got < 0) return -1;
        if (got == 0) break;
        size_t n = mf_window_inputs(w->doc.n, w->position, w->S);
        if (n > w->rows.capacity - w->rows.N) break;
        add_window(w, n);
    }
    w->batch = (struct mf_batch){.N = w->rows.N,
                                 .tokens = w->rows.tokens,
                                 .targets = w->rows.targets,
                                 .token_scores = w->token_scores,
                                 .seqs = w->rows.seqs,
                                 .windows = w->windows,
                                 .ids = w->ids};
    *batch = &w->batch;
    return w->rows.N > 0;
}

size_t mf_windows_memory(const struct mf_moe *moe, size_t batch) {
    const struct mf_windows *w = NULL;
    size_t row = MF_ROW_BYTES + moe->router.n_experts * sizeof *w->token_scores + sizeof *w->windows;
    return batch * moe->shape.S * row + moe->shape.S * moe->router.n_experts * sizeof *w->tail;
}

void mf_windows_free(struct mf_windows *w) {
    if (!w) return;
    free(w->state);
    free(w->tail);
    mf_rows_free(&w->rows);
    free(w->token_scores);
    free(w->windows);
    free(w->ids);
    free(w);
}
