/* The operations of attention.c on a block of scores, [keys,ATTENTION_QUERIES]: a query is a lane, and what
 * is done to its row is done in all lanes at once. Rows of a head are packed without gaps, `wide` columns
 * each, a multiple of SMALL_COLUMNS; `keys` is a multiple of SMALL_ROWS. One thread, no pool. */
#ifndef MF_NN_ATTENTION_BLOCK_H
#define MF_NN_ATTENTION_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#define ATTENTION_QUERIES ((size_t)32)
#define ATTENTION_KEYS    ((size_t)64) /* at most */

/* --- packing --- */

/* to [padded,wide] = scale * the first rows and d columns of `from`, whose rows are ld apart, then zeros. */
void attention_pack_rows(float *to, size_t wide, size_t padded, const float *from, size_t ld, size_t rows,
                         size_t d, float scale);

/* to [d,ATTENTION_QUERIES] = the transposed rows [ATTENTION_QUERIES,wide] of a block. */
void attention_pack_columns(float *to, const float *rows, size_t wide, size_t d);

/* --- products --- */

/* scores [keys,ATTENTION_QUERIES] = rows columns, of rows [keys,wide] and columns [d,ATTENTION_QUERIES] */
void attention_scores(float *scores, const float *rows, const float *columns, size_t keys, size_t wide,
                      size_t d);

/* to [ATTENTION_QUERIES,wide] = scores^T rows, of rows [keys,wide], or adds that */
void attention_to_queries(float *to, const float *scores, const float *rows, size_t keys, size_t wide,
                          bool adds);

/* to [keys,wide] += scores rows, of rows [ATTENTION_QUERIES,wide] */
void attention_to_keys(float *to, const float *scores, const float *rows, size_t keys, size_t wide);

/* --- the causal mask --- */

/* How many keys of the block from `first` on any of the queries sees, whose own begin at key `i`. */
static inline size_t attention_keys_seen(size_t first, size_t i) {
    return i + ATTENTION_QUERIES - first < ATTENTION_KEYS ? i + ATTENTION_QUERIES - first : ATTENTION_KEYS;
}

/* Keys from `first` on: those behind a query get no weight. */
void attention_mask(float *scores, size_t first, size_t keys, size_t i);

/* --- softmax --- */

/* What is known of the rows of a block of queries after some blocks of keys; before the first the maximum is
 * -INFINITY and the sum 0. */
struct attention_online {
    float maximum[ATTENTION_QUERIES];
    float shrink[ATTENTION_QUERIES]; /* what the sums so far are worth beside a new maximum */
    double sum[ATTENTION_QUERIES];
};

/* scores become exp(score - maximum). */
void attention_softmax(struct attention_online *o, float *scores, size_t keys);

/* rows [ATTENTION_QUERIES,wide] = shrink * rows */
void attention_shrink_rows(float *rows, size_t wide, const float *shrink);

/* scores, dscores: S and dP become P = exp(S - lse) and dS = P * (dP - delta). */
void attention_softmax_backward(float *scores, float *dscores, const float *lse, const float *delta,
                                size_t keys);

#endif
