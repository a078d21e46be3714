/* Safetensors: round trip, and each way in which a header can lie. */
#include <math.h>
#include "scratch.h"

#include "base/clock.h"
#include "io/safetensors.h"

static struct mf_err err;

static void test_round_trip(void **state) {
    (void)state;
    float a[6] = {1, 2, 3, 4, 5, 6}, back[3];
    uint16_t b[3] = {7, 8, 9};
    const struct mf_tensor t[3] = {{.name = "z", .n_dims = 2, .shape = {2, 3}},
                                   {.name = "a", .dtype = MF_BF16, .n_dims = 1, .shape = {3}},
                                   {.name = "none", .n_dims = 2, .shape = {0, 3}}};
    struct mf_out *out;
    json_t *metadata = json_pack("{s:s}", "config", "{\"x\": 1}");
    assert_int_equal(mf_out_open(&out, "m", &err), 0);
    assert_int_equal(mf_safetensors_header(out, metadata, t, 3, &err), 0);
    assert_int_equal(mf_out_offset(out) % 64, 0);
    mf_out_write(out, a, sizeof a, &err);
    mf_out_write(out, b, sizeof b, &err);
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(metadata);
    struct mf_safetensors *st;
    assert_int_equal(mf_safetensors_open(&st, "m", &err), 0);
    assert_int_equal(mf_safetensors_count(st), 3);
    assert_int_equal(mf_safetensors_find(st, "z"), 0);
    assert_int_equal(mf_safetensors_find(st, "a"), 1);
    assert_int_equal(mf_safetensors_find(st, "b"), -1);
    assert_int_equal(mf_safetensors_tensor(st, 1)->dtype, MF_BF16);
    assert_int_equal(mf_safetensors_read(st, 0, 12, back, 12, &err), 0);
    assert_memory_equal(back, a + 3, 12);
    assert_string_equal(json_string_value(json_object_get(mf_safetensors_metadata(st), "config")),
                        "{\"x\": 1}");
    mf_safetensors_close(st);
    mf_safetensors_close(NULL);
}

/* Writes length, header and `data_size` bytes. `length` 0 stands for the true one. */
static void write_model(const char *header, uint64_t length, size_t data_size) {
    unsigned char bytes[2048] = {0};
    size_t n = strlen(header);
    if (length == 0) length = n;
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, n);
    write_file("m", bytes, 8 + n + data_size);
}

static int open_model(void) {
    struct mf_safetensors *st;
    err = (struct mf_err){0};
    if (mf_safetensors_open(&st, "m", &err) < 0) return -1;
    mf_safetensors_close(st);
    return 0;
}

static void refuse(const char *message, const char *header, uint64_t length, size_t data_size) {
    write_model(header, length, data_size);
    assert_int_equal(open_model(), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (strcmp(err.text, message) != 0) print_error("%s\n", err.text);
    assert_string_equal(err.text, message);
}

#define T(name, shape, begin, end)                                                                           \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"
#define GOOD "{" T("a", "[2]", "0", "8") "," T("b", "[1]", "8", "12") "}"

static void test_good_headers(void **state) {
    (void)state;
    static const char *const headers[] = {
        GOOD,
        "{" T("b", "[1]", "8", "12") "," T("a", "[2]", "0", "8") "}",
        "{\"__metadata__\":{}," T("a", "[2]", "0", "8") "," T("b", "[]", "8", "12") "}    ",
        "{" T("a", "[2]", "0",
              "8") ",\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12],\"new\":1}}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        write_model(headers[i], 0, 12);
        assert_int_equal(open_model(), 0);
    }
}

static void test_lies(void **state) {
    (void)state;
    size_t before = mf_peak_memory();
    refuse("m: not a model: the header's length 99999 is larger than the file", GOOD, 99999, 12);
    refuse("m: not a model: the header's length 9223372036854775808 is larger than the file", GOOD,
           UINT64_C(1) << 63, 12);
    refuse("m: not a model: the header's length 18446744073709551615 is larger than the file", GOOD,
           UINT64_MAX, 12);
    refuse("m: the header is not a JSON object: it does not begin with '{'", "[1,2]", 0, 0);
    refuse("m: the header is not a JSON object: it does not begin with '{'", " {}", 0, 0);
    refuse("m: the header has the name 'a' twice",
           "{" T("a", "[2]", "0", "8") "," T("\\u0061", "[1]", "8", "12") "}", 0, 12);
    refuse("m: tensors a and b overlap", "{" T("a", "[1]", "0", "4") "," T("b", "[1]", "0", "4") "}", 0, 4);
    refuse("m: tensors a and b overlap", "{" T("b", "[2]", "4", "12") "," T("a", "[2]", "0", "8") "}", 0, 12);
    refuse("m: a hole of 4 bytes before tensor b",
           "{" T("a", "[1]", "0", "4") "," T("b", "[1]", "8", "12") "}", 0, 12);
    refuse("m: a hole of 4 bytes before tensor b", "{" T("b", "[1]", "4", "8") "}", 0, 8);
    refuse("m: 1 bytes after the last tensor", GOOD, 0, 13);
    refuse("m: tensor a: ends at 4 before it begins at 8", "{" T("a", "[1]", "8", "4") "}", 0, 8);
    refuse("m: tensor b: ends at 12, the file has 11 bytes of data", GOOD, 0, 11);
    refuse("m: tensor a: 8 bytes for F32 [3], which has 12", "{" T("a", "[3]", "0", "8") "}", 0, 8);
    refuse("m: tensor a: the shape is too large", "{" T("a", "[4611686018427387904,4]", "0", "8") "}", 0, 8);
    refuse("m: tensor a: the shape holds something that is not a size", "{" T("a", "[-2]", "0", "8") "}", 0,
           8);
    refuse("m: tensor a: the shape holds something that is not a size", "{" T("a", "[2.0]", "0", "8") "}", 0,
           8);
    refuse("m: tensor a: data_offsets are not two positions", "{" T("a", "[2]", "-8", "0") "}", 0, 8);
    refuse("m: tensor a: dtype 'F64' is not F32, BF16, F16 or I64",
           "{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 0, 8);
    refuse("m: tensor a: no dtype", "{\"a\":{}}", 0, 0);
    refuse("m: tensor a: not an object", "{\"a\":1}", 0, 0);
    refuse("m: metadata 'x' is not a string", "{\"__metadata__\":{\"x\":1}}", 0, 0);
    refuse("m: __metadata__ is not an object", "{\"__metadata__\":[]}", 0, 0);
    assert_true(mf_peak_memory() < before + ((size_t)8 << 20));
}

static void test_length_shorter_than_the_json(void **state) {
    (void)state;
    for (uint64_t n = 1; n < strlen(GOOD); n++) {
        write_model(GOOD, n, 12);
        assert_int_equal(open_model(), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_non_null(strstr(err.text, "m: the header is not a JSON object"));
    }
    write_model(GOOD, strlen(GOOD) + 4, 12);
    assert_int_equal(open_model(), -1);
}

static void test_every_cut(void **state) {
    (void)state;
    write_model(GOOD, 0, 12);
    size_t size;
    unsigned char *bytes = read_file("m", &size);
    for (size_t n = 0; n < size; n++) {
        write_file("m", bytes, n);
        assert_int_equal(open_model(), -1);
        assert_int_equal(err.status, EX_DATAERR);
    }
    free(bytes);
    unlink("m");
    assert_int_equal(open_model(), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

/* What binary16 with these bits is, by its definition; of infinity what would come next. */
static double half_value(uint32_t bits) {
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent ? ldexp(1024 + fraction, (int)exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -value : value;
}

static void expect_half(double value, uint32_t bits) {
    uint16_t half;
    float x = (float)value;
    mf_f16_round(&half, &x, 1);
    if (half != bits) fail_msg("%a becomes %04x, not %04x", value, half, bits);
}

/* Every F16 keeps its value both ways; between two of them the nearest is taken, in the middle the even. */
static void test_f16(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        uint16_t half = (uint16_t)bits;
        float x;
        if ((bits & 0x7fff) >= 0x7c00) continue;
        mf_f16_widen(&x, &half, 1);
        assert_true((double)x == half_value(bits) && (signbit(x) != 0) == (bits >= 0x8000));
        double middle = (half_value(bits) + half_value(bits + 1)) / 2;
        expect_half(half_value(bits), bits);
        expect_half(middle, bits + (bits & 1));
        expect_half((double)nextafterf((float)middle, 0), bits);
        expect_half((double)nextafterf((float)middle, (float)(2 * middle)), bits + 1);
    }
    expect_half(-INFINITY, 0xfc00);
    expect_half(1e30, 0x7c00);
    expect_half(1e-30, 0);
    uint16_t rounded, infinite = 0x7c00;
    float x = NAN;
    mf_f16_round(&rounded, &x, 1);
    assert_true((rounded & 0x7fff) > 0x7c00);
    mf_f16_widen(&x, &rounded, 1);
    assert_true(isnan(x));
    mf_f16_widen(&x, &infinite, 1);
    assert_true(isinf(x) && x > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_lies),       cmocka_unit_test(test_length_shorter_than_the_json),
        cmocka_unit_test(test_every_cut),  cmocka_unit_test(test_f16),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
