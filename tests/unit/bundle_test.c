/* Bundles: the same bytes each time, and every damage refused with a line that says what. */
#include "bundle_fixture.h"

#include <zstd.h>

static void test_round_trip(void **state) {
    (void)state;
    struct mf_bundle *b;
    write_bundle("a.tar");
    write_bundle("b.tar");
    size_t n, m;
    unsigned char *x = read_file("a.tar", &n), *y = read_file("b.tar", &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    assert_int_equal(mf_bundle_open(&b, "a.tar", NULL, &err), 0);
    assert_string_equal(mf_bundle_kind(b), "expert");
    assert_int_equal(mf_bundle_count(b), 2);
    assert_string_equal(mf_bundle_tensor(b, 1)->name, "layers.0.fc1.bias");
    assert_string_equal(json_string_value(json_object_get(mf_bundle_meta(b), "shared")), "abc");
    assert_int_equal(strlen(mf_bundle_hash(b)), 64);
    mf_bundle_close(b);
    assert_int_equal(read_bundle("a.tar", 0), 2);
    assert_int_equal(read_bundle("a.tar", 7), 2);
    assert_int_equal(read_bundle("a.tar", 4096), 2);
    write_bundle("c.tar.zst");
    assert_int_equal(read_bundle("c.tar.zst", 13), 2);
    assert_int_equal(mf_bundle_open(&b, "a.tar", "shared", &err), -1);
    assert_string_equal(err.text, "a.tar: a bundle of kind 'expert', not 'shared'");
}

static void test_every_cut_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"a.tar", "c.tar.zst"};
    for (int k = 0; k < 2; k++) {
        size_t size;
        unsigned char *bytes = read_file(names[k], &size);
        for (size_t n = 0; n < size; n++) {
            write_file("cut", bytes, n);
            assert_int_equal(read_bundle("cut", 0), -1);
            assert_int_equal(err.status, EX_DATAERR);
        }
        free(bytes);
    }
}

static void test_flips_in_tensors_and_headers_are_refused(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("a.tar", &size);
    size_t data = 0;
    for (size_t i = 0; i + 8 < size; i++)
        if (data == 0 && memcmp(bytes + i, first, 8) == 0) data = i;
    assert_true(data > 1024);
    for (size_t i = data - 512; i < data + 24; i++) { /* the tar header, then the numbers */
        bytes[i] ^= 1;
        write_file("flip", bytes, size);
        assert_int_equal(read_bundle("flip", 0), -1);
        assert_int_equal(err.status, EX_DATAERR);
        if (i >= data)
            assert_non_null(
                strstr(err.text, "flip: tensor layers.0.fc1.weight: bytes do not match their sha256: "));
        bytes[i] ^= 1;
    }
    free(bytes);
}

static void test_data_behind_the_end(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("a.tar", &size), *longer = calloc(1, size + 10240);
    memcpy(longer, bytes, size);
    write_file("padded", longer, size + 10240); /* tar's own padding */
    assert_int_equal(read_bundle("padded", 0), 2);
    longer[size + 5000] = 'x';
    write_file("behind", longer, size + 10240);
    assert_int_equal(read_bundle("behind", 0), -1);
    assert_string_equal(err.text, "behind: more data after the last tensor");
    free(bytes);
    free(longer);
}

/* Writes a zstd frame of bytes [n], and `m` bytes after it. */
static void write_zstd(const void *bytes, size_t n, const void *behind, size_t m) {
    size_t most = ZSTD_compressBound(n);
    unsigned char *packed = malloc(most + m);
    assert_non_null(packed);
    size_t size = ZSTD_compress(packed, most, bytes, n, 1);
    assert_false(ZSTD_isError(size));
    memcpy(packed + size, behind, m);
    write_file("packed", packed, size + m);
    free(packed);
}

/* Compressed bundles are as strict as plain ones. */
static void test_data_behind_the_end_of_zstd(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("a.tar", &size), *twice = calloc(2, size);
    assert_non_null(twice);
    memcpy(twice, bytes, size);
    write_zstd(twice, 2 * size, "", 0); /* zeros */
    assert_int_equal(read_bundle("packed", 0), 2);
    memcpy(twice + size, bytes, size);
    write_zstd(twice, 2 * size, "", 0);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: more data after the last tensor");
    write_zstd(twice, size + 1, "", 0);
    assert_int_equal(read_bundle("packed", 0), -1);
    write_zstd(bytes, size, "junk", 4);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: bytes after the end of the zstd data");
    write_zstd(bytes, size - 1024, "", 0);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: truncated bundle: the end of the tar is missing");
    size_t frame = ZSTD_compressBound(5);
    unsigned char second_frame[256];
    assert_true(frame <= sizeof second_frame);
    frame = ZSTD_compress(second_frame, frame, "junk\n", 5, 1);
    write_zstd(bytes, size, second_frame, frame);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: more data after the last tensor");
    free(bytes);
    free(twice);
}

static void test_foreign_files(void **state) {
    (void)state;
    write_file("f", "", 0);
    assert_int_equal(read_bundle("f", 0), -1);
    assert_string_equal(err.text, "f: empty, not a bundle");
    write_file("f", (char[2000]){0}, 2000);
    assert_int_equal(read_bundle("f", 0), -1);
    assert_string_equal(err.text, "f: not a bundle");
    assert_int_equal(read_bundle("absent", 0), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_flips_in_tensors_and_headers_are_refused),
        cmocka_unit_test(test_data_behind_the_end),
        cmocka_unit_test(test_data_behind_the_end_of_zstd),
        cmocka_unit_test(test_foreign_files),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
