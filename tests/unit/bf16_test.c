/* Products in bf16 beside sums in double of the rounded operands, at sizes that make blocks, rests and parts;
 * and what stays the same. */
#include "nn.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include "io/tensor.h"
#include "nn/attention_bf16.h"
#include "nn/matmul.h"

struct fixture {
    struct mf_pool *pool;
    struct products how;
};

static void begin(struct fixture *f, int threads) {
    struct mf_err err;
    matmul_setup();
    assert_int_equal(mf_pool_new(&f->pool, threads, &err), 0);
    f->how = products_fp32(f->pool);
    assert_int_equal(bf16_new(&f->how.bf16, threads, &err), 0);
}

static void end(struct fixture *f) {
    bf16_free(f->how.bf16);
    mf_pool_free(f->pool);
}

static double rounded(float x) {
    uint16_t half;
    float wide;
    mf_bf16_round(&half, &x, 1);
    mf_bf16_widen(&wide, &half, 1);
    return wide;
}

/* The sum of the products of n rounded numbers that lie so far apart, and of the products' sizes. */
static double dot(const float *a, size_t step_a, const float *b, size_t step_b, size_t n, double *size) {
    double sum = 0;
    *size = 0;
    for (size_t k = 0; k < n; k++) {
        double product = rounded(a[k * step_a]) * rounded(b[k * step_b]);
        sum += product;
        *size += fabs(product);
    }
    return sum;
}

static void check(float have, double before, const float *a, size_t step_a, const float *b, size_t step_b,
                  size_t n) {
    double size, want = before + dot(a, step_a, b, step_b, n, &size);
    if (fabs(have - want) > 1e-5 * (size + fabs(before)))
        fail_msg("%.9g is not %.9g (%zu terms)", (double)have, want, n);
}

/* All three products of blocks inside larger matrices, each number of a sample beside its sum. */
static void check_size(size_t N, size_t O, size_t in, int threads, float beta) {
    struct fixture f;
    size_t ld = 5, ld_x = in + ld, ld_y = O + ld, ld_w = in + ld;
    float *x = make_random(N * ld_x, 1), *y = make_random(N * ld_y, 2), *w = make_random(O * ld_w, 3),
          *to = make_random(N * ld_y, 4), *dx = make_random(N * ld_x, 5), *dw = make_random(O * ld_w, 6),
          *was = malloc((N + O) * (ld_x + ld_y) * sizeof *was);
    assert_non_null(was);
    begin(&f, threads);
    memcpy(was, to, N * ld_y * sizeof *was);
    matmul_forward_block(f.how, to, ld_y, x, ld_x, w, ld_w, N, O, in, beta);
    for (size_t n = 0; n < N; n += 1 + N / 37)
        for (size_t o = 0; o < O; o += 1 + O / 23) {
            size_t at = n * ld_y + o;
            check(to[at], beta * was[at], x + n * ld_x, 1, w + o * ld_w, 1, in);
        }
    for (size_t n = 0; n < N; n++)
        for (size_t k = O; k < ld_y; k++) assert_true(to[n * ld_y + k] == was[n * ld_y + k]);
    memcpy(was, dx, N * ld_x * sizeof *was);
    matmul_backward_input_block(f.how, dx, ld_x, y, ld_y, w, ld_w, N, O, in, beta);
    for (size_t n = 0; n < N; n += 1 + N / 37)
        for (size_t i = 0; i < in; i += 1 + in / 23) {
            size_t at = n * ld_x + i;
            check(dx[at], beta * was[at], y + n * ld_y, 1, w + i, ld_w, O);
        }
    memcpy(was, dw, O * ld_w * sizeof *was);
    matmul_backward_weight_block(f.how, dw, ld_w, y, ld_y, x, ld_x, N, O, in);
    for (size_t o = 0; o < O; o += 1 + O / 37)
        for (size_t i = 0; i < in; i += 1 + in / 23)
            check(dw[o * ld_w + i], was[o * ld_w + i], y + o, ld_y, x + i, ld_x, N);
    end(&f);
    free(x), free(y), free(w), free(to), free(dx), free(dw), free(was);
}

static void test_sizes(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{64, 64, 64},    {512, 128, 344}, {96, 33, 35},    {1055, 40, 48},
                                      {160, 2500, 64}, {64, 64, 3000},  {2080, 96, 800}, {33, 45, 32},
                                      {96, 16, 200},   {64, 200, 17}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int threads = 1; threads <= 3; threads += 2)
            check_size(sizes[i][0], sizes[i][1], sizes[i][2], threads, (float)(i % 2));
}

/* Vocabularies are long: parts of the weight's rows, and sums that are divided. */
static void test_long(void **state) {
    (void)state;
    check_size(64, 40000 / 2, 128, 2, 0);
    check_size(96, 4500, 600, 2, 1);
}

/* A weight that is in bf16 already gives the same bytes as one that is rounded. */
static void test_narrow(void **state) {
    (void)state;
    struct fixture f;
    size_t N = 300, O = 130, in = 72;
    float *x = make_random(N * in, 1), *w = make_random(O * in, 2),
          *y[2] = {make_zeros(N * O), make_zeros(N * O)}, *dx[2] = {make_zeros(N * in), make_zeros(N * in)};
    uint16_t *narrow = malloc(O * in * sizeof *narrow);
    assert_non_null(narrow);
    begin(&f, 2);
    mf_bf16_round(narrow, w, O * in);
    matmul_forward(f.how, y[0], x, w, N, O, in, 0);
    matmul_forward_weight(f.how, y[1], O, x, in, (struct weight){NULL, narrow}, in, N, O, in, 0);
    assert_memory_equal(y[0], y[1], N * O * sizeof(float));
    matmul_backward_input(f.how, dx[0], y[0], w, N, O, in, 1);
    matmul_backward_input_weight(f.how, dx[1], in, y[0], O, (struct weight){NULL, narrow}, in, N, O, in, 1);
    assert_memory_equal(dx[0], dx[1], N * in * sizeof(float));
    /* columns of a wider one; few rows too, for which nothing else would do */
    for (size_t rows = 3; rows <= 64; rows += 61) {
        memset(y[1], 0, N * O * sizeof(float));
        matmul_forward_weight(f.how, y[1], O, x, in, (struct weight){NULL, narrow + 8}, in, rows, O, in - 8,
                              0);
        for (size_t n = 0; n < rows; n++)
            for (size_t o = 0; o < O; o++)
                check(y[1][n * O + o], 0, x + n * in, 1, w + o * in + 8, 1, in - 8);
    }
    end(&f);
    free(x), free(w), free(y[0]), free(y[1]), free(dx[0]), free(dx[1]), free(narrow);
}

/* What is too small is multiplied in fp32, to the bit. */
static void test_small(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, 2);
    size_t N = 64, O = 8, in = 96;
    float *x = make_random(N * in, 7), *w = make_random(O * in, 8), *a = make_random(N * O, 9),
          *b = make_random(N * O, 10);
    assert_false(bf16_takes(N, O, in, 0));
    matmul_forward(f.how, a, x, w, N, O, in, 0);
    matmul_forward(products_fp32(f.pool), b, x, w, N, O, in, 0);
    assert_memory_equal(a, b, N * O * sizeof *a);
    end(&f);
    free(x), free(w), free(a), free(b);
}

/* The same product twice has the same bytes, from a new set of kernels too; NaN stays NaN. */
static void test_again(void **state) {
    (void)state;
    size_t N = 200, O = 70, in = 130;
    float *x = make_random(N * in, 11), *w = make_random(O * in, 12),
          *y[2] = {make_random(N * O, 13), make_random(N * O, 14)};
    for (size_t k = 0; k < 2; k++) {
        struct fixture f;
        begin(&f, 2);
        matmul_forward(f.how, y[k], x, w, N, O, in, 0);
        matmul_forward(f.how, y[k], x, w, N, O, in, 0);
        end(&f);
    }
    assert_memory_equal(y[0], y[1], N * O * sizeof(float));
    struct fixture f;
    begin(&f, 1);
    x[0] = NAN;
    w[3] = INFINITY;
    matmul_forward(f.how, y[0], x, w, N, O, in, 0);
    assert_true(isnan(y[0][0]));
    assert_false(isfinite(y[0][O]));
    end(&f);
    free(x), free(w), free(y[0]), free(y[1]);
}

static size_t threads_of_process(void) {
    size_t n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *e; tasks && (e = readdir(tasks));) n += e->d_name[0] != '.';
    if (tasks) closedir(tasks);
    return n;
}

/* A thread of the pool starts no others, not even where another one made its kernels. */
static void test_no_more_threads(void **state) {
    (void)state;
    struct fixture f;
    size_t side = 1024, ld = side + 5, rows = 256; /* gaps between rows: a kernel that asks when it runs */
    float *x = make_random(2 * rows * side, 1), *w = make_random(side * side, 2),
          *y = make_zeros(2 * rows * ld);
    begin(&f, 2);
    size_t threads = threads_of_process();
    struct mf_pool *one = make_pool(1);
    const struct products first = {.pool = one, .bf16 = f.how.bf16}, both = f.how;
    matmul_forward_block(first, y, ld, x, side, w, side, rows, side, side, 0);
    matmul_forward_block(both, y, ld, x, side, w, side, 2 * rows, side, side, 0);
    assert_int_equal(threads_of_process(), threads);
    mf_pool_free(one);
    end(&f);
    free(x), free(w), free(y);
}

/* |a - b| beside |b| */
static double distance(const float *a, const float *b, size_t n) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / size);
}

/* Attention beside that in fp32, forward and backward: heads that share keys, sequences of several lengths.
 * Each operand is rounded by 2^-9 at most. */
static void check_attention(struct heads heads, const size_t *start, size_t count, int threads) {
    const struct seqs seqs = {count, start};
    size_t N = start[count], A = heads.H * heads.d, C = heads_columns(heads);
    struct fixture f;
    float *qkv = make_random(N * C, 1), *dout = make_random(N * A, 2), *out[2], *dqkv[2], *lse[2];
    float *scratch = malloc(attention_scratch(threads, N, heads.d) * sizeof *scratch);
    begin(&f, threads);
    for (size_t k = 0; k < 2; k++) {
        out[k] = make_poison(N * A);
        dqkv[k] = make_poison(N * C);
        lse[k] = make_poison(N * heads.H);
    }
    assert_true(attention_bf16_takes(f.how.bf16, &seqs, heads));
    attention_bf16_forward(f.how.bf16, f.pool, out[0], lse[0], qkv, &seqs, heads);
    attention_bf16_backward(f.how.bf16, f.pool, dqkv[0], dout, qkv, out[0], lse[0], &seqs, heads);
    attention_forward(f.pool, out[1], lse[1], qkv, &seqs, heads, scratch);
    attention_backward(f.pool, dqkv[1], dout, qkv, out[1], lse[1], &seqs, heads, scratch);
    assert_in_range(1e6 * distance(out[0], out[1], N * A), 1, 6000);
    assert_in_range(1e6 * distance(lse[0], lse[1], N * heads.H), 1, 6000);
    assert_in_range(1e6 * distance(dqkv[0], dqkv[1], N * C), 1, 12000);
    end(&f);
    for (size_t k = 0; k < 2; k++) free(out[k]), free(dqkv[k]), free(lse[k]);
    free(qkv), free(dout), free(scratch);
}

static void test_attention(void **state) {
    (void)state;
    check_attention((struct heads){2, 2, 64}, (const size_t[]){0, 512}, 1, 1);
    check_attention((struct heads){4, 2, 32}, (const size_t[]){0, 64, 704, 832}, 3, 3);
    check_attention((struct heads){3, 1, 70}, (const size_t[]){0, 64, 192}, 2, 2);
    struct fixture f;
    begin(&f, 1);
    const struct heads heads = {1, 1, 32};
    assert_false(attention_bf16_takes(f.how.bf16, &(struct seqs){1, (const size_t[]){0, 65}}, heads));
    assert_false(attention_bf16_takes(f.how.bf16, &(struct seqs){1, (const size_t[]){0, 1 << 20}}, heads));
    assert_false(attention_bf16_takes(NULL, &(struct seqs){1, (const size_t[]){0, 64}}, heads));
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_long),  cmocka_unit_test(test_small),
        cmocka_unit_test(test_narrow),   cmocka_unit_test(test_again), cmocka_unit_test(test_no_more_threads),
        cmocka_unit_test(test_attention)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
