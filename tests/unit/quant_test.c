/* The rounding of numbers for GGUF beside naive twins. */
#include "scratch.h"

#include <math.h>
#include "export/quant.h"

#define N 4096

static float noise(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)((int32_t)*state >> 8) / (float)(1 << 23);
}

/* Blocks of several scales; some with one large number, equal numbers, zeros, and values that tie. */
static void fill(float *x) {
    uint32_t state = 7;
    for (size_t i = 0; i < N; i++) x[i] = ldexpf(noise(&state), (int)(i / 32 % 20) - 10);
    for (size_t i = 0; i < 32; i++) {
        x[i] = 0;
        x[32 + i] = 3;
        x[64 + i] = i == 5 ? -100 : i == 9 ? 100 : 0.01f;
        x[96 + i] = (float)i - 16;
        x[128 + i] = 127 - 7.5f * (float)i;
        x[160 + i] = 1e-42f * (float)i; /* smaller than any scale */
    }
}

/* 2^-24 is F16's smallest number; from 2^-14 on it has 11 digits. */
static double naive_f16(double x) {
    if (x == 0) return x;
    int exponent;
    frexp(x, &exponent);
    double unit = ldexp(1, exponent < -13 ? -24 : exponent - 11);
    return nearbyint(x / unit) * unit;
}

static void test_q8_0(void **state) {
    (void)state;
    float x[N], back[N];
    unsigned char bytes[N / 32 * 34];
    fill(x);
    mf_quant_narrow(bytes, x, N, MF_GGUF_Q8_0);
    assert_int_equal(mf_quant_widen(back, bytes, N, MF_GGUF_Q8_0), 0);
    for (size_t b = 0; b < N / 32; b++) {
        double most = 0;
        for (size_t i = 0; i < 32; i++) most = fmax(most, fabs((double)x[32 * b + i]));
        float d = (float)most / 127, inverse = d > 0 && isfinite(1 / d) ? 1 / d : 0;
        for (size_t i = 0; i < 32; i++) {
            double scaled = (double)(x[32 * b + i] * inverse);
            int q = scaled < 0 ? -(int)floor(0.5 - scaled) : (int)floor(scaled + 0.5);
            assert_int_equal((int8_t)bytes[34 * b + 2 + i], q);
            assert_true((double)back[32 * b + i] == q * naive_f16((double)d));
        }
    }
}

static void test_q4_0(void **state) {
    (void)state;
    float x[N], back[N];
    unsigned char bytes[N / 32 * 18];
    fill(x);
    mf_quant_narrow(bytes, x, N, MF_GGUF_Q4_0);
    assert_int_equal(mf_quant_widen(back, bytes, N, MF_GGUF_Q4_0), 0);
    for (size_t b = 0; b < N / 32; b++) {
        const float *y = x + 32 * b;
        size_t most = 0;
        for (size_t i = 1; i < 32; i++)
            if (fabsf(y[i]) > fabsf(y[most])) most = i;
        float d = y[most] / -8, inverse = d != 0 && isfinite(1 / d) ? 1 / d : 0;
        for (size_t i = 0; i < 32; i++) {
            int q = (int)floor((double)(y[i] * inverse + 8.5f)), byte = bytes[18 * b + 2 + i % 16];
            if (q > 15) q = 15;
            assert_int_equal(i < 16 ? byte & 15 : byte >> 4, q);
            assert_true((double)back[32 * b + i] == (q - 8) * naive_f16((double)d));
        }
    }
}

static void test_floats(void **state) {
    (void)state;
    float x[N], back[N];
    unsigned char bytes[4 * N];
    fill(x);
    mf_quant_narrow(bytes, x, N, MF_GGUF_F32);
    assert_int_equal(mf_quant_widen(back, bytes, N, MF_GGUF_F32), 0);
    assert_memory_equal(back, x, sizeof x);
    mf_quant_narrow(bytes, x, N, MF_GGUF_F16);
    assert_int_equal(mf_quant_widen(back, bytes, N, MF_GGUF_F16), 0);
    for (size_t i = 0; i < N; i++) assert_true((double)back[i] == naive_f16((double)x[i]));
    mf_quant_narrow(bytes, x, N, MF_GGUF_BF16);
    assert_int_equal(mf_quant_widen(back, bytes, N, MF_GGUF_BF16), 0);
    for (size_t i = 0; i < N; i++) assert_true(fabsf(back[i] - x[i]) <= fabsf(x[i]) / 256 + 1e-40f);
    assert_int_equal(mf_quant_widen(back, bytes, 0, 14), -1);
}

/* What is at the limit stays finite, and not far from itself. */
static void test_limits(void **state) {
    (void)state;
    static const enum mf_gguf_type types[] = {MF_GGUF_F32, MF_GGUF_F16, MF_GGUF_BF16, MF_GGUF_Q8_0,
                                              MF_GGUF_Q4_0};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        float x[32], back[32];
        unsigned char bytes[128];
        for (size_t i = 0; i < 32; i++) x[i] = mf_quant_limit(types[k]);
        mf_quant_narrow(bytes, x, 32, types[k]);
        assert_int_equal(mf_quant_widen(back, bytes, 32, types[k]), 0);
        for (size_t i = 0; i < 32; i++) assert_true(back[i] / x[i] > 0.99f && back[i] / x[i] < 1.01f);
        enum mf_gguf_type same;
        char name[8];
        snprintf(name, sizeof name, "%s", mf_gguf_block(types[k])->name);
        assert_int_equal(mf_gguf_type_parse(name, &same), 0);
        assert_int_equal(same, types[k]);
    }
    enum mf_gguf_type none;
    assert_int_equal(mf_gguf_type_parse("q6_k", &none), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q8_0),
        cmocka_unit_test(test_q4_0),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
