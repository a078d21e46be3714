/* A bundle's tensors into memory that is there, as the type that is wanted, or where they lie in the file. */
#include "bundle_fixture.h"

#include <math.h>

static void refuse_fill(const char *message, const char *path, const struct mf_tensor *wanted) {
    struct mf_bundle *b;
    assert_int_equal(mf_bundle_open(&b, path, "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, wanted, 1, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_memory_equal(err.text, message, strlen(message));
    mf_bundle_close(b);
}

/* What has no memory of its own is where it lies in the file, also behind the bundle's close; the rest is
 * read. */
static void test_map(void **state) {
    (void)state;
    struct mf_bundle *b;
    struct mf_bundle_map map = {0};
    struct mf_tensor t[2];
    float small[200];
    write_bundle("a.tar");
    describe(t);
    t[0].data = NULL;
    t[1].data = small;
    assert_int_equal(mf_bundle_open(&b, "a.tar", "expert", &err), 0);
    assert_true(mf_bundle_mappable(b));
    assert_int_equal(mf_bundle_fill_map(b, t, 2, &map, &err), 0);
    mf_bundle_close(b);
    assert_memory_equal(t[0].data, first, sizeof first);
    assert_int_equal(((unsigned char *)t[0].data - (unsigned char *)map.at) % 512, 0);
    assert_memory_equal(small, second, sizeof second);
    mf_bundle_unmap(&map);
    assert_null(map.at);
    mf_bundle_unmap(&map);
    size_t n;
    unsigned char *bytes = read_file("a.tar", &n);
    write_file("cut.tar", bytes, n - 600);
    free(bytes);
    t[0].data = NULL;
    assert_int_equal(mf_bundle_open(&b, "cut.tar", "expert", &err), 0);
    assert_int_equal(mf_bundle_fill_map(b, t, 2, &map, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    mf_bundle_close(b);
    mf_bundle_unmap(&map);
}

static void test_fill(void **state) {
    (void)state;
    struct mf_bundle *b;
    struct mf_tensor t[2];
    float whole[6], widened[200];
    uint16_t rounded[200];
    write_bundle("a.tar");
    describe(t);
    t[0].data = whole;
    t[1].data = rounded;
    t[1].dtype = MF_BF16; /* holds whole numbers up to 256 exactly */
    assert_int_equal(mf_bundle_open(&b, "a.tar", "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, t, 2, &err), 0);
    mf_bundle_close(b);
    assert_memory_equal(whole, first, sizeof first);
    mf_bf16_widen(widened, rounded, 200);
    assert_memory_equal(widened, second, sizeof second);
    memset(rounded, 0, sizeof rounded);
    assert_int_equal(mf_bundle_open(&b, "a.tar", "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, t + 1, 1, &err), 0); /* the other one is passed over */
    mf_bundle_close(b);
    mf_bf16_widen(widened, rounded, 200);
    assert_memory_equal(widened, second, sizeof second);

    t[0].shape[0] = 3;
    refuse_fill("a.tar: tensor layers.0.fc1.weight is F32 [2,3], not F32 [3,3]", "a.tar", t);
    t[0].n_dims = 1;
    refuse_fill("a.tar: tensor layers.0.fc1.weight is F32 [2,3], not F32 [3]", "a.tar", t);
    t[1].dtype = MF_I64;
    refuse_fill("a.tar: tensor layers.0.fc1.bias is F32 [200], not I64 [200]", "a.tar", t + 1);
    strcpy(t[1].name, "layers.1.fc1.bias");
    refuse_fill("a.tar: missing tensor layers.1.fc1.bias", "a.tar", t + 1);
    size_t size, at = 0;
    unsigned char *bytes = read_file("a.tar", &size);
    while (memcmp(bytes + at, second, 8) != 0 || memcmp(bytes + at, second, sizeof second) != 0) at++;
    bytes[at] ^= 1;
    write_file("flip", bytes, size);
    free(bytes);
    describe(t);
    t[1].data = rounded;
    t[1].dtype = MF_BF16;
    refuse_fill("flip: tensor layers.0.fc1.bias: bytes do not match their sha256: ", "flip", t + 1);
}

/* A bundle of one tensor of three numbers. */
static void write_three(const char *path, enum mf_dtype dtype, void *data) {
    struct mf_out *out;
    const struct mf_tensor t = {.name = "a", .dtype = dtype, .n_dims = 1, .shape = {3}, .data = data};
    json_t *meta = json_object();
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_bundle_write(out, "expert", meta, &t, 1, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(meta);
}

static void fill_three(const char *path, enum mf_dtype dtype, void *data) {
    struct mf_bundle *b;
    const struct mf_tensor t = {.name = "a", .dtype = dtype, .n_dims = 1, .shape = {3}, .data = data};
    assert_int_equal(mf_bundle_open(&b, path, "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, &t, 1, &err), 0);
    mf_bundle_close(b);
}

/* F32 is wanted of halves: exact. BF16 of F16: rounded, as F32 is. */
static void test_fill_halves(void **state) {
    (void)state;
    const float x[] = {1 + 1.0f / 1024, -0x1p-24f, 65504}, y[] = {-1.5f, 0x1p-130f, 0x1.fep127f};
    uint16_t halves[3], brains[3], expected[3];
    float back[3];
    mf_f16_round(halves, x, 3);
    mf_bf16_round(brains, y, 3);
    write_three("f16.tar", MF_F16, halves);
    write_three("bf16.tar", MF_BF16, brains);
    fill_three("f16.tar", MF_F32, back);
    assert_memory_equal(back, x, sizeof x);
    fill_three("bf16.tar", MF_F32, back);
    assert_memory_equal(back, y, sizeof y);
    mf_bf16_round(expected, x, 3);
    fill_three("f16.tar", MF_BF16, halves);
    assert_memory_equal(halves, expected, sizeof expected);
    memset(halves, 0, sizeof halves);
    fill_three("bf16.tar", MF_BF16, halves);
    assert_memory_equal(halves, brains, sizeof brains);
}

static void test_bf16(void **state) {
    (void)state;
    /* to the nearest, ties to even; what is too large becomes infinite, and NaN stays one */
    float x[] = {1 + 1.0f / 256, 1 + 3.0f / 256, -1 - 1.1f / 256, 3.4e38f, INFINITY, NAN};
    const float expected[] = {1, 1 + 4.0f / 256, -1 - 2.0f / 256, INFINITY, INFINITY};
    uint16_t rounded[6];
    mf_bf16_round(rounded, x, 6);
    mf_bf16_widen(x, rounded, 6);
    assert_memory_equal(x, expected, sizeof expected);
    assert_true(isnan(x[5]));
}

/* The largest and the smallest numbers of each kind are finite; with all bits of the exponent none is,
 * anywhere. */
static void test_finite_stored(void **state) {
    (void)state;
    const uint32_t f32[] = {0x7f7fffff, 0x80000001, 0x7f800000, 0xffc00001};
    const uint16_t bf16[] = {0x7f7f, 0x8001, 0x7f80, 0xffc1}, f16[] = {0x7bff, 0x8001, 0x7c00, 0xfe01};
    const void *const numbers[] = {[MF_F32] = f32, [MF_BF16] = bf16, [MF_F16] = f16};
    for (enum mf_dtype dtype = MF_F32; dtype <= MF_F16; dtype++) {
        const char *x = numbers[dtype];
        assert_true(mf_finite_stored(x, 0, dtype));
        assert_true(mf_finite_stored(x, 2, dtype));
        assert_false(mf_finite_stored(x, 3, dtype));
        assert_false(mf_finite_stored(x + 3 * mf_dtype_size(dtype), 1, dtype));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill), cmocka_unit_test(test_fill_halves),   cmocka_unit_test(test_map),
        cmocka_unit_test(test_bf16), cmocka_unit_test(test_finite_stored),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
