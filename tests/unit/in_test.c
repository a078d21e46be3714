/* Inputs: read in steps of any size, and as a whole up to a limit. */
#include "scratch.h"

#include "io/file.h"

static struct mf_err err;

static void test_input_in_pieces(void **state) {
    (void)state;
    size_t size = 300001;
    unsigned char *bytes = malloc(size), *back = malloc(2 * size); /* steps triple */
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
    write_file("in", bytes, size);
    struct mf_in *in;
    assert_int_equal(mf_in_open(&in, "in", &err), 0);
    assert_int_equal(mf_in_size(in), size);
    size_t at = 0, step = 1;
    while (at < size) {
        const unsigned char *peeked;
        size_t want = step % 65536;
        int64_t there = mf_in_peek(in, &peeked, want, &err);
        assert_true(there >= (int64_t)(want < size - at ? want : size - at));
        assert_memory_equal(peeked, bytes + at, there);
        int64_t n = mf_in_read(in, back + at, step, &err);
        assert_int_equal(n, step < size - at ? step : size - at);
        at += (size_t)n;
        assert_int_equal(mf_in_offset(in), at);
        step = step * 3 + 1;
    }
    assert_int_equal(mf_in_read(in, back, 10, &err), 0);
    mf_in_close(in);
    assert_memory_equal(back, bytes, size);
    free(back);
    assert_int_equal(mf_read_all("in", size, &back, &at, &err), 0);
    assert_int_equal(at, size);
    assert_memory_equal(back, bytes, size);
    assert_int_equal(back[size], 0);
    free(back);
    assert_int_equal(mf_read_all("in", size - 1, &back, &at, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    free(bytes);
    assert_int_equal(mf_in_open(&in, ".", &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(mf_in_open(&in, "absent", &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_string_equal(err.text, "absent: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_in_pieces),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
