/* Rotary positions: against a naive loop in double, its backward against central
 * differences of that loop, at odd sizes; far
 * out, in parts, and stretched. */
#include "nn.h"
#include "rope_table.h"

struct rope_twin {
    const double *x, *weights; /* [N,ld] */
    const struct seqs *seqs;
    size_t ld, first, heads, d;
    double theta;
    double *y; /* [N,ld] */
};

static double rope_twin(const void *context) {
    const struct rope_twin *t = context;
    size_t N = t->seqs->start[t->seqs->count], half = t->d / 2;
    memcpy(t->y, t->x, N * t->ld * sizeof *t->y);
    for (size_t s = 0; s < t->seqs->count; s++)
        for (size_t n = t->seqs->start[s]; n < t->seqs->start[s + 1]; n++)
            for (size_t h = 0; h < t->heads; h++)
                for (size_t i = 0; i < half; i++) {
                    double position = (double)(t->first + n - t->seqs->start[s]);
                    double angle = position / pow(t->theta, (double)(2 * i) / (double)t->d);
                    size_t a = n * t->ld + h * t->d + i, b = a + half;
                    t->y[a] = t->x[a] * cos(angle) - t->x[b] * sin(angle);
                    t->y[b] = t->x[a] * sin(angle) + t->x[b] * cos(angle);
                }
    return weighted_sum(t->y, t->weights, N * t->ld);
}

static void check_rope(const size_t *start, size_t count, size_t first, size_t heads, size_t d, int threads) {
    struct mf_pool *pool = make_pool(threads);
    struct seqs seqs = {count, start};
    size_t N = start[count], ld = (heads + 1) * d + 1, size = N * ld;
    float *x = make_random(size, 1), *dx = make_random(size, 2), *table = make_table(first + N, d, 100);
    double *x2 = to_double(x, size), *w2 = to_double(dx, size), *y2 = calloc(size, sizeof *y2);
    struct rope_twin t = {x2, w2, &seqs, ld, first, heads, d, 100, y2};
    rope_forward(pool, x, ld, table, &seqs, first, heads, d);
    rope_twin(&t);
    assert_close("x", x, y2, size, 1e-6);
    assert_beside(x, x2, N, ld, heads * d);
    rope_backward(pool, dx, ld, table, &seqs, first, heads, d);
    assert_gradient("dx", dx, x2, size, rope_twin, &t);
    rope_backward(pool, x, ld, table, &seqs, first, heads, d);
    assert_close("back", x, x2, size, 1e-6);
    FREE_ALL(x, dx, table, x2, w2, y2);
    mf_pool_free(pool);
}

static void test_rope(void **state) {
    (void)state;
    const size_t packed[] = {0, 3, 3, 4, 11}, one[] = {0, 1}; /* an empty sequence too */
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_rope(packed, 4, 0, 1, 2, threads);
        check_rope(packed, 4, 0, 5, 6, threads);
        check_rope(packed, 4, 1000, 3, 10, threads);
        check_rope(one, 1, 0, 4, 2, threads);
        check_rope(one, 1, 77, 3, 34, threads); /* one more row behind a cache */
        check_rope(packed, 4, 5, 2, 64, threads);
    }
}

/* Angles far out: within fp32's rounding of cosines and sines in long double. */
static void test_rope_far(void **state) {
    (void)state;
    enum { D = 128, FIRST = 131072 - 64, COUNT = 64 };
    const double thetas[] = {1e4, 5e5};
    for (size_t k = 0; k < 2; k++) {
        double frequencies[D / 2];
        float *rows = make_poison((size_t)COUNT * D);
        rope_frequencies(frequencies, D, thetas[k]);
        rope_fill(rows, frequencies, FIRST, COUNT, D);
        for (size_t n = 0; n < COUNT; n++)
            for (size_t i = 0; i < D / 2; i++) {
                long double angle =
                    (FIRST + n) * powl((long double)thetas[k], -2.0L * (long double)i / (long double)D);
                assert_true(fabsl((long double)rows[n * D + i] - cosl(angle)) < 4e-8L);
                assert_true(fabsl((long double)rows[n * D + D / 2 + i] - sinl(angle)) < 4e-8L);
            }
        free(rows);
    }
}

/* A table filled in parts is that filled at once; turned vectors' products depend on their distance alone. */
static void test_rope_distance(void **state) {
    (void)state;
    enum { S = 50, D = 10, HALF = D / 2 };
    struct mf_pool *pool = make_pool(1);
    const size_t start[] = {0, 1};
    const struct seqs one = {1, start};
    double frequencies[HALF], expected[S];
    float *table = make_table(S, D, 1e4), *parts = make_poison(S * D), *q = make_random(D, 1);
    float *k = make_random(D, 2);
    rope_frequencies(frequencies, D, 1e4);
    for (size_t n = 0; n < S; n += 7) rope_fill(parts + n * D, frequencies, n, S - n < 7 ? S - n : 7, D);
    assert_memory_equal(table, parts, S * D * sizeof *table);
    for (size_t shift = 0; shift < 10; shift++)
        for (size_t n = 0; n + shift < S; n++) {
            float a[D], b[D];
            double dot = 0;
            memcpy(a, q, sizeof a), memcpy(b, k, sizeof b);
            rope_forward(pool, a, D, table, &one, n + shift, 1, D);
            rope_forward(pool, b, D, table, &one, shift, 1, D);
            for (size_t i = 0; i < D; i++) dot += (double)a[i] * (double)b[i];
            if (shift == 0) expected[n] = dot;
            assert_true(fabs(dot - expected[n]) < 1e-5);
        }
    FREE_ALL(table, parts, q, k);
    mf_pool_free(pool);
}

/* Llama 3.1's rule, case by case as its authors describe it. */
static void test_rope_stretch(void **state) {
    (void)state;
    enum { D = 128 };
    const struct rope_stretch stretch = {.factor = 8, .low_factor = 1, .high_factor = 4, .context = 8192};
    double frequencies[D / 2], stretched[D / 2];
    size_t cases[3] = {0};
    rope_frequencies(frequencies, D, 5e5);
    memcpy(stretched, frequencies, sizeof stretched);
    rope_stretch(stretched, D, &stretch);
    for (size_t i = 0; i < D / 2; i++) {
        double wavelength = 2 * acos(-1) / frequencies[i], expected;
        if (wavelength < 8192.0 / 4) {
            expected = frequencies[i];
            cases[0]++;
        } else if (wavelength > 8192.0 / 1) {
            expected = frequencies[i] / 8;
            cases[1]++;
        } else {
            double smooth = (8192 / wavelength - 1) / (4 - 1);
            expected = (1 - smooth) * frequencies[i] / 8 + smooth * frequencies[i];
            cases[2]++;
        }
        assert_true(fabs(stretched[i] / expected - 1) < 1e-12);
    }
    assert_true(cases[0] > 0 && cases[1] > 0 && cases[2] > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_rope_far),
        cmocka_unit_test(test_rope_distance),
        cmocka_unit_test(test_rope_stretch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
