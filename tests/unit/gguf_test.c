/* GGUF: round trip, every type of value, each way in which a header can lie; and the rounding of its numbers
 * beside naive twins. */
#include "scratch.h"

#include <math.h>

#include "base/clock.h"
#include "export/quant.h"
#include "io/gguf.h"

static struct mf_err err;

/* --- files --- */

/* A header that is put together byte by byte. */
struct head {
    unsigned char bytes[4096];
    size_t size;
};

static void put(struct head *h, uint64_t value, int size) {
    for (int i = 0; i < size; i++) h->bytes[h->size++] = (unsigned char)(value >> 8 * i);
}

static void put_text(struct head *h, const char *text) {
    put(h, strlen(text), 8);
    memcpy(h->bytes + h->size, text, strlen(text));
    h->size += strlen(text);
}

static struct head begin(uint64_t version, uint64_t tensors, uint64_t keys) {
    struct head h = {.bytes = "GGUF", .size = 4};
    put(&h, version, 4);
    put(&h, tensors, 8);
    put(&h, keys, 8);
    return h;
}

/* A tensor of one dimension. */
static void put_tensor(struct head *h, const char *name, uint64_t length, uint64_t type, uint64_t offset) {
    put_text(h, name);
    put(h, 1, 4);
    put(h, length, 8);
    put(h, type, 4);
    put(h, offset, 8);
}

/* Writes the header, padding, and so many bytes of data. */
static void save(const struct head *h, size_t data) {
    unsigned char bytes[8192] = {0};
    memcpy(bytes, h->bytes, h->size);
    write_file("m", bytes, (h->size + 31) / 32 * 32 + data);
}

static int open_file(void) {
    struct mf_gguf *g;
    err = (struct mf_err){0};
    if (mf_gguf_open(&g, "m", &err) < 0) return -1;
    mf_gguf_close(g);
    return 0;
}

static void refuse(const char *message) {
    assert_int_equal(open_file(), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (strcmp(err.text, message) != 0) print_error("%s\n", err.text);
    assert_string_equal(err.text, message);
}

/* --- reading what was written --- */

struct seen {
    char text[512];
};

static int see(void *context, const json_t *value, struct mf_err *e) {
    (void)e;
    struct seen *s = context;
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    size_t used = strlen(s->text);
    snprintf(s->text + used, sizeof s->text - used, "%s ", text);
    free(text);
    return 0;
}

static const char *values_of(const struct mf_gguf *g, const char *key, uint64_t limit, struct seen *seen) {
    int64_t i = mf_gguf_find_key(g, key);
    assert_true(i >= 0);
    *seen = (struct seen){0};
    assert_int_equal(mf_gguf_values(g, mf_gguf_key(g, (size_t)i), limit, see, seen, &err), 0);
    return seen->text;
}

static void write_example(struct mf_gguf_tensor tensors[3]) {
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t b[3] = {7, 8, 9};
    static const unsigned char c[34 * 2] = {1};
    struct mf_gguf_keys keys = {0};
    struct mf_out *out;
    mf_gguf_put_string(&keys, "general.architecture", "llama");
    mf_gguf_put_u32(&keys, "count", UINT32_MAX);
    mf_gguf_put_float(&keys, "real", -0.5f);
    mf_gguf_put_bool(&keys, "yes", true);
    mf_gguf_put_list(&keys, "words", MF_GGUF_STRING, 3);
    mf_gguf_add_string(&keys, "one", 3);
    mf_gguf_add_string(&keys, "", 0);
    mf_gguf_add_string(&keys, "\"\xff\0", 3);
    mf_gguf_put_list(&keys, "types", MF_GGUF_I32, 2);
    mf_gguf_add_i32(&keys, -1);
    mf_gguf_add_i32(&keys, 6);
    assert_int_equal(mf_out_open(&out, "m", &err), 0);
    assert_int_equal(mf_gguf_header(out, &keys, tensors, 3, &err), 0);
    const void *const data[] = {a, b, c};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mf_out_offset(out), tensors[i].offset);
        assert_int_equal(tensors[i].offset % 32, 0);
        assert_int_equal(mf_out_write(out, data[i], tensors[i].bytes, &err), 0);
        assert_int_equal(mf_gguf_pad(out, tensors[i].bytes, &err), 0);
    }
    assert_int_equal(mf_out_commit(out, &err), 0);
    mf_gguf_keys_free(&keys);
}

static void test_round_trip(void **state) {
    (void)state;
    struct mf_gguf_tensor t[3] = {{.name = "z", .type = MF_GGUF_F32, .n_dims = 2, .shape = {2, 3}},
                                  {.name = "a", .type = MF_GGUF_BF16, .n_dims = 1, .shape = {3}},
                                  {.name = "c", .type = MF_GGUF_Q8_0, .n_dims = 3, .shape = {2, 1, 32}}};
    struct seen seen;
    struct mf_gguf *g;
    float back[3];
    write_example(t);
    assert_int_equal(mf_gguf_open(&g, "m", &err), 0);
    assert_int_equal(mf_gguf_key_count(g), 6);
    assert_string_equal(values_of(g, "general.architecture", 9, &seen), "\"llama\" ");
    assert_string_equal(values_of(g, "count", 9, &seen), "4294967295 ");
    assert_string_equal(values_of(g, "real", 9, &seen), "-0.5 ");
    assert_string_equal(values_of(g, "yes", 9, &seen), "true ");
    assert_string_equal(values_of(g, "words", 9, &seen), "\"one\" \"\" \"\\\"\xef\xbf\xbd\\u0000\" ");
    assert_string_equal(values_of(g, "words", 1, &seen), "\"one\" ");
    assert_string_equal(values_of(g, "types", 9, &seen), "-1 6 ");
    assert_int_equal(mf_gguf_find_key(g, "type"), -1);
    assert_int_equal(mf_gguf_tensor_count(g), 3);
    assert_int_equal(mf_gguf_find_tensor(g, "c"), 2);
    assert_int_equal(mf_gguf_find_tensor(g, "b"), -1);
    for (size_t i = 0; i < 3; i++) assert_memory_equal(mf_gguf_tensor(g, i), &t[i], sizeof t[i]);
    assert_int_equal(mf_gguf_read(g, 0, 12, back, 12, &err), 0);
    assert_true(back[0] == 4 && back[2] == 6);
    mf_gguf_close(g);
    mf_gguf_close(NULL);
}

static void test_every_type_of_value(void **state) {
    (void)state;
    struct head h = begin(2, 0, 9);
    static const struct {
        const char *name, *shown;
        uint64_t bits;
        int type, size;
    } values[] = {{"a", "200 ", 200, MF_GGUF_U8, 1},
                  {"b", "-56 ", 200, MF_GGUF_I8, 1},
                  {"c", "65535 ", 65535, MF_GGUF_U16, 2},
                  {"d", "-1 ", 65535, MF_GGUF_I16, 2},
                  {"e", "1.8446744073709552e19 ", UINT64_MAX, MF_GGUF_U64, 8},
                  {"f", "-1 ", UINT64_MAX, MF_GGUF_I64, 8},
                  {"g", "0.5 ", UINT64_C(0x3fe0000000000000), MF_GGUF_DOUBLE, 8},
                  {"h", "null ", UINT64_C(0x7fc00000), MF_GGUF_FLOAT, 4},
                  {"i", "false ", 0, MF_GGUF_BOOL, 1}};
    for (size_t i = 0; i < 9; i++) {
        put_text(&h, values[i].name);
        put(&h, (uint64_t)values[i].type, 4);
        put(&h, values[i].bits, values[i].size);
    }
    write_file("m", h.bytes, h.size); /* without tensors there need be no padding */
    struct mf_gguf *g;
    struct seen seen;
    assert_int_equal(mf_gguf_open(&g, "m", &err), 0);
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(values_of(g, values[i].name, 1, &seen), values[i].shown);
    mf_gguf_close(g);
}

/* --- lies --- */

static void test_lies_about_counts(void **state) {
    (void)state;
    size_t before = mf_peak_memory();
    struct head h = begin(3, UINT64_MAX, 0);
    save(&h, 0);
    refuse("m: 0 keys and 18446744073709551615 tensors do not fit into 32 bytes");
    h = begin(3, 0, UINT64_C(1) << 63);
    save(&h, 0);
    refuse("m: 9223372036854775808 keys and 0 tensors do not fit into 32 bytes");
    h = begin(3, 0, 31);
    save(&h, 0);
    refuse("m: byte 24: a key of 0 bytes, must be 1 to 65535");
    h = begin(4, 0, 0);
    save(&h, 0);
    refuse("m: GGUF version 4, must be 2 or 3");
    h = begin(3u << 24, 0, 0);
    save(&h, 0);
    refuse("m: GGUF version 50331648, must be 2 or 3 (big-endian?)");
    write_file("m", "GGUE", 4);
    refuse("m: not a GGUF file");
    write_file("m", "", 0);
    refuse("m: empty, not a GGUF file");
    assert_true(mf_peak_memory() < before + ((size_t)8 << 20));
}

/* A file of one key, whose type and what follows it are these numbers. */
static void refuse_key(const char *message, const char *name, uint64_t type, uint64_t item, uint64_t count) {
    struct head h = begin(3, 0, 1);
    put_text(&h, name);
    put(&h, type, 4);
    if (type == MF_GGUF_LIST) put(&h, item, 4);
    put(&h, count, 8);
    save(&h, 0);
    refuse(message);
}

static void test_lies_about_keys(void **state) {
    (void)state;
    size_t before = mf_peak_memory();
    refuse_key("m: key a: unknown type 13", "a", 13, 0, 0);
    refuse_key("m: key a: unknown type 99", "a", MF_GGUF_LIST, 99, 0);
    refuse_key("m: key a: a list of lists", "a", MF_GGUF_LIST, MF_GGUF_LIST, 1);
    refuse_key("m: key a: 18446744073709551615 values do not fit into the file", "a", MF_GGUF_LIST,
               MF_GGUF_U8, UINT64_MAX);
    refuse_key("m: key a: 2305843009213693953 values do not fit into the file", "a", MF_GGUF_LIST,
               MF_GGUF_U64, (UINT64_C(1) << 61) + 1);
    refuse_key("m: key a: 9 values do not fit into the file", "a", MF_GGUF_LIST, MF_GGUF_STRING, 9);
    refuse_key("m: the header wants 18446744073709551615 bytes at byte 45 of 64", "a", MF_GGUF_STRING, 0,
               UINT64_MAX);
    refuse_key("m: key a: a bool is 2, not 0 or 1", "a", MF_GGUF_BOOL, 0, 2);
    refuse_key("m: byte 24: a key that is not printable ASCII", "a\n", MF_GGUF_U64, 0, 0);
    refuse_key("m: general.alignment is not of type u32", "general.alignment", MF_GGUF_I32, 0, 32);
    refuse_key("m: general.alignment is 0, must be a power of two up to 1048576", "general.alignment",
               MF_GGUF_U32, 0, 0);
    refuse_key("m: general.alignment is 24, must be a power of two up to 1048576", "general.alignment",
               MF_GGUF_U32, 0, 24);
    struct head h = begin(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&h, "a");
        put(&h, MF_GGUF_U8, 4);
        put(&h, 0, 1);
    }
    save(&h, 0);
    refuse("m: the key a is there twice");
    assert_true(mf_peak_memory() < before + ((size_t)8 << 20));
}

/* A file of one tensor, with so many bytes of data after the padding. */
static void save_tensor(const char *name, uint64_t length, uint64_t type, uint64_t offset, size_t data) {
    struct head h = begin(3, 1, 0);
    put_tensor(&h, name, length, type, offset);
    save(&h, data);
}

static void test_lies_about_tensors(void **state) {
    (void)state;
    save_tensor("a", 4, MF_GGUF_F32, 0, 16);
    assert_int_equal(open_file(), 0);
    save_tensor("a", 4, MF_GGUF_F32, 0, 32);
    assert_int_equal(open_file(), 0);
    save_tensor("a", 4, MF_GGUF_F32, 0, 15);
    refuse("m: tensor a: 16 bytes at 64, the file has 79");
    save_tensor("a", 4, MF_GGUF_F32, 0, 33);
    refuse("m: 17 bytes after the last tensor");
    save_tensor("a", 4, MF_GGUF_F32, 32, 64);
    refuse("m: tensor a: begins at 32, must at 0");
    save_tensor("a", 4, MF_GGUF_F32, UINT64_MAX - 31, 64);
    refuse("m: tensor a: begins at 18446744073709551584, must at 0");
    save_tensor("a", 33, MF_GGUF_Q8_0, 0, 64);
    refuse("m: tensor a: Q8_0 cannot have the shape [33]");
    save_tensor("a", UINT64_C(1) << 61, MF_GGUF_F32, 0, 64);
    refuse("m: tensor a: F32 cannot have the shape [2305843009213693952]");
    save_tensor("a", 4, 4, 0, 64);
    refuse("m: tensor a: unknown type 4");
    save_tensor("a", 4, UINT32_MAX, 0, 64);
    refuse("m: tensor a: unknown type 4294967295");
    char name[66] = "";
    memset(name, 'n', 65);
    save_tensor(name, 4, MF_GGUF_F32, 0, 64);
    refuse("m: byte 24: a tensor's name of 65 bytes, must be 1 to 64");
}

static void test_lies_about_several_tensors(void **state) {
    (void)state;
    static const struct {
        const char *name, *message;
        uint64_t offset;
    } second[] = {{"b", "m: tensor b: begins at 0, must at 32", 0},
                  {"b", "m: tensor b: begins at 64, must at 32", 64},
                  {"a", "m: the tensor a is there twice", 32}};
    for (size_t i = 0; i < 3; i++) {
        struct head h = begin(3, 2, 0);
        put_tensor(&h, "a", 4, MF_GGUF_F32, 0);
        put_tensor(&h, second[i].name, 4, MF_GGUF_F32, second[i].offset);
        save(&h, 96);
        refuse(second[i].message);
    }
    struct head h = begin(3, 1, 0);
    put_text(&h, "a");
    put(&h, 5, 4);
    save(&h, 96);
    refuse("m: tensor a: 5 dimensions, more than 4");
    h = begin(3, 1, 0);
    put_text(&h, "a");
    put(&h, 3, 4);
    for (int i = 0; i < 3; i++) put(&h, i == 1 ? 0 : UINT64_C(1) << 32, 8);
    put(&h, MF_GGUF_F16, 4);
    save(&h, 96);
    refuse("m: tensor a: F16 cannot have the shape [4294967296,0,4294967296]");
}

static void test_every_cut(void **state) {
    (void)state;
    struct mf_gguf_tensor t[3] = {{.name = "z", .type = MF_GGUF_F32, .n_dims = 2, .shape = {2, 3}},
                                  {.name = "a", .type = MF_GGUF_BF16, .n_dims = 1, .shape = {3}},
                                  {.name = "c", .type = MF_GGUF_Q8_0, .n_dims = 3, .shape = {2, 1, 32}}};
    size_t size;
    write_example(t);
    unsigned char *bytes = read_file("m", &size);
    assert_int_equal(size % 32, 0);
    for (size_t n = 0; n < size; n++) {
        write_file("m", bytes, n);
        bool whole = n >= t[2].offset + t[2].bytes; /* only padding is missing */
        assert_int_equal(open_file(), whole ? 0 : -1);
        if (!whole) assert_int_equal(err.status, EX_DATAERR);
    }
    free(bytes);
    unlink("m");
    assert_int_equal(open_file(), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

/* --- numbers --- */

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
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_type_of_value),
        cmocka_unit_test(test_lies_about_counts),
        cmocka_unit_test(test_lies_about_keys),
        cmocka_unit_test(test_lies_about_tensors),
        cmocka_unit_test(test_lies_about_several_tensors),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_q8_0),
        cmocka_unit_test(test_q4_0),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
