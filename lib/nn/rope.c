/* Rotary positions, by a table of cosines and sines that is made once. */
#include "nn/rope.h"

#include <math.h>
#include "base/simd.h"

void rope_frequencies(double *frequencies, size_t d, double theta) {
    for (size_t i = 0; i < d / 2; i++) frequencies[i] = pow(theta, -2.0 * (double)i / (double)d);
}

void rope_stretch(double *frequencies, size_t d, const struct rope_stretch *stretch) {
    for (size_t i = 0; i < d / 2; i++) {
        double turns = stretch->context * frequencies[i] / (2 * 3.14159265358979323846); /* in the context */
        double kept = (turns - stretch->low_factor) / (stretch->high_factor - stretch->low_factor);
        kept = kept < 0 ? 0 : kept > 1 ? 1 : kept;
        frequencies[i] *= kept + (1 - kept) / stretch->factor;
    }
}

void rope_fill(float *rows, const double *frequencies, size_t first, size_t count, size_t d) {
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < d / 2; i++) {
            double angle = (double)(first + n) * frequencies[i];
            rows[n * d + i] = (float)cos(angle);
            rows[n * d + d / 2 + i] = (float)sin(angle);
        }
}

struct rope {
    float *x;
    const float *table;
    const struct seqs *seqs;
    size_t ld, first_position, heads, d;
    float sign; /* of the angles */
};

static inline void turn(float *restrict a, float *restrict b, const float *restrict cosine,
                        const float *restrict sine, float sign, size_t half) {
    for (size_t i = 0; i < half; i++) {
        float s = sign * sine[i], x = a[i], y = b[i];
        a[i] = x * cosine[i] - y * s;
        b[i] = y * cosine[i] + x * s;
    }
}

MF_CLONES static void rope_row(float *x, const float *row, float sign, size_t heads, size_t d) {
    for (size_t h = 0; h < heads; h++) turn(x + h * d, x + h * d + d / 2, row, row + d / 2, sign, d / 2);
}

static void turn_part(void *context, size_t begin, size_t end, int thread) {
    const struct rope *k = context;
    size_t sequence = seqs_find(k->seqs, begin);
    (void)thread;
    for (size_t n = begin; n < end; n++) {
        while (n >= k->seqs->start[sequence + 1]) sequence++;
        size_t position = k->first_position + n - k->seqs->start[sequence];
        rope_row(k->x + n * k->ld, k->table + position * k->d, k->sign, k->heads, k->d);
    }
}

void rope_forward(struct mf_pool *pool, float *x, size_t ld, const float *table, const struct seqs *seqs,
                  size_t first_position, size_t heads, size_t d) {
    struct rope k = {x, table, seqs, ld, first_position, heads, d, 1};
    mf_pool_run(pool, seqs_rows(seqs), 1, turn_part, &k);
}

void rope_backward(struct mf_pool *pool, float *dx, size_t ld, const float *table, const struct seqs *seqs,
                   size_t first_position, size_t heads, size_t d) {
    struct rope k = {dx, table, seqs, ld, first_position, heads, d, -1};
    mf_pool_run(pool, seqs_rows(seqs), 1, turn_part, &k);
}
