/* Scratch files: bytes at any place, and folders where there can be none. */
#include "scratch.h"

#include "base/tempfile.h"
#include "io/file.h"

static struct mf_err err;

static void test_scratch(void **state) {
    (void)state;
    char back[4];
    int fd = mf_scratch_open(&err);
    assert_true(fd >= 0);
    assert_int_equal(mf_write_all(fd, "abcd", 4, "scratch", &err), 0);
    assert_int_equal(mf_pread_all(fd, back, 3, 1, "scratch", &err), 0);
    assert_memory_equal(back, "bcd", 3);
    assert_int_equal(mf_pread_all(fd, back, 4, 1, "scratch", &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_int_equal(mf_pread_all(fd, back, 1, UINT64_MAX, "scratch", &err), -1);
    close(fd);
    assert_int_equal(mf_scratch_write(fd, "x", 1, 0, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    static char longest[5000];
    memset(longest, 'n', sizeof longest - 1);
    const char *const folders[] = {"/absent", longest};
    for (size_t i = 0; i < 2; i++) {
        mf_tempfile_folder_set(folders[i]);
        assert_int_equal(mf_scratch_open(&err), -1);
        assert_int_equal(err.status, EX_CANTCREAT);
    }
    mf_tempfile_folder_set(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scratch),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
