/* What applying merges to long words (bpe.c) and to enormous ones (bpe_long.c) share. */
#ifndef MF_TEXT_BPE_INTERNAL_H
#define MF_TEXT_BPE_INTERNAL_H

#include <stdbool.h>
#include "text/bpe.h"

/* A heap of candidate merges: the lowest value first, then the leftmost place. The caller has the room. */
struct candidate {
    uint64_t value;
    size_t at;
};
void heap_push(struct candidate *heap, size_t *n, struct candidate item);
struct candidate heap_pop(struct candidate *heap, size_t *n);

/* mf_bpe_apply for a word of very many symbols: 28 bytes of memory a symbol. */
int bpe_apply_enormous(const struct mf_pair_map *merges, uint32_t *ids, size_t *n, struct mf_err *err);

#endif
