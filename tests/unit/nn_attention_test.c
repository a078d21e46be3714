/* Attention against a naive loop in double, its backward pass against central differences of that loop, and
 * which rows a row sees. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/matmul.h"

struct attention_twin {
    const double *qkv, *weights;
    const size_t *start;
    size_t count;
    struct heads heads;
    double *out, *lse; /* [N,H d], [N,H] */
};

static double attention_twin(const void *context) {
    const struct attention_twin *t = context;
    size_t H = t->heads.H, K = t->heads.K, d = t->heads.d, ld = (H + 2 * K) * d;
    double p[160];
    for (size_t s = 0; s < t->count; s++)
        for (size_t i = t->start[s]; i < t->start[s + 1]; i++)
            for (size_t h = 0; h < H; h++) {
                const double *q = t->qkv + i * ld + h * d, *keys = t->qkv + (H + h * K / H) * d;
                double *out = t->out + (i * H + h) * d, sum = 0;
                for (size_t j = t->start[s]; j <= i; j++) {
                    double e = exp(weighted_sum(q, keys + j * ld, d) / sqrt((double)d));
                    p[j - t->start[s]] = e;
                    sum += e;
                }
                for (size_t k = 0; k < d; k++) {
                    out[k] = 0;
                    for (size_t j = t->start[s]; j <= i; j++)
                        out[k] += p[j - t->start[s]] / sum * keys[j * ld + K * d + k];
                }
                t->lse[i * H + h] = log(sum);
            }
    return weighted_sum(t->out, t->weights, t->start[t->count] * H * d);
}

/* Whole rows of gradients, with queries and keys `sharp` times as long. */
static void check_attention(const size_t *start, size_t count, struct heads heads, float sharp, int threads) {
    struct mf_pool *pool = make_pool(threads);
    struct seqs seqs = {count, start};
    size_t N = start[count], D = heads.H * heads.d, ld = heads_columns(heads), longest = 0;
    for (size_t s = 0; s < count; s++)
        if (start[s + 1] - start[s] > longest) longest = start[s + 1] - start[s];
    float *qkv = make_random(N * ld, 1), *dout = make_random(N * D, 2), *out = make_poison(N * D);
    float *lse = make_poison(N * heads.H), *dqkv = make_poison(N * ld);
    float *scratch = make_poison(attention_scratch(threads, longest, heads.d));
    for (size_t i = 0; i < N * ld; i++)
        if (i % ld < (heads.H + heads.K) * heads.d) qkv[i] *= sharp;
    double *qkv2 = to_double(qkv, N * ld), *dout2 = to_double(dout, N * D);
    double *out2 = calloc(N * D, sizeof *out2), *lse2 = calloc(N * heads.H, sizeof *lse2);
    struct attention_twin t = {qkv2, dout2, start, count, heads, out2, lse2};
    attention_forward(pool, out, lse, qkv, &seqs, heads, scratch);
    attention_twin(&t);
    assert_close("out", out, out2, N * D, 2e-5);
    assert_close("lse", lse, lse2, N * heads.H, 1e-5);
    attention_backward(pool, dqkv, dout, qkv, out, lse, &seqs, heads, scratch);
    assert_gradient("dqkv", dqkv, qkv2, N * ld, attention_twin, &t);
    FREE_ALL(qkv, dout, out, lse, dqkv, scratch, qkv2, dout2, lse2, out2);
    mf_pool_free(pool);
}

static void test_attention(void **state) {
    (void)state;
    const size_t packed[] = {0, 3, 4, 9, 16}, block[] = {0, 64, 65}, over[] = {0, 1, 66}, blocks[] = {0, 130},
                 half[] = {0, 32, 65};
    const struct heads one = {1, 1, 2};
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_attention(packed, 4, (struct heads){2, 2, 3}, 1, threads);
        check_attention(packed, 4, (struct heads){3, 3, 1}, 1, threads); /* heads of one column */
        check_attention(packed, 4, (struct heads){1, 1, 10}, 3, threads);
    }
    check_attention(block, 2, one, 1, 2);                     /* one block of keys exactly */
    check_attention(over, 2, one, 1, 2);                      /* and one more */
    check_attention(half, 2, one, 1, 2);                      /* the same of a block of queries */
    check_attention(over, 2, (struct heads){1, 1, 17}, 1, 2); /* more columns than a register has */
    check_attention(blocks, 1, one, 1, 2);
}

/* Query heads that share key heads: all one, pairs, and a prime number of each. */
static void test_attention_grouped(void **state) {
    (void)state;
    const size_t packed[] = {0, 3, 4, 9, 16}, single[] = {0, 1}, over[] = {0, 1, 66};
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_attention(packed, 4, (struct heads){4, 1, 2}, 1, threads);
        check_attention(packed, 4, (struct heads){6, 3, 6}, 2, threads);
        check_attention(packed, 4, (struct heads){7, 1, 10}, 1, threads);
        check_attention(single, 1, (struct heads){15, 3, 2}, 1, threads);
    }
    check_attention(over, 2, (struct heads){4, 2, 2}, 1, 2);
}

/* Each row of a growing sequence by itself is the row of the whole. */
static void check_attention_step(struct heads heads, int threads) {
    const size_t N = 67, S = 70, H = heads.H, K = heads.K, d = heads.d, D = H * d, start[] = {0, N};
    const size_t ld = heads_columns(heads);
    struct seqs seqs = {1, start};
    struct mf_pool *pool = make_pool(threads);
    float *qkv = make_random(N * ld, 1), *whole = make_poison(N * D), *row = make_poison(D);
    float *keys = make_poison(S * K * d), *values = make_poison(S * K * d), *step = make_poison(H * N);
    float *scratch = make_poison(attention_scratch(threads, N, d));
    attention_forward(pool, whole, NULL, qkv, &seqs, heads, scratch);
    double *expected = to_double(whole, N * D);
    for (size_t n = 0; n < N; n++) {
        for (size_t h = 0; h < K; h++) {
            memcpy(keys + (h * S + n) * d, qkv + n * ld + (H + h) * d, d * sizeof *keys);
            memcpy(values + (h * S + n) * d, qkv + n * ld + (H + K + h) * d, d * sizeof *values);
        }
        attention_step(pool, row, qkv + n * ld, keys, values, n + 1, S, heads, step);
        assert_close("row", row, expected + n * D, D, 1e-5);
        for (size_t i = 0; i < D; i++) row[i] = NAN;
    }
    FREE_ALL(qkv, whole, row, keys, values, step, scratch, expected);
    mf_pool_free(pool);
}

static void test_attention_step(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_attention_step((struct heads){5, 5, 3}, threads);
        check_attention_step((struct heads){4, 1, 2}, threads);
        check_attention_step((struct heads){6, 3, 10}, threads);
    }
}

/* A row sees the rows before it in its own sequence and no others: bytes, not values. */
static void test_attention_sees(void **state) {
    (void)state;
    const size_t start[] = {0, 70, 90}, N = 90, D = 8, H = 2, changed = 66;
    struct seqs seqs = {2, start};
    const struct heads heads = {H, H, D / H};
    struct mf_pool *pool = make_pool(2);
    float *qkv = make_random(N * 3 * D, 1), *scratch = make_zeros(attention_scratch(2, 70, D / H));
    float *first = make_poison(N * D), *second = make_poison(N * D);
    attention_forward(pool, first, NULL, qkv, &seqs, heads, scratch);
    for (size_t i = 0; i < 3 * D; i++) qkv[changed * 3 * D + i] += 1;
    attention_forward(pool, second, NULL, qkv, &seqs, heads, scratch);
    assert_memory_equal(first, second, changed * D * sizeof *first);
    for (size_t n = changed; n < 70; n++)
        assert_memory_not_equal(first + n * D, second + n * D, D * sizeof *first);
    assert_memory_equal(first + 70 * D, second + 70 * D, 20 * D * sizeof *first);
    FREE_ALL(qkv, scratch, first, second);
    mf_pool_free(pool);
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_grouped),
        cmocka_unit_test(test_attention_step),
        cmocka_unit_test(test_attention_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
