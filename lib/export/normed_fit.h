/* What a rotary head can say of distances where queries and keys are normed (Qwen3): each is divided by its
 * rms and multiplied by a gain for each column, so all have one length, and a head's scores have a bound.
 *
 * Where queries are the same at every position, and keys are, a score depends on the distance D of the two
 * alone (export/score_fit.h). Softmax does not see a constant added to all scores, and a token whose weight
 * is next to nothing may have any low score: so what is fitted are the weights, not a line of scores. */
#ifndef MF_EXPORT_NORMED_FIT_H
#define MF_EXPORT_NORMED_FIT_H

#include <stddef.h>

struct normed_head {
    size_t d, S;                  /* columns; the distances are 0 <= D < S */
    const double *frequencies;    /* [d/2] radians a position */
    const float *q_gain, *k_gain; /* [d] any sign; columns whose gain is next to 0 are not used */
    double norm_eps;              /* added to the mean square */
    double bos_weight, decay;     /* the weights wanted: BOS's, and decay^D of a token; both above 0 */
};

/* Finds a query, a key of tokens and one of BOS, each [d] and with the mean square 1 - norm_eps, which its
 * norm leaves as it is (before the gains). Attention then weighs tokens and BOS as wanted, up to a factor
 * that all have. Returns by how much that is off at most: the sum of the tokens' errors as a share of the
 * tokens' weight, over the contexts of 1 to S tokens the largest one, and of BOS's weight. HUGE_VAL where
 * there is no solution. */
double normed_fit(const struct normed_head *head, double *query, double *key, double *bos_key);

#endif
