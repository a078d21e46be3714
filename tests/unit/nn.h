/* What the tests of kernels share: random arrays, twins in double, and central differences. */
#ifndef TESTS_NN_H
#define TESTS_NN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "nn/loss.h"
#include "base/pool.h"
#include "base/rng.h"

#define MOST_THREADS 4 /* that results are compared for */

static inline struct mf_pool *make_pool(int threads) {
    struct mf_pool *pool;
    struct mf_err err;
    assert_int_equal(mf_pool_new(&pool, threads, &err), 0);
    return pool;
}

/* n normal numbers; the same seed gives the same ones. */
static inline float *make_random(size_t n, uint64_t seed) {
    struct mf_rng rng;
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    mf_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = (float)mf_rng_normal(&rng);
    return x;
}

static inline float *make_zeros(size_t n) {
    float *x = calloc(n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

/* An output as it may be found: not a number, so that what reads it shows. */
static inline float *make_poison(size_t n) {
    float *x = make_zeros(n);
    for (size_t i = 0; i < n; i++) x[i] = NAN;
    return x;
}

static inline void free_all(void *const *items, size_t n) {
    for (size_t i = 0; i < n; i++) free(items[i]);
}
#define FREE_ALL(...) free_all((void *const[]){__VA_ARGS__}, sizeof((void *[]){__VA_ARGS__}) / sizeof(void *))

/* Every how many weights one is compared to central differences: all of them, or under valgrind, where that
 * takes minutes, a sample. */
static inline size_t difference_stride(void) {
    const char *stride = getenv("MF_STRIDE");
    return stride ? (size_t)atoi(stride) : 1;
}

static inline double *to_double(const float *x, size_t n) {
    double *y = malloc((n + 1) * sizeof *y);
    assert_non_null(y);
    for (size_t i = 0; i < n; i++) y[i] = (double)x[i];
    return y;
}

/* Each value within `tolerance` of the expected, relative to the largest expected one. */
static inline void assert_close(const char *what, const float *got, const double *expected, size_t n,
                                double tolerance) {
    double largest = 1e-6;
    for (size_t i = 0; i < n; i++)
        if (fabs(expected[i]) > largest) largest = fabs(expected[i]);
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - expected[i]) <= tolerance * largest))
            fail_msg("%s[%zu] is %g, expected %g", what, i, (double)got[i], expected[i]);
}

/* A scalar function of an array, for central differences. */
typedef double scalar_fn(const void *context);

/* `gradient` [n] against central differences of `f` in x [n]: the norm of the difference under 1e-3 of the
 * norm. */
static inline void assert_gradient(const char *what, const float *gradient, double *x, size_t n, scalar_fn *f,
                                   const void *context) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double old = x[i], step = 1e-5;
        x[i] = old + step;
        double up = f(context);
        x[i] = old - step;
        double down = f(context);
        x[i] = old;
        double expected = (up - down) / (2 * step);
        difference += ((double)gradient[i] - expected) * ((double)gradient[i] - expected);
        size += expected * expected;
    }
    if (!(sqrt(difference) <= 1e-3 * sqrt(size) + 1e-7))
        fail_msg("%s: gradient differs by %g of %g", what, sqrt(difference), sqrt(size));
}

static inline double weighted_sum(const double *y, const double *weights, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += y[i] * weights[i];
    return sum;
}

/* losses [N] of `logits` [N,V], taken in by P columns at a time. */
static inline void losses_in_pieces(struct mf_pool *pool, double *losses, const float *logits,
                                    const uint32_t *targets, size_t N, size_t V, size_t P) {
    float *piece = make_zeros(N * P), *maximum = make_zeros(N), *at_target = make_zeros(N);
    double *sum = calloc(N, sizeof *sum);
    struct online_softmax l = {maximum, at_target, sum};
    for (size_t v = 0; v < V; v += P) {
        size_t columns = V - v < P ? V - v : P;
        for (size_t n = 0; n < N; n++)
            memcpy(piece + n * columns, logits + n * V + v, columns * sizeof *piece);
        cross_entropy_chunk(pool, &l, piece, targets, v, N, columns, NULL, 0);
    }
    cross_entropy_losses(&l, losses, targets, N);
    free(piece), free(maximum), free(at_target), free(sum);
}

/* What `run` computes and returns (new, *size floats) is the same again for each number of threads, and its
 * first *fixed floats are the same for all of them. */
static inline void assert_same_bytes(float *(*run)(int threads, size_t *size, size_t *fixed), int most) {
    size_t size, fixed;
    float *one = run(1, &size, &fixed);
    for (size_t i = 0; i < size; i++) assert_true(isfinite(one[i]));
    for (int threads = 1; threads <= most; threads++) {
        float *first = run(threads, &size, &fixed);
        for (int again = 0; again < 3; again++) {
            float *second = run(threads, &size, &fixed);
            assert_memory_equal(first, second, size * sizeof *first);
            free(second);
        }
        assert_memory_equal(one, first, fixed * sizeof *one);
        free(first);
    }
    free(one);
}

/* Values beside those that a kernel was given, `from` .. ld-1 of each row, are as they were. */
static inline void assert_beside(const float *x, const double *before, size_t N, size_t ld, size_t from) {
    for (size_t n = 0; n < N; n++)
        for (size_t i = from; i < ld; i++) assert_true((double)x[n * ld + i] == before[n * ld + i]);
}

#endif
