/* What goes into the residual stream, with dropout on: embeddings, branches and means of branches, against
 * naive loops in double and central differences of those. */
#include "nn.h"

#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/mean.h"
#include "nn/residual.h"

static void test_positions(void **state) {
    (void)state;
    const size_t S = 50, D = 10;
    float *pe = make_zeros(S * D);
    double *expected = calloc(S * D, sizeof *expected);
    positions_fill(pe, 0, S, D, 0.7);
    for (size_t s = 0; s < S; s++)
        for (size_t d = 0; d < D; d++) {
            double angle = (double)s / pow(10000, (double)(d - d % 2) / (double)D);
            expected[s * D + d] = 0.7 * (d % 2 ? cos(angle) : sin(angle));
        }
    assert_close("pe", pe, expected, S * D, 1e-6);
    FREE_ALL(pe, expected);
}

/* The mask of a whole array in double, from its definition. */
static double *make_mask(size_t n, struct dropout dropout) {
    double *mask = calloc(n + 1, sizeof *mask);
    assert_non_null(mask);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = dropout.first + i;
        uint64_t half = mf_rng_at(dropout.key, at / 2) >> (at % 2 ? 32 : 0) & 0xffffffff;
        mask[i] = (double)half < (double)dropout.p * 0x1p32 ? 0 : 1 / (1 - (double)dropout.p);
    }
    return mask;
}

struct embedding_twin {
    const double *table, *pe, *mask, *weights;
    const uint32_t *tokens;
    const size_t *start;
    size_t count, D;
    double *x;
};

static double embedding_twin(const void *context) {
    const struct embedding_twin *t = context;
    size_t D = t->D;
    for (size_t s = 0; s < t->count; s++)
        for (size_t n = t->start[s]; n < t->start[s + 1]; n++)
            for (size_t d = 0; d < D; d++)
                t->x[n * D + d] =
                    t->mask[n * D + d] * (t->table[t->tokens[n] * D + d] + t->pe[(n - t->start[s]) * D + d]);
    return weighted_sum(t->x, t->weights, t->start[t->count] * D);
}

static void check_embedding(size_t D, float p, int64_t pad, int threads) {
    enum { V = 5, N = 11 };
    const size_t start[] = {0, 1, 7, N};
    const uint32_t tokens[N] = {4, 1, 1, 0, 3, 4, 0, 2, 1, 0, 4};
    const struct dropout dropout = {p, 1234, 2 * D + (size_t)threads};
    struct seqs seqs = {3, start};
    struct mf_pool *pool = make_pool(threads);
    float *table = make_random(V * D, 1), *pe = make_random(N * D, 2), *dx = make_random(N * D, 3);
    float *x = make_poison(N * D), *dtable = make_random(V * D, 4);
    double *table2 = to_double(table, V * D), *pe2 = to_double(pe, N * D), *dx2 = to_double(dx, N * D);
    double *mask = make_mask(N * D, dropout), *x2 = calloc(N * D, sizeof *x2),
           *before = to_double(dtable, V * D);
    struct embedding_twin t = {table2, pe2, mask, dx2, tokens, start, 3, D, x2};
    embedding_forward(pool, x, tokens, &seqs, table, pe, dropout, D);
    embedding_twin(&t);
    assert_close("x", x, x2, N * D, 1e-6);
    embedding_backward(pool, dtable, dx, tokens, &seqs, dropout, pad, D);
    for (size_t i = 0; i < V * D; i++) dtable[i] = (float)((double)dtable[i] - before[i]); /* it adds */
    for (int64_t v = 0; v < V; v++) {
        float *row = dtable + (size_t)v * D;
        if (v != pad) assert_gradient("dtable", row, table2 + (size_t)v * D, D, embedding_twin, &t);
        for (size_t d = 0; v == pad && d < D; d++) assert_true(row[d] == 0); /* PAD's does not learn */
    }
    embedding_backward(pool, NULL, dx, tokens, &seqs, dropout, pad, D); /* frozen */
    FREE_ALL(table, pe, dx, x, dtable, table2, pe2, dx2, mask, x2, before);
    mf_pool_free(pool);
}

static void test_embedding(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        for (int dropping = 0; dropping < 2; dropping++) {
            check_embedding(1, dropping ? 0.5f : 0, 0, threads);
            check_embedding(7, dropping ? 0.5f : 0, -1, threads); /* pairs of the mask lie across rows */
            check_embedding(277, dropping ? 0.1f : 0, 4, threads);
        }
}

struct residual_twin {
    const double *x, *y, *bias, *mask, *weights; /* bias NULL: none */
    size_t N, D;
    double *sum;
};

static double residual_twin(const void *context) {
    const struct residual_twin *t = context;
    for (size_t i = 0; i < t->N * t->D; i++)
        t->sum[i] = t->x[i] + t->mask[i] * (t->y[i] + (t->bias ? t->bias[i % t->D] : 0));
    return weighted_sum(t->sum, t->weights, t->N * t->D);
}

static void check_residual(size_t N, size_t D, float p, bool biased, int threads) {
    const struct dropout dropout = {p, 4321, biased ? 0 : 5 * D + 1};
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * D, 1), *y = make_random(N * D, 2), *bias = make_random(D, 3);
    float *dx = make_random(N * D, 4), *dy = make_poison(N * D), *dbias = make_random(D, 5);
    float *out = make_poison(N * D), *scratch = make_poison((size_t)threads * D);
    double *x2 = to_double(x, N * D), *y2 = to_double(y, N * D), *bias2 = to_double(bias, D);
    double *dx2 = to_double(dx, N * D), *before = to_double(dbias, D), *mask = make_mask(N * D, dropout);
    double *sum = calloc(N * D, sizeof *sum);
    struct residual_twin t = {x2, y2, biased ? bias2 : NULL, mask, dx2, N, D, sum};
    residual_forward(pool, out, x, y, biased ? bias : NULL, dropout, N, D);
    residual_forward(pool, x, x, y, biased ? bias : NULL, dropout, N, D); /* in place */
    assert_memory_equal(out, x, N * D * sizeof *x);
    residual_twin(&t);
    assert_close("x", x, sum, N * D, 1e-6);
    residual_backward(pool, dy, biased ? dbias : NULL, dx, dropout, scratch, N, D);
    assert_gradient("dy", dy, y2, N * D, residual_twin, &t);
    for (size_t d = 0; d < D; d++) dbias[d] = (float)((double)dbias[d] - before[d]); /* it adds */
    if (biased) assert_gradient("dbias", dbias, bias2, D, residual_twin, &t);
    residual_backward(pool, dx, NULL, dx, dropout, NULL, N, D); /* in place, frozen bias */
    assert_memory_equal(dx, dy, N * D * sizeof *dx);
    FREE_ALL(x, y, bias, dx, dy, dbias, out, scratch, x2, y2, bias2, dx2, before, mask, sum);
    mf_pool_free(pool);
}

struct mean_twin {
    const double *y, *a, *b, *weights; /* a, b NULL: none */
    size_t N, D;
    double *mean;
};

static double mean_twin(const void *context) {
    const struct mean_twin *t = context;
    for (size_t i = 0; i < t->N * t->D; i++)
        t->mean[i] = (t->y[i] + (t->a ? t->a[i % t->D] : 0) + (t->b ? t->b[i % t->D] : 0)) / 2;
    return weighted_sum(t->mean, t->weights, t->N * t->D);
}

static void check_mean(size_t N, size_t D, bool biased, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *y = make_random(N * D, 1), *a = make_random(D, 2), *b = make_random(D, 3);
    float *dy = make_random(N * D, 4), *da = make_random(D, 5);
    double *y2 = to_double(y, N * D), *a2 = to_double(a, D), *b2 = to_double(b, D),
           *dy2 = to_double(dy, N * D);
    double *before = to_double(da, D), *mean = calloc(N * D, sizeof *mean);
    struct mean_twin t = {y2, biased ? a2 : NULL, biased ? b2 : NULL, dy2, N, D, mean};
    mean_twin(&t);
    mean_forward(pool, y, biased ? a : NULL, biased ? b : NULL, N, D);
    assert_close("mean", y, mean, N * D, 1e-6);
    mean_backward(pool, dy, biased ? da : NULL, N, D);
    assert_gradient("dy", dy, y2, N * D, mean_twin, &t);
    for (size_t d = 0; d < D; d++) da[d] = (float)((double)da[d] - before[d]); /* it adds */
    if (biased) assert_gradient("da", da, a2, D, mean_twin, &t);
    FREE_ALL(y, a, b, dy, da, y2, a2, b2, dy2, before, mean);
    mf_pool_free(pool);
}

static void test_mean(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_mean(1, 1, true, threads);
        check_mean(7, 5, false, threads);
        check_mean(3, 259, true, threads);
    }
}

static void test_residual(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_residual(1, 1, 0, true, threads);
        check_residual(6, 5, 0.4f, true, threads); /* pairs of the mask lie across rows */
        check_residual(3, 259, 0.4f, false, threads);
        check_residual(3, 259, 0, true, threads);
    }
}

/* A share p is dropped, the rest is scaled up; pieces of an array get the masks of the whole; keys differ. */
static void test_dropout(void **state) {
    (void)state;
    enum { N = 200 };
    float mask[N], part[N], other[N];
    size_t dropped = 0, same = 0, total = 0;
    for (uint64_t key = 0; key < 200; key++) {
        dropout_mask(mask, 0.25f, key, 0, N);
        dropout_mask(part, 0.25f, key, 51, 100);
        dropout_mask(other, 0.25f, key + 1, 0, N);
        assert_memory_equal(mask + 51, part, 100 * sizeof *mask);
        for (size_t i = 0; i < N; i++) {
            assert_true(mask[i] == 0 || fabsf(mask[i] - 1 / 0.75f) < 1e-6f);
            dropped += mask[i] == 0;
            same += mask[i] == other[i];
            total++;
        }
    }
    assert_true(fabs((double)dropped / (double)total - 0.25) < 0.01);
    assert_true(fabs((double)same / (double)total - 0.625) < 0.02); /* 1/4^2 + 3/4^2 when independent */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions), cmocka_unit_test(test_embedding), cmocka_unit_test(test_residual),
        cmocka_unit_test(test_mean),      cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
