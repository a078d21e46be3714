/* Flat loops, written so that the compiler vectorises them: no branches, fixed lanes for sums. */
#include "nn/vector.h"

#include "nn/exp.h"
#include "base/simd.h"

#define LANES 16

MF_CLONES double vector_exp(float *y, const float *x, float shift, size_t n) {
    double total = 0;
    /* fp32 lanes over short blocks, blocks added in double: the order depends on n alone */
    for (size_t begin = 0; begin < n; begin += 1024) {
        size_t end = n - begin < 1024 ? n : begin + 1024, i = begin;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (size_t j = 0; j < LANES; j++) {
                float e = fast_exp(x[i + j] + shift);
                y[i + j] = e;
                lanes[j] += e;
            }
        for (; i < end; i++) {
            y[i] = fast_exp(x[i] + shift);
            lanes[0] += y[i];
        }
        for (size_t j = 0; j < LANES; j++) total += (double)lanes[j];
    }
    return total;
}

MF_CLONES float vector_max(const float *x, size_t n) {
    float lanes[LANES];
    size_t i = 0;
    for (size_t j = 0; j < LANES; j++) lanes[j] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    float best = lanes[0];
    for (size_t j = 1; j < LANES; j++) best = lanes[j] > best ? lanes[j] : best;
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

MF_CLONES double vector_dot(const float *x, const float *y, size_t n) {
    double lanes[LANES] = {0}, total = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += (double)x[i + j] * (double)y[i + j];
    for (size_t j = 0; i + j < n; j++) lanes[j] += (double)x[i + j] * (double)y[i + j];
    for (size_t j = 0; j < LANES; j++) total += lanes[j];
    return total;
}

/* Lanes of a row's sum in vector_rows, and how far ahead of the sums it asks for memory (a quarter of a
 * microsecond): what a processor reads ahead by itself ends at the border of a page. */
#define WIDE  64
#define AHEAD ((size_t)2048)

MF_CLONES void vector_rows(float *y, const float *w, size_t ld, const float *x, size_t rows, size_t n,
                           float beta) {
    for (size_t r = 0; r < rows; r++, w += ld) {
        float lanes[WIDE] = {0}, sum = 0;
        size_t i = 0;
        for (; i + WIDE <= n; i += WIDE) {
            for (size_t j = 0; j < WIDE; j += 16) __builtin_prefetch(w + i + j + AHEAD);
            for (size_t j = 0; j < WIDE; j++) lanes[j] += w[i + j] * x[i + j];
        }
        for (size_t j = 0; i + j < n; j++) lanes[j] += w[i + j] * x[i + j];
        for (size_t k = WIDE / 2; k > 0; k /= 2) /* pairwise */
            for (size_t j = 0; j < k; j++) lanes[j] += lanes[j + k];
        sum = lanes[0];
        y[r] = beta == 0 ? sum : sum + beta * y[r];
    }
}

MF_CLONES void vector_scale(float *x, float a, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= a;
}

MF_CLONES void vector_add(float *y, const float *x, float a, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

void softmax(float *x, size_t n) {
    if (n == 0) return;
    double sum = vector_exp(x, x, -vector_max(x, n), n);
    vector_scale(x, (float)(1 / sum), n);
}
