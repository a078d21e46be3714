/* Products with a matrix's change of low rank against naive loops in double, at odd sizes and as blocks of
 * larger matrices; gradients against central differences; the sum that is made against the product that makes
 * none. */
#include "nn.h"

#include "nn/low_rank.h"
#include "nn/matmul.h"

#define SCALE 0.75f

/* y = x (scale b a)^T, all [.,.] dense. */
struct twin {
    double *x, *a, *b, *weights;
    size_t N, O, I, R;
};

static double twin_sum(const void *context) {
    const struct twin *t = context;
    double sum = 0;
    for (size_t n = 0; n < t->N; n++)
        for (size_t o = 0; o < t->O; o++)
            for (size_t r = 0; r < t->R; r++)
                for (size_t i = 0; i < t->I; i++)
                    sum += t->weights[n * t->O + o] * (double)SCALE * t->b[o * t->R + r] *
                           t->a[r * t->I + i] * t->x[n * t->I + i];
    return sum;
}

/* Rows of `columns` numbers, `extra` further apart, with something in between. */
static float *spread(const float *x, size_t rows, size_t columns, size_t extra) {
    float *wide = make_random(rows * (columns + extra), 99);
    for (size_t r = 0; r < rows; r++)
        memcpy(wide + r * (columns + extra), x + r * columns, columns * sizeof *x);
    return wide;
}

static float *gather(const float *wide, size_t rows, size_t columns, size_t extra) {
    float *x = make_zeros(rows * columns);
    for (size_t r = 0; r < rows; r++)
        memcpy(x + r * columns, wide + r * (columns + extra), columns * sizeof *x);
    return x;
}

/* What is between the rows stays as it was. */
static void assert_between(const float *wide, const float *before, size_t rows, size_t columns,
                           size_t extra) {
    for (size_t r = 0; r < rows; r++)
        assert_memory_equal(wide + r * (columns + extra) + columns, before + r * (columns + extra) + columns,
                            extra * sizeof *wide);
}

static void check(size_t N, size_t O, size_t I, size_t R, size_t extra, int threads) {
    struct mf_pool *pool = make_pool(threads);
    float *x = make_random(N * I, 1), *a = make_random(R * I, 2), *b = make_random(O * R, 3),
          *dy = make_random(N * O, 4);
    float *wide_x = spread(x, N, I, extra), *wide_a = spread(a, R, I, extra),
          *wide_dy = spread(dy, N, O, extra);
    float *start = make_random(N * (O + extra), 5), *wide_y = make_random(N * (O + extra), 5);
    float *u = make_poison(N * R), *du = make_poison(N * R);
    struct low_rank w = {wide_a, b, I + extra, R, O, I, SCALE};
    struct twin t = {
        to_double(x, N * I), to_double(a, R * I), to_double(b, O * R), to_double(dy, N * O), N, O, I, R};

    low_rank_forward(products_fp32(pool), wide_y, O + extra, wide_x, I + extra, &w, N, u);
    double *expected = malloc(N * O * sizeof *expected);
    for (size_t n = 0; n < N; n++)
        for (size_t o = 0; o < O; o++) {
            double sum = (double)start[n * (O + extra) + o];
            for (size_t r = 0; r < R; r++)
                for (size_t i = 0; i < I; i++)
                    sum += (double)SCALE * (double)b[o * R + r] * (double)a[r * I + i] * (double)x[n * I + i];
            expected[n * O + o] = sum;
        }
    float *y = gather(wide_y, N, O, extra);
    assert_close("y", y, expected, N * O, 1e-5);
    assert_between(wide_y, start, N, O, extra);

    float *dx = make_zeros(N * (I + extra)), *da = make_zeros(R * (I + extra)), *db = make_zeros(O * R);
    float *zeros = make_zeros((N + R) * (I + extra));
    low_rank_backward_inside(products_fp32(pool), du, wide_dy, O + extra, &w, N);
    low_rank_backward_input(products_fp32(pool), dx, I + extra, du, &w, N);
    low_rank_backward_weight(products_fp32(pool), da, db, wide_dy, O + extra, wide_x, I + extra, du, &w, N,
                             u);
    float *dense_dx = gather(dx, N, I, extra), *dense_da = gather(da, R, I, extra);
    assert_gradient("x", dense_dx, t.x, N * I, twin_sum, &t);
    assert_gradient("a", dense_da, t.a, R * I, twin_sum, &t);
    assert_gradient("b", db, t.b, O * R, twin_sum, &t);
    assert_between(dx, zeros, N, I, extra);
    assert_between(da, zeros, R, I, extra);

    /* once more adds the same */
    low_rank_backward_weight(products_fp32(pool), da, db, wide_dy, O + extra, wide_x, I + extra, du, &w, N,
                             u);
    for (size_t i = 0; i < R * I; i++) dense_da[i] = da[i / I * (I + extra) + i % I] / 2;
    assert_gradient("a twice", dense_da, t.a, R * I, twin_sum, &t);

    FREE_ALL(x, a, b, dy, wide_x, wide_a, wide_dy, start, wide_y, u, du, y, dx, da, db, zeros, dense_dx,
             dense_da);
    FREE_ALL(expected, t.x, t.a, t.b, t.weights);
    mf_pool_free(pool);
}

static void test_products(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        check(1, 1, 1, 1, 0, threads);
        check(1, 13, 7, 2, 3, threads);
        check(7, 5, 11, 3, 0, threads);
        check(37, 1, 19, 5, 2, threads);
        check(5, 17, 3, 3, 1, threads); /* as many as there are columns */
    }
}

/* Products of blocks of rows and of columns are parts of the whole one, and add up to it. */
static void test_sum(void **state) {
    (void)state;
    enum { O = 13, I = 7, R = 3, N = 5 };
    struct mf_pool *pool = make_pool(2);
    float *w = make_random(O * I, 1), *a = make_random(R * I, 2), *b = make_random(O * R, 3),
          *x = make_random(N * I, 4);
    float *merged = make_zeros(O * I), *block = make_zeros(17), *y = make_zeros(N * O),
          *z = make_zeros(N * O), *u = make_zeros(N * R);
    struct low_rank change = {a, b, I, R, O, I, SCALE};
    memcpy(merged, w, O * I * sizeof *w);
    low_rank_add(merged, 0, O * I, &change);
    matmul_forward(products_fp32(pool), y, x, merged, N, O, I, 0);
    matmul_forward(products_fp32(pool), z, x, w, N, O, I, 0);
    for (size_t i = 0; i < I; i += 3) { /* columns */
        struct low_rank columns = {a + i, b, I, R, O, I - i < 3 ? I - i : 3, SCALE};
        low_rank_forward(products_fp32(pool), z, O, x + i, I, &columns, N, u);
    }
    double *expected = to_double(y, N * O);
    assert_close("in columns", z, expected, N * O, 1e-5);
    for (size_t at = 0; at < O * I; at += 17) { /* ranges: the same bytes */
        size_t count = O * I - at < 17 ? O * I - at : 17;
        memcpy(block, w + at, count * sizeof *w);
        low_rank_add(block, at, count, &change);
        assert_memory_equal(block, merged + at, count * sizeof *w);
    }
    FREE_ALL(w, a, b, x, merged, block, y, z, u, expected);
    mf_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_sum)};
    matmul_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
