/* Biases, embeddings without positions, and that the number of threads changes no byte of any kernel of
 * family llama. */
#include "nn.h"
#include "rope_table.h"

#include "nn/attention.h"
#include "nn/bias.h"
#include "nn/embedding.h"
#include "nn/matmul.h"
#include "nn/rmsnorm.h"
#include "nn/swiglu.h"

static const float eps = 1e-5f;

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
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_embedding_alone),
        cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
