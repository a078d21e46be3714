/* Learning merges from more words than memory holds, exactly: the merges of mf_bpe_learn, whatever the
 * memory.
 *
 * The words are on disk as ids. A round reads them once to apply the merges of the round before and to count
 * all pairs, keeps the most frequent pairs, reads the words again and cuts them between all other pairs. What
 * is left are short segments, the same ones again and again, which fit into memory with their counts;
 * mf_bpe_learn goes on with them down to the first pair that was not kept.
 *
 * This changes nothing, because a pair is never more frequent than when its newer token was made: an
 * occurrence of (x, ab) was one of (x, a). So no pair that contains a cut comes before the pair that was cut,
 * neither by its count nor, of equal counts, by its ids, since those of newer tokens are higher. */
#ifndef MF_TEXT_BPE_ROUNDS_H
#define MF_TEXT_BPE_ROUNDS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "text/bpe.h"

struct mf_bpe_rounds;

/* memory: bytes that it may take, beside the longest word. Freed by mf_bpe_rounds_free. EX_OSERR. */
int mf_bpe_rounds_new(struct mf_bpe_rounds **rounds, size_t memory, struct mf_err *err);
void mf_bpe_rounds_free(struct mf_bpe_rounds *rounds); /* accepts NULL */

/* Adds a word that occurs `count` times, as ids. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int mf_bpe_rounds_add(struct mf_bpe_rounds *rounds, const uint32_t *ids, size_t n, uint64_t count,
                      struct mf_err *err);

/* As mf_bpe_learn, of pairs that occur at least `min_count` times. *n_rounds: that it took. Errors as
 * mf_bpe_rounds_add, and EX_DATAERR. */
int mf_bpe_rounds_learn(struct mf_bpe_rounds *rounds, uint32_t first_id, size_t n_tokens, uint64_t min_count,
                        mf_bpe_accept *accept, void *context, struct mf_bpe_merges *merges, size_t *n_rounds,
                        struct mf_err *err);

#endif
