/* The kernels of family llama: each against a naive loop in double, each backward against central differences
 * of that loop, at odd sizes; what is overwritten, what is added to, what lies beside; and that the number of
 * threads changes no byte. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/bias.h"
#include "nn/embedding.h"
#include "nn/matmul.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "nn/swiglu.h"

static const float eps = 1e-5f;

/* Values beside those that a kernel was given, `from` .. ld-1 of each row, are as they were. */
static void assert_beside(const float *x, const double *before, size_t N, size_t ld, size_t from) {
    for (size_t n = 0; n < N; n++)
        for (size_t i = from; i < ld; i++) assert_true((double)x[n * ld + i] == before[n * ld + i]);
}

/* --- root-mean-square normalisation --- */

struct norm_twin {
    const double *x, *gain, *weights; /* gain NULL: plain; weights [N,H d] */
    size_t N, H, d, ld;
    double *y; /* [N,H d] */
};

static double norm_twin(const void *context) {
    const struct norm_twin *t = context;
    for (size_t n = 0; n < t->N; n++)
        for (size_t h = 0; h < t->H; h++) {
            const double *x = t->x + n * t->ld + h * t->d;
            double squares = 0;
            for (size_t i = 0; i < t->d; i++) squares += x[i] * x[i];
            for (size_t i = 0; i < t->d; i++)
                t->y[(n * t->H + h) * t->d + i] =
                    x[i] / sqrt(squares / (double)t->d + (double)eps) * (t->gain ? t->gain[i] : 1);
        }
    return weighted_sum(t->y, t->weights, t->N * t->H * t->d);
}

static void check_rmsnorm(size_t N, size_t D, bool plain, double size, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *gain = make_random(D, 2), *dy = make_random(N * D, 3);
    float *y = make_poison(N * D), *rstd = make_poison(N), *dx = make_random(N * D, 4);
    float *dgain = make_random(D, 5), *scratch = make_poison((size_t)threads * D), *g = plain ? NULL : gain;
    for (size_t i = 0; i < N * D; i++) x[i] *= (float)size;
    double *dx0 = to_double(dx, N * D), *dgain0 = to_double(dgain, D), *x2 = to_double(x, N * D);
    double *gain2 = to_double(gain, D), *w2 = to_double(dy, N * D), *y2 = calloc(N * D, sizeof *y2);
    struct norm_twin t = {x2, plain ? NULL : gain2, w2, N, 1, D, D, y2};
    rmsnorm_forward(pool, y, rstd, x, g, eps, N, D);
    norm_twin(&t);
    assert_close("y", y, y2, N * D, 1e-6);
    rmsnorm_backward(pool, dx, plain ? NULL : dgain, dy, x, g, rstd, scratch, N, D);
    for (size_t i = 0; i < N * D; i++) dx[i] = (float)((double)dx[i] - dx0[i]); /* it adds */
    assert_gradient("dx", dx, x2, N * D, norm_twin, &t);
    for (size_t i = 0; i < D; i++) dgain[i] = (float)((double)dgain[i] - dgain0[i]);
    if (!plain) assert_gradient("dgain", dgain, gain2, D, norm_twin, &t);
    rmsnorm_forward(pool, x, NULL, x, g, eps, N, D);
    assert_memory_equal(x, y, N * D * sizeof *x); /* in place */
    FREE_ALL(x, gain, dy, y, rstd, dx, dgain, scratch, dx0, dgain0, x2, gain2, w2, y2);
    mf_pool_free(pool);
}

static void test_rmsnorm(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_rmsnorm(1, 1, false, 1, threads);
        check_rmsnorm(1, 2, false, 1, threads);
        check_rmsnorm(5, 33, false, 1, threads);
        check_rmsnorm(7, 64, true, 1, threads);
        check_rmsnorm(3, 101, false, 0.003, threads); /* eps counts as much as the squares */
    }
}

/* Rows of zeros stay so, and long ones do not overflow before their squares would. */
static void test_rmsnorm_extremes(void **state) {
    (void)state;
    enum { D = 48 };
    struct mf_pool *pool = make_pool(1);
    float *x = make_random(2 * D, 1), y[2 * D], rstd[2], dx[2 * D] = {0};
    double squares = 0;
    for (size_t i = 0; i < D; i++) {
        x[i] = 0;
        squares += (double)x[D + i] * (double)x[D + i] / D;
        x[D + i] *= 1e18f;
    }
    rmsnorm_forward(pool, y, rstd, x, NULL, eps, 2, D);
    rmsnorm_backward(pool, dx, NULL, y, x, NULL, rstd, NULL, 2, D);
    for (size_t i = 0; i < D; i++) {
        assert_true(y[i] == 0 && dx[i] == 0);
        assert_true(fabs((double)y[D + i] * sqrt(squares) / ((double)x[D + i] * 1e-18) - 1) < 1e-6);
        assert_true(isfinite(dx[D + i]));
    }
    free(x);
    mf_pool_free(pool);
}

/* Heads inside wider rows, from the `first` on; the backward in place as well. */
static void check_rmsnorm_heads(size_t N, size_t first, size_t H, size_t d, int threads) {
    struct mf_pool *pool = make_pool(threads);
    size_t ld = (first + H + 2) * d, ld_x = ld + 3, at = first * d;
    float *x = make_random(N * ld_x, 1), *gain = make_random(d, 2), *dy = make_random(N * ld, 3);
    float *y = make_random(N * ld, 4), *rstd = make_poison(N * H), *dx = make_random(N * ld, 5);
    float *dgain = make_random(d, 6), *scratch = make_poison((size_t)threads * d);
    float *tight = make_zeros(N * H * d), *dtight = make_zeros(N * H * d), *dx_tight = make_zeros(N * ld_x);
    double *x2 = to_double(x, N * ld_x), *gain2 = to_double(gain, d), *y0 = to_double(y, N * ld);
    double *dx0 = to_double(dx, N * ld), *dgain0 = to_double(dgain, d), *y2 = calloc(N * H * d, sizeof *y2);
    rmsnorm_heads_forward(pool, y + at, ld, rstd, x + at, ld_x, gain, eps, N, H, d);
    rmsnorm_heads_backward(pool, dx + at, ld, dgain, dy + at, ld, x + at, ld_x, gain, rstd, scratch, N, H, d);
    assert_beside(y, y0, N, ld, at + H * d);
    assert_beside(dx, dx0, N, ld, at + H * d);
    for (size_t n = 0; n < N; n++) {
        assert_true(at == 0 || (double)y[n * ld + at - 1] == y0[n * ld + at - 1]);
        memcpy(tight + n * H * d, y + n * ld + at, H * d * sizeof *y);
        memcpy(dtight + n * H * d, dy + n * ld + at, H * d * sizeof *y);
        memcpy(dx_tight + n * ld_x + at, dx + n * ld + at, H * d * sizeof *y);
    }
    double *w2 = to_double(dtight, N * H * d);
    struct norm_twin t = {x2 + at, gain2, w2, N, H, d, ld_x, y2};
    norm_twin(&t);
    assert_close("y", tight, y2, N * H * d, 1e-6);
    assert_gradient("dx", dx_tight + at, x2 + at, N * ld_x - at, norm_twin, &t);
    for (size_t i = 0; i < d; i++) dgain[i] = (float)((double)dgain[i] - dgain0[i]); /* it adds */
    assert_gradient("dgain", dgain, gain2, d, norm_twin, &t);
    rmsnorm_heads_backward(pool, dy + at, ld, NULL, dy + at, ld, x + at, ld_x, gain, rstd, NULL, N, H, d);
    for (size_t n = 0; n < N; n++)
        assert_memory_equal(dy + n * ld + at, dx + n * ld + at, H * d * sizeof *dx); /* in place, frozen */
    FREE_ALL(x, gain, dy, y, rstd, dx, dgain, scratch, tight, dtight, dx_tight, x2, gain2, y0, dx0, dgain0,
             y2, w2);
    mf_pool_free(pool);
}

static void test_rmsnorm_heads(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_rmsnorm_heads(1, 0, 1, 2, threads);
        check_rmsnorm_heads(3, 2, 1, 6, threads);
        check_rmsnorm_heads(5, 0, 7, 10, threads);
        check_rmsnorm_heads(2, 1, 3, 34, threads);
    }
}

/* --- rotary positions --- */

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

/* A table of the first `positions`. */
static float *make_table(size_t positions, size_t d, double theta) {
    double *frequencies = calloc(d / 2 + 1, sizeof *frequencies);
    float *table = make_poison(positions * d);
    rope_frequencies(frequencies, d, theta);
    rope_fill(table, frequencies, 0, positions, d);
    free(frequencies);
    return table;
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

/* --- gated units --- */

struct swiglu_twin {
    const double *gate, *up, *weights; /* gate and up [N,ld], weights [N,F] */
    size_t N, F, ld;
    double *y; /* [N,F] */
};

static double swiglu_twin(const void *context) {
    const struct swiglu_twin *t = context;
    for (size_t n = 0; n < t->N; n++)
        for (size_t f = 0; f < t->F; f++) {
            double gate = t->gate[n * t->ld + f];
            t->y[n * t->F + f] = gate / (1 + exp(-gate)) * t->up[n * t->ld + f];
        }
    return weighted_sum(t->y, t->weights, t->N * t->F);
}

/* Both halves of rows that are 2F + 1 wide: what is behind them is not touched. */
static void check_swiglu(size_t N, size_t F, int threads) {
    struct mf_pool *pool = make_pool(threads);
    size_t ld = 2 * F + 1, size = N * ld;
    float *x = make_random(size, 1), *dy = make_random(N * F, 2), *y = make_poison(N * F);
    float *dx = make_zeros(size), *again = make_poison(N * F);
    for (size_t i = 0; i < size; i++) x[i] *= 3; /* also where the gate is nearly open or shut */
    double *x2 = to_double(x, size), *w2 = to_double(dy, N * F), *y2 = calloc(N * F, sizeof *y2);
    struct swiglu_twin t = {x2, x2 + F, w2, N, F, ld, y2};
    swiglu_forward(pool, y, x, x + F, ld, N, F);
    swiglu_twin(&t);
    assert_close("y", y, y2, N * F, 6e-7);
    swiglu_backward(pool, dx, dx + F, NULL, dy, x, x + F, ld, N, F);
    assert_gradient("gate and up", dx, x2, size, swiglu_twin, &t);
    swiglu_backward(pool, x, x + F, again, dy, x, x + F, ld, N, F); /* in place, y as well */
    assert_memory_equal(again, y, N * F * sizeof *y);
    for (size_t n = 0; n < N; n++) {
        assert_memory_equal(x + n * ld, dx + n * ld, 2 * F * sizeof *x);
        assert_true((double)x[n * ld + 2 * F] == x2[n * ld + 2 * F]);
    }
    FREE_ALL(x, dy, y, dx, again, x2, w2, y2);
    mf_pool_free(pool);
}

/* Two arrays, y over each of them, and over dy. */
static void check_swiglu_in_place(size_t N, size_t F) {
    struct mf_pool *pool = make_pool(2);
    size_t bytes = N * F * sizeof(float);
    float *gate = make_random(N * F, 1), *up = make_random(N * F, 2), *dy = make_random(N * F, 3);
    float *y = make_poison(N * F), *over = make_zeros(N * F), *dgate = make_poison(N * F);
    float *dup = make_poison(N * F);
    swiglu_forward(pool, y, gate, up, F, N, F);
    memcpy(over, gate, bytes);
    swiglu_forward(pool, over, over, up, F, N, F);
    assert_memory_equal(over, y, bytes);
    memcpy(over, up, bytes);
    swiglu_forward(pool, over, gate, over, F, N, F);
    assert_memory_equal(over, y, bytes);
    swiglu_backward(pool, dgate, dup, NULL, dy, gate, up, F, N, F);
    swiglu_backward(pool, gate, up, dy, dy, gate, up, F, N, F);
    assert_memory_equal(gate, dgate, bytes);
    assert_memory_equal(up, dup, bytes);
    assert_memory_equal(dy, y, bytes);
    FREE_ALL(gate, up, dy, y, over, dgate, dup);
    mf_pool_free(pool);
}

static void test_swiglu(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_swiglu(1, 1, threads);
        check_swiglu(9, 37, threads);
        check_swiglu(4, 344 / 8, threads);
    }
    check_swiglu_in_place(1, 1);
    check_swiglu_in_place(7, 101);
}

/* The bound that the header states, over the whole range, and beyond it. */
static void test_swiglu_error(void **state) {
    (void)state;
    enum { F = 12700 };
    struct mf_pool *pool = make_pool(1);
    float *gate = make_zeros(F), *up = make_zeros(F), *y = make_poison(F), *dgate = make_poison(F);
    float *dup = make_poison(F), *ones = make_zeros(F);
    for (size_t i = 0; i < F; i++) {
        gate[i] = (float)(0.0137 * (double)i - 87);
        up[i] = 0.1f + (float)(i % 7);
        ones[i] = 1;
    }
    swiglu_forward(pool, y, gate, up, F, 1, F);
    swiglu_backward(pool, dgate, dup, NULL, ones, gate, up, F, 1, F);
    for (size_t i = 0; i < F; i++) {
        double u = (double)gate[i], s = 1 / (1 + exp(-u)), silu = u * s, rest = 1 / (1 + exp(u));
        assert_true(fabs((double)y[i] - silu * (double)up[i]) <= 6e-7 * fabs(silu * (double)up[i]));
        assert_true(fabs((double)dup[i] - silu) <= 6e-7 * fabs(silu));
        /* 1 + u (1 - s) has a zero, at -1.278: there the error is absolute */
        double slope = s * (1 + u * rest);
        assert_true(fabs((double)dgate[i] - (double)up[i] * slope) <=
                    1e-6 * s * (1 + fabs(u) * rest) * (double)up[i]);
    }
    const float far[] = {-1e30f, -88, 88, 1e30f, NAN}, one[] = {1, 1, 1, 1, 1};
    swiglu_forward(pool, y, far, one, 5, 1, 5);
    swiglu_backward(pool, dgate, dup, NULL, one, far, one, 5, 1, 5);
    assert_true(y[0] == 0 && y[1] == 0 && y[2] == 88 && y[3] == 1e30f && isnan(y[4]));
    assert_true(dgate[0] == 0 && dgate[1] == 0 && dgate[2] == 1 && dgate[3] == 1 && isnan(dgate[4]));
    FREE_ALL(gate, up, y, dgate, dup, ones);
    mf_pool_free(pool);
}

/* --- biases, and embeddings without positions --- */

static void test_bias(void **state) {
    (void)state;
    const size_t sizes[][2] = {{1, 1}, {5, 64}, {7, 131}};
    for (size_t k = 0; k < 3; k++)
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            struct mf_pool *pool = make_pool(threads);
            size_t N = sizes[k][0], O = sizes[k][1];
            float *y = make_poison(N * O), *bias = make_random(O, 1), *dy = make_random(N * O, 2);
            float *dbias = make_random(O, 3);
            double *expected = to_double(dbias, O);
            bias_forward(pool, y, bias, N, O);
            for (size_t i = 0; i < N * O; i++) {
                assert_true(y[i] == bias[i % O]);
                expected[i % O] += (double)dy[i];
            }
            bias_backward(pool, dbias, dy, N, O);
            assert_close("dbias", dbias, expected, O, 1e-6);
            bias_backward(pool, NULL, dy, N, O);
            FREE_ALL(y, bias, dy, dbias, expected);
            mf_pool_free(pool);
        }
}

static void test_embedding_alone(void **state) {
    (void)state;
    enum { N = 5, V = 7, D = 259 };
    const size_t start[] = {0, 2, N};
    const uint32_t tokens[N] = {3, 0, 6, 3, 1};
    const struct seqs seqs = {2, start};
    const struct dropout dropout = {0.4f, 11, 0};
    float *table = make_random(V * D, 1), *zeros = make_zeros(N * D), *x = make_poison(N * D);
    float *expected = make_poison(N * D);
    struct mf_pool *pool = make_pool(2);
    embedding_forward(pool, x, tokens, &seqs, table, NULL, (struct dropout){0}, D);
    for (size_t n = 0; n < N; n++) assert_memory_equal(x + n * D, table + tokens[n] * D, D * sizeof *x);
    embedding_forward(pool, x, tokens, &seqs, table, NULL, dropout, D);
    embedding_forward(pool, expected, tokens, &seqs, table, zeros, dropout, D);
    for (size_t i = 0; i < N * D; i++) assert_true(x[i] == expected[i]);
    FREE_ALL(table, zeros, x, expected);
    mf_pool_free(pool);
}

/* --- the same bytes --- */

/* One pass of every kernel; what it writes, one array behind the other. Up to *fixed the bytes are the same
 * for any number of threads, behind it for the same number. */
static float *run_kernels(int threads, size_t *size, size_t *fixed) {
    enum { N = 83, H = 6, K = 2, d = 10, D = 42, F = 51, LD = (H + 2 * K) * d, ROOM = 100000 };
    const size_t start[] = {0, 70, 71, N};
    const struct seqs seqs = {3, start};
    struct mf_pool *pool = make_pool(threads);
    float *all = make_zeros(ROOM), *at = all;
    float *x = make_random(N * LD, 1), *w = make_random(N * LD, 2), *gain = make_random(LD, 3);
    float *table = make_table(N, d, 1e4);
    float *scratch = make_poison((size_t)threads * LD + attention_scratch(threads, N, d) + H * N);
    const struct heads heads = {H, K, d};
#define TAKE(n) (at += (n), at - (n))
    float *rstd = TAKE(N), *dx = TAKE(N * D), *rstd_heads = TAKE(N * H), *turned = TAKE(N * LD);
    rmsnorm_forward(pool, TAKE(N * D), rstd, x, gain, eps, N, D);
    rmsnorm_backward(pool, dx, NULL, w, x, gain, rstd, NULL, N, D);
    rmsnorm_heads_forward(pool, TAKE(N * LD), LD, rstd_heads, x, LD, gain, eps, N, H, d);
    rmsnorm_heads_backward(pool, TAKE(N * LD), LD, NULL, w, LD, x, LD, gain, rstd_heads, NULL, N, H, d);
    memcpy(turned, x, N * LD * sizeof *x);
    rope_forward(pool, turned, LD, table, &seqs, 0, H + K, d);
    rope_backward(pool, turned, LD, table, &seqs, 9, H, d);
    swiglu_forward(pool, TAKE(N * F), x, w, F, N, F);
    float *dgate = TAKE(N * F), *dup = TAKE(N * F), *y = TAKE(N * F);
    swiglu_backward(pool, dgate, dup, y, x + N * F / 2, x, w, F, N, F);
    bias_forward(pool, TAKE(N * LD), gain, N, LD);
    bias_backward(pool, TAKE(LD), x, N, LD);
    float *out = TAKE(N * H * d), *lse = TAKE(N * H);
    attention_forward(pool, out, lse, x, &seqs, heads, scratch);
    attention_backward(pool, TAKE(N * LD), w, x, out, lse, &seqs, heads, scratch);
    attention_step(pool, TAKE(H * d), x, x, w, N, N, heads, scratch);
    *fixed = (size_t)(at - all);
    float *dgain = TAKE(D), *dgain_heads = TAKE(d);
    rmsnorm_backward(pool, TAKE(N * D), dgain, w, x, gain, rstd, scratch, N, D);
    rmsnorm_heads_backward(pool, TAKE(N * LD), LD, dgain_heads, w, LD, x, LD, gain, rstd_heads, scratch, N, H,
                           d);
#undef TAKE
    *size = (size_t)(at - all);
    assert_true(*size <= ROOM);
    FREE_ALL(x, w, gain, scratch, table);
    mf_pool_free(pool);
    return all;
}

static void test_same_bytes(void **state) {
    (void)state;
    assert_same_bytes(run_kernels, MOST_THREADS);
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm),         cmocka_unit_test(test_rmsnorm_extremes),
        cmocka_unit_test(test_rmsnorm_heads),   cmocka_unit_test(test_rope),
        cmocka_unit_test(test_rope_far),        cmocka_unit_test(test_rope_distance),
        cmocka_unit_test(test_rope_stretch),    cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_swiglu_error),    cmocka_unit_test(test_bias),
        cmocka_unit_test(test_embedding_alone), cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
