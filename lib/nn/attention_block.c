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
        for (size_t r = 0; r < QUERIES; r++) to[c * QUERIES + r] = rows[r * wide + c];
}

/* --- products --- */

void attention_scores(float *scores, const float *rows, const float *columns, size_t keys, size_t wide,
                      size_t d) {
    small_product(&(struct small_product){.c = scores,
                                          .a = rows,
                                          .b = columns,
                                          .M = keys,
                                          .N = QUERIES,
                                          .K = d,
                                          .step_m = wide,
                                          .step_k = 1,
                                          .ld_b = QUERIES,
                                          .ld_c = QUERIES});
}

void attention_to_queries(float *to, const float *scores, const float *rows, size_t keys, size_t wide,
                          bool adds) {
    small_product(&(struct small_product){.c = to,
                                          .a = scores,
                                          .b = rows,
                                          .M = QUERIES,
                                          .N = wide,
                                          .K = keys,
                                          .step_m = 1,
                                          .step_k = QUERIES,
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
                                          .K = QUERIES,
                                          .step_m = QUERIES,
                                          .step_k = 1,
                                          .ld_b = wide,
                                          .ld_c = wide,
                                          .adds = true});
}

/* --- the causal mask --- */

MF_CLONES void attention_mask(float *scores, size_t first, size_t keys, size_t i) {
    for (size_t a = first < i ? i - first : 0; a < keys; a++)
        for (size_t q = 0; q < QUERIES; q++)
            if (first + a > i + q) scores[a * QUERIES + q] = -INFINITY;
}

/* --- softmax --- */

MF_CLONES void attention_softmax(struct attention_online *o, float *scores, size_t keys) {
    float maximum[QUERIES], total[QUERIES] = {0};
    memcpy(maximum, o->maximum, sizeof maximum);
    for (const float *s = scores; s < scores + keys * QUERIES; s += 4 * QUERIES)
        for (size_t q = 0; q < QUERIES; q++) {
            float a = s[q] > s[q + QUERIES] ? s[q] : s[q + QUERIES];
            float b = s[q + 2 * QUERIES] > s[q + 3 * QUERIES] ? s[q + 2 * QUERIES] : s[q + 3 * QUERIES];
            a = a > b ? a : b;
            maximum[q] = a > maximum[q] ? a : maximum[q];
        }
    for (float *s = scores; s < scores + keys * QUERIES; s += 4 * QUERIES)
        for (size_t q = 0; q < QUERIES; q++) {
            float a = fast_exp(s[q] - maximum[q]), b = fast_exp(s[q + QUERIES] - maximum[q]);
            float c = fast_exp(s[q + 2 * QUERIES] - maximum[q]),
                  d = fast_exp(s[q + 3 * QUERIES] - maximum[q]);
            s[q] = a;
            s[q + QUERIES] = b;
            s[q + 2 * QUERIES] = c;
            s[q + 3 * QUERIES] = d;
            total[q] += (a + b) + (c + d);
        }
    for (size_t q = 0; q < QUERIES; q++) {
        o->shrink[q] = fast_exp(o->maximum[q] - maximum[q]);
        o->maximum[q] = maximum[q];
        o->sum[q] = o->sum[q] * (double)o->shrink[q] + (double)total[q];
    }
}

void attention_shrink_rows(float *rows, size_t wide, const float *shrink) {
    for (size_t r = 0; r < QUERIES; r++)
        if (shrink[r] != 1) vector_scale(rows + r * wide, shrink[r], wide);
}

MF_CLONES void attention_softmax_backward(float *restrict scores, float *restrict dscores, const float *lse,
                                          const float *delta, size_t keys) {
    for (size_t a = 0; a < keys; a++, scores += QUERIES, dscores += QUERIES)
        for (size_t q = 0; q < QUERIES; q++) {
            scores[q] = fast_exp(scores[q] - lse[q]);
            dscores[q] = scores[q] * (dscores[q] - delta[q]);
        }
}
