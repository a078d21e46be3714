/* Packing windows. */
#include "model/rows.h"

#include <stdlib.h>
#include <string.h>

int mf_rows_new(struct mf_rows *rows, size_t capacity, struct mf_err *err) {
    *rows = (struct mf_rows){.capacity = capacity};
    rows->tokens = calloc(capacity + 1, sizeof *rows->tokens);
    rows->targets = calloc(capacity, sizeof *rows->targets);
    rows->start = calloc(capacity + 1, sizeof *rows->start);
    rows->seqs.start = rows->start;
    if (rows->tokens && rows->targets && rows->start) return 0;
    mf_rows_free(rows);
    return mf_err_set(err, EX_OSERR, "no memory for a batch of %zu tokens", capacity);
}

void mf_rows_free(struct mf_rows *rows) {
    free(rows->tokens);
    free(rows->targets);
    free(rows->start);
    *rows = (struct mf_rows){0};
}

void mf_rows_clear(struct mf_rows *rows) {
    rows->N = rows->seqs.count = 0;
    rows->scored = 0;
}

size_t mf_rows_add(struct mf_rows *rows, const struct mf_specials *specials, const uint32_t *tokens, size_t n,
                   size_t first, size_t end) {
    uint32_t *targets = rows->targets + rows->N;
    size_t scored = 0;
    if (n > rows->capacity - rows->N) abort();
    memmove(rows->tokens + rows->N, tokens, n * sizeof *tokens);
    for (size_t r = 0; r < n; r++) {
        bool target = r >= first && r < end && mf_specials_target(specials, tokens[r + 1]);
        targets[r] = target ? tokens[r + 1] : LOSS_IGNORE;
        scored += target;
    }
    rows->N += n;
    rows->start[++rows->seqs.count] = rows->N;
    rows->scored += scored;
    return scored;
}
