/* Flat loops, written so that the compiler vectorises them: no branches, fixed lanes for sums. */
#include "nn/vector.h"

#include "nn/exp.h"
#include "nn/lanes.h"
#include "base/simd.h"

MF_FUSED

#define DOUBLES 16 /* lanes of sums in double */

static inline float sum_block(const float *x, size_t n) {
    float lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += x[i + j];
    for (size_t j = 0; i + j < n; j++) lanes[j] += x[i + j];
    return lanes_sum(lanes);
}

MF_CLONES double vector_exp(float *y, const float *x, float shift, size_t n) {
    const size_t block = 1024; /* still in the first cache when it is summed up */
    double total = 0;
    for (size_t begin = 0; begin < n; begin += block) {
        size_t end = n - begin < block ? n : begin + block;
        MF_IVDEP
        for (size_t i = begin; i < end; i++) y[i] = fast_exp(x[i] + shift);
        total += (double)sum_block(y + begin, end - begin);
    }
    return total;
}

MF_CLONES float vector_max(const float *x, size_t n) {
    float lanes[LANES];
    size_t i = 0;
    for (size_t j = 0; j < LANES; j++) lanes[j] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (size_t j = 0; i + j < n; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (size_t k = LANES / 2; k > 0; k /= 2)
        for (size_t j = 0; j < k; j++) lanes[j] = lanes[j + k] > lanes[j] ? lanes[j + k] : lanes[j];
    return lanes[0];
}

MF_CLONES double vector_dot(const float *x, const float *y, size_t n) {
    double lanes[DOUBLES] = {0}, total = 0;
    size_t i = 0;
    for (; i + DOUBLES <= n; i += DOUBLES)
        for (size_t j = 0; j < DOUBLES; j++) lanes[j] += (double)x[i + j] * (double)y[i + j];
    for (size_t j = 0; i + j < n; j++) lanes[j] += (double)x[i + j] * (double)y[i + j];
    for (size_t j = 0; j < DOUBLES; j++) total += lanes[j];
    return total;
}

/* How far ahead of the sums vector_rows asks for memory (a quarter of a microsecond): what a processor reads
 * ahead by itself ends at the border of a page. */
#define AHEAD ((size_t)2048)

MF_CLONES void vector_rows(float *y, const float *w, size_t ld, const float *x, size_t rows, size_t n,
                           float beta) {
    for (size_t r = 0; r < rows; r++, w += ld) {
        float lanes[LANES] = {0};
        size_t i = 0;
        for (; i + LANES <= n; i += LANES) {
            for (size_t j = 0; j < LANES; j += 16) __builtin_prefetch(w + i + j + AHEAD);
            for (size_t j = 0; j < LANES; j++) lanes[j] += w[i + j] * x[i + j];
        }
        for (size_t j = 0; i + j < n; j++) lanes[j] += w[i + j] * x[i + j];
        float sum = lanes_sum(lanes);
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
