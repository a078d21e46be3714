/* A block's packing, products, mask and softmax. */
#include "nn/attention_block.h"

#include <math.h>
#include <string.h>
#include "base/simd.h"
#include "nn/exp.h"
#include "nn/small_product.h"
#include "nn/vector.h"

MF_FUSED

/* --- packing --- */

void attention_pack_rows(float *to, size_t wide, size_t padded, const float *from, size_t ld, size_t rows,
                         size_t d, float scale) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < d; c++) to[r * wide + c] = scale * from[r * ld + c];
        for (size_t c = d; c < wide; c++) to[r * wide + c] = 0;
    }
    memset(to + rows * wide, 0, (padded - rows) * wide * sizeof *to);
}

MF_CLONES void attention_pack_columns(float *to, const float *rows, size_t wide, size_t d) {
    for (size_t c = 0; c < d; c++)
        for (size_t r = 0; r < ATTENTION_QUERIES; r++) to[c * ATTENTION_QUERIES + r] = rows[r * wide + c];
}

/* --- products --- */

void attention_scores(float *scores, const float *rows, const float *columns, size_t keys, size_t wide,
                      size_t d) {
    small_product(&(struct small_product){.c = scores,
                                          .a = rows,
                                          .b = columns,
                                          .M = keys,
                                          .N = ATTENTION_QUERIES,
                                          .K = d,
                                          .step_m = wide,
                                          .step_k = 1,
                                          .ld_b = ATTENTION_QUERIES,
                                          .ld_c = ATTENTION_QUERIES});
}

void attention_to_queries(float *to, const float *scores, const float *rows, size_t keys, size_t wide,
                          bool adds) {
    small_product(&(struct small_product){.c = to,
                                          .a = scores,
                                          .b = rows,
                                          .M = ATTENTION_QUERIES,
                                          .N = wide,
                                          .K = keys,
                                          .step_m = 1,
                                          .step_k = ATTENTION_QUERIES,
                                          .ld_b = wide,
                                          .ld_c = wide,
                                          .adds = adds});
}

void attention_to_keys(float *to, const float *scores, const float *rows, size_t keys, size_t wide) {
    small_product(&(struct small_product){.c = to,
                                          .a = scores,
                                          .b = rows,
                                          .M = keys,
                                          .N = wide,
                                          .K = ATTENTION_QUERIES,
                                          .step_m = ATTENTION_QUERIES,
                                          .step_k = 1,
                                          .ld_b = wide,
                                          .ld_c = wide,
                                          .adds = true});
}

/* --- the causal mask --- */

MF_CLONES void attention_mask(float *scores, size_t first, size_t keys, size_t i) {
    for (size_t a = first < i ? i - first : 0; a < keys; a++)
        for (size_t q = 0; q < ATTENTION_QUERIES; q++)
            if (first + a > i + q) scores[a * ATTENTION_QUERIES + q] = -INFINITY;
}

/* --- softmax --- */

MF_CLONES void attention_softmax(struct attention_online *o, float *scores, size_t keys) {
    float maximum[ATTENTION_QUERIES], total[ATTENTION_QUERIES] = {0};
    memcpy(maximum, o->maximum, sizeof maximum);
    for (const float *s = scores; s < scores + keys * ATTENTION_QUERIES; s += 4 * ATTENTION_QUERIES)
        for (size_t q = 0; q < ATTENTION_QUERIES; q++) {
            float a = s[q] > s[q + ATTENTION_QUERIES] ? s[q] : s[q + ATTENTION_QUERIES];
            float b = s[q + 2 * ATTENTION_QUERIES] > s[q + 3 * ATTENTION_QUERIES]
                          ? s[q + 2 * ATTENTION_QUERIES]
                          : s[q + 3 * ATTENTION_QUERIES];
            a = a > b ? a : b;
            maximum[q] = a > maximum[q] ? a : maximum[q];
        }
    for (float *s = scores; s < scores + keys * ATTENTION_QUERIES; s += 4 * ATTENTION_QUERIES)
        for (size_t q = 0; q < ATTENTION_QUERIES; q++) {
            float a = fast_exp(s[q] - maximum[q]), b = fast_exp(s[q + ATTENTION_QUERIES] - maximum[q]);
            float c = fast_exp(s[q + 2 * ATTENTION_QUERIES] - maximum[q]),
                  d = fast_exp(s[q + 3 * ATTENTION_QUERIES] - maximum[q]);
            s[q] = a;
            s[q + ATTENTION_QUERIES] = b;
            s[q + 2 * ATTENTION_QUERIES] = c;
            s[q + 3 * ATTENTION_QUERIES] = d;
            total[q] += (a + b) + (c + d);
        }
    for (size_t q = 0; q < ATTENTION_QUERIES; q++) {
        o->shrink[q] = fast_exp(o->maximum[q] - maximum[q]);
        o->maximum[q] = maximum[q];
        o->sum[q] = o->sum[q] * (double)o->shrink[q] + (double)total[q];
    }
}

void attention_shrink_rows(float *rows, size_t wide, const float *shrink) {
    for (size_t r = 0; r < ATTENTION_QUERIES; r++)
        if (shrink[r] != 1) vector_scale(rows + r * wide, shrink[r], wide);
}

MF_CLONES void attention_softmax_backward(float *restrict scores, float *restrict dscores, const float *lse,
                                          const float *delta, size_t keys) {
    for (size_t a = 0; a < keys; a++, scores += ATTENTION_QUERIES, dscores += ATTENTION_QUERIES)
        for (size_t q = 0; q < ATTENTION_QUERIES; q++) {
            scores[q] = fast_exp(scores[q] - lse[q]);
            dscores[q] = scores[q] * (dscores[q] - delta[q]);
        }
}
