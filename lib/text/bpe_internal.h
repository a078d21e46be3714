/* What applying merges (bpe.c, bpe_long.c) and learning them (bpe_learn.c) share. */
#ifndef MF_TEXT_BPE_INTERNAL_H
#define MF_TEXT_BPE_INTERNAL_H

#include <stdbool.h>
#include "text/bpe.h"

/* A heap of candidate merges: the lowest value first, of equal ones the lowest `at`, the place of a pair or
 * the pair itself. The caller has the room. */
struct candidate {
    uint64_t value, at;
};
void heap_push(struct candidate *heap, size_t *n, struct candidate item);
struct candidate heap_pop(struct candidate *heap, size_t *n);

/* mf_bpe_apply for a word of very many symbols: 28 bytes of memory a symbol. */
int bpe_apply_enormous(const struct mf_pair_map *merges, uint32_t *ids, size_t *n, struct mf_err *err);

#endif
