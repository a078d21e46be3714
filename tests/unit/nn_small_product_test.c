/* Products of packed operands against naive sums in double. */
#include "nn.h"

#include "nn/small_product.h"

/* c = a b of each size, a as it is or transposed, with rows further apart than they are long. */
static void check_product(size_t M, size_t N, size_t K, bool transposed, bool adds) {
    size_t ld_b = N + 3, ld_c = N + 5;
    float *a = make_random(M * K, 1), *b = make_random(K * ld_b, 2), *c = make_random(M * ld_c, 3);
    struct small_product p = {.c = c, .a = a, .b = b, .M = M, .N = N, .K = K, .ld_b = ld_b, .ld_c = ld_c};
    p.step_m = transposed ? 1 : K;
    p.step_k = transposed ? M : 1;
    p.adds = adds;
    double *expected = to_double(c, M * ld_c); /* between the rows it stays as it is */
    for (size_t m = 0; m < M; m++)
        for (size_t n = 0; n < N; n++) {
            double sum = adds ? expected[m * ld_c + n] : 0;
            for (size_t k = 0; k < K; k++)
                sum += (double)a[m * p.step_m + k * p.step_k] * (double)b[k * ld_b + n];
            expected[m * ld_c + n] = sum;
        }
    if (!adds)
        for (size_t m = 0; m < M; m++)
            for (size_t n = 0; n < N; n++) c[m * ld_c + n] = NAN; /* not read */
    small_product(&p);
    assert_close("c", c, expected, M * ld_c, 1e-5);
    FREE_ALL(a, b, c, expected);
}

static void test_small_product(void **state) {
    (void)state;
    for (size_t M = SMALL_ROWS; M <= 3 * SMALL_ROWS; M += SMALL_ROWS)
        for (size_t N = SMALL_COLUMNS; N <= 3 * SMALL_COLUMNS; N += SMALL_COLUMNS)
            for (size_t K = 0; K < 14; K += 1 + 6 * (K > 1)) /* 0, 1, 2, 9 */
                for (int how = 0; how < 4; how++) check_product(M, N, K, how & 1, how & 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
