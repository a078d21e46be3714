/* Each way in which the header of a GGUF file can lie. */
#include "gguf_head.h"

#include "base/clock.h"

/* A tensor of one dimension. */
static void put_tensor(struct head *h, const char *name, uint64_t length, uint64_t type, uint64_t offset) {
    put_text(h, name);
    put(h, 1, 4);
    put(h, length, 8);
    put(h, type, 4);
    put(h, offset, 8);
}

static void refuse(const char *message) {
    assert_int_equal(open_file(), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (strcmp(err.text, message) != 0) print_error("%s\n", err.text);
    assert_string_equal(err.text, message);
}

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies_about_counts),
        cmocka_unit_test(test_lies_about_keys),
        cmocka_unit_test(test_lies_about_tensors),
        cmocka_unit_test(test_lies_about_several_tensors),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
