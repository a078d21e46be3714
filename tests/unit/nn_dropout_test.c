/* Dropout: the mask, element by element. */
#include "nn.h"

#include "nn/dropout.h"

/* The mask is the documented function of mf_rng_at, wherever a call begins. */
static void test_dropout_definition(void **state) {
    (void)state;
    const float p = 0.37f;
    float mask[DROPOUT_CHUNK];
    for (uint64_t first = 0; first < 3; first++)
        for (size_t n = 1; n <= DROPOUT_CHUNK; n += 85) {
            uint64_t key = 0x123456789abcdefu * (n + 1), begin = first + ((uint64_t)1 << 40);
            dropout_mask(mask, p, key, begin, n);
            for (size_t j = 0; j < n; j++) {
                uint64_t i = begin + j, half = mf_rng_at(key, i / 2) >> (i % 2 ? 32 : 0) & 0xffffffff;
                bool dropped = (double)half < (double)p * 0x1p32;
                assert_true(mask[j] == (dropped ? 0 : 1 / (1 - p)));
            }
        }
    dropout_mask(mask, 0, 1, 0, DROPOUT_CHUNK);
    for (size_t j = 0; j < DROPOUT_CHUNK; j++) assert_true(mask[j] == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
