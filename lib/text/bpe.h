/* Byte-pair encoding on ids: the merges of a vocabulary, applied to words and learnt from them. */
#ifndef MF_TEXT_BPE_H
#define MF_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* A pair of ids as one key. */
static inline uint64_t mf_pair(uint32_t left, uint32_t right) {
    return (uint64_t)left << 32 | right;
}

/* Pairs to values: open addressing, grows at two thirds full. Zeroed at first. */
struct mf_pair_map {
    uint64_t *keys; /* UINT64_MAX: empty */
    uint64_t *values;
    size_t capacity, count;
};
int mf_pair_map_put(struct mf_pair_map *map, uint64_t key, uint64_t value, struct mf_err *err);
const uint64_t *mf_pair_map_get(const struct mf_pair_map *map,
                                uint64_t key);   /* NULL when absent; borrowed until a put */
void mf_pair_map_clear(struct mf_pair_map *map); /* forgets all pairs, and keeps the memory */
void mf_pair_map_free(struct mf_pair_map *map);

/* Working memory of mf_bpe_apply; zeroed at first. */
struct mf_bpe_work {
    void *memory;
    size_t capacity;
};
void mf_bpe_work_free(struct mf_bpe_work *work);

/* Applies merges to ids [*n] in place: the pair of lowest rank first, the leftmost of equal ones (Sennrich et
 * al. 2016). `merges` maps a pair to rank << 32 | new id. Short words by rescanning, long ones by a heap,
 * enormous ones by lists: n log n. */
int mf_bpe_apply(const struct mf_pair_map *merges, struct mf_bpe_work *work, uint32_t *ids, size_t *n,
                 struct mf_err *err);

/* --- learning --- */

/* Before the first word and behind each. */
#define MF_BPE_END UINT32_MAX

/* Called before a pair becomes token `id`: 1 takes it, 0 refuses the pair for good, -1 is out of memory. */
typedef int mf_bpe_accept(void *context, uint32_t left, uint32_t right, uint32_t id);

/* The pairs that were merged, in order. Zeroed at first; `pairs` is freed by free(). */
struct mf_bpe_merges {
    uint64_t *pairs;
    size_t count, capacity;
};

/* Where learning ends: only pairs that come before this one are taken, those that occur more often, or as
 * often and are lower. {min - 1, 0} takes what occurs at least `min` times. */
struct mf_bpe_floor {
    uint64_t count, pair;
};
static inline bool mf_bpe_before(uint64_t count, uint64_t pair, struct mf_bpe_floor floor) {
    return count != floor.count ? count > floor.count : pair < floor.pair;
}

/* Learns up to `n_tokens` tokens, most frequent pair first, of equal ones the pair with the lower ids; only
 * pairs before the floor. New tokens get the ids first_id, first_id + 1, ...
 *   symbols [size]  the words as ids below first_id, MF_BPE_END around each word; rewritten
 *   counts          of each word
 * Time n log n in `size`, whatever the words' lengths; memory in proportion to it. EX_OSERR; EX_DATAERR. */
int mf_bpe_learn(uint32_t *symbols, size_t size, const uint64_t *counts, uint32_t first_id, size_t n_tokens,
                 struct mf_bpe_floor floor, mf_bpe_accept *accept, void *context,
                 struct mf_bpe_merges *merges, struct mf_err *err);

#endif
