/* What prefix_router.c (the numbers that a model's router comes to) and prefix_rows.c (where they are put)
 * share. */
#ifndef MF_EXPORT_PREFIX_INTERNAL_H
#define MF_EXPORT_PREFIX_INTERNAL_H

#include "export/prefix_router.h"

struct prefix_router {
    const struct mf_moe *model;
    size_t D, N, E, d, heads, group;                    /* key heads to add, query heads of each */
    size_t constant, is_bos, scores, means, bos_weight; /* the new columns; scores and means of E each */
    double score_unit;                                  /* times a score: up to 1 */
    double mean_unit;              /* times a mean, in the stream: of an embedding's size */
    double *query, *key, *bos_key; /* [d] before they are turned; BOS's in all */
};

/* Scores [E] of a token without what all experts have in common; zeros of one that says nothing. */
void prefix_token_scores(const struct prefix_router *router, size_t token, double *scores);

double prefix_mean_square(const float *x, size_t n);

#endif
