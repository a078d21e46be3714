/* Which bytes of the kernels do not depend on the number of threads, and that all are the same again. */
#include "nn.h"

#include "nn/attention.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/gelu.h"
#include "nn/layernorm.h"
#include "nn/loss.h"
#include "nn/matmul.h"
#include "nn/residual.h"

/* One pass of every kernel; what it writes, one array behind the other. */
static float *run_kernels(int threads, size_t *size, size_t *fixed) {
    enum { N = 83, D = 40, H = 4, V = 50, ROOM = 400000 };
    const size_t start[] = {0, 70, 71, N};
    struct seqs seqs = {3, start};
    const struct heads heads = {H, H, D / H};
    struct mf_pool *pool = make_pool(threads);
    float *all = make_zeros(ROOM), *at = all;
    float *x = make_random(N * D, 1), *w = make_random(V * D, 2), *qkv = make_random(N * 3 * D, 3);
    float *scratch = make_zeros(attention_scratch(threads, N, D / H) + (size_t)threads * 2 * V * D);
    uint32_t tokens[N];
    double losses[N];
    for (size_t n = 0; n < N; n++) tokens[n] = (uint32_t)(n * 7 % V);
#define TAKE(n) (at += (n), at - (n))
    /* whole rows, columns or pairs are one thread's: the same bytes for any number of threads */
    float *lse = TAKE(N * H), *out = TAKE(N * D), *mean = TAKE(N), *rstd = TAKE(N), *dx = TAKE(N * D);
    attention_forward(pool, out, lse, qkv, &seqs, heads, scratch);
    attention_backward(pool, TAKE(N * 3 * D), x, qkv, out, lse, &seqs, heads, scratch);
    attention_step(pool, TAKE(D), x, x, x, N, N, heads, scratch);
    layernorm_forward(pool, TAKE(N * D), mean, rstd, x, w, w + D, N, D);
    layernorm_backward(pool, dx, NULL, NULL, out, x, w, mean, rstd, NULL, N, D);
    bias_gelu_forward(pool, TAKE(N * D), x, w, N, D);
    bias_gelu_backward(pool, TAKE(N * D), NULL, out, x, w, NULL, N, D);
    embedding_forward(pool, TAKE(N * D), tokens, &seqs, w, x, (struct dropout){0.2f, 5, 0}, D);
    embedding_backward(pool, TAKE(V * D), x, tokens, &seqs, (struct dropout){0.2f, 5, 0}, -1, D);
    residual_forward(pool, dx, dx, x, w, (struct dropout){0.2f, 6, 0}, N, D);
    residual_backward(pool, TAKE(N * D), NULL, x, (struct dropout){0.2f, 7, 0}, NULL, N, D);
    float *logits = TAKE(N * D);
    memcpy(logits, x, N * D * sizeof *x);
    cross_entropy_backward(pool, losses, logits, (const uint32_t[N]){1, 2}, 0.5f, N, D);
    for (size_t n = 0; n < N; n++) *TAKE(1) = (float)losses[n];
    *fixed = (size_t)(at - all);
    /* sums over rows and the shapes of products follow the split: the same bytes for the same number of
     * threads */
    float *more = TAKE(4 * D);
    layernorm_backward(pool, TAKE(N * D), more, more + D, out, x, w, mean, rstd, scratch, N, D);
    bias_gelu_backward(pool, TAKE(N * D), more + 2 * D, out, x, w, scratch, N, D);
    residual_backward(pool, TAKE(N * D), more + 3 * D, x, (struct dropout){0.2f, 7, 0}, scratch, N, D);
    matmul_forward(products_fp32(pool), TAKE(N * V), x, w, N, V, D, 0);
    matmul_backward_input(products_fp32(pool), TAKE(N * D), qkv, w, N, V, D, 0);
    matmul_backward_weight(products_fp32(pool), TAKE(V * D), qkv, x, N, V, D);
#undef TAKE
    *size = (size_t)(at - all);
    assert_true(*size <= ROOM);
    FREE_ALL(x, w, qkv, scratch);
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
        cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
