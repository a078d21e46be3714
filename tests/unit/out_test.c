/* Outputs: whole or not there, filled in any order, and where none can be. */
#include "out_fixture.h"

#include <sys/stat.h>

static void test_commit_and_abandon(void **state) {
    (void)state;
    struct mf_out *out;
    mode_t before = umask(027);
    write_out("new", "first");
    umask(before);
    struct stat st;
    assert_int_equal(stat("new", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(mf_out_open(&out, "new", &err), 0);
    assert_int_equal(mf_out_write(out, "second", 6, &err), 0);
    assert_int_equal(mf_out_flush(out, &err), 0);
    check_content("new", "first");
    assert_int_equal(count_files(".new."), 1);
    mf_out_abandon(out);
    mf_out_abandon(NULL);
    check_content("new", "first");
    assert_int_equal(count_files(".tmp"), 0);
    chmod("new", 0604);
    write_out("new", "third");
    check_content("new", "third");
    assert_int_equal(stat("new", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0604);
}

static void test_room_filled_in_any_order(void **state) {
    (void)state;
    struct mf_out *out;
    uint64_t at;
    assert_int_equal(mf_out_open(&out, "room", &err), 0);
    assert_int_equal(mf_out_write(out, "<", 1, &err), 0);
    assert_int_equal(mf_out_reserve(out, 6, &at, &err), 1);
    assert_int_equal(at, 1);
    assert_int_equal(mf_out_offset(out), 7);
    assert_int_equal(mf_out_write(out, ">", 1, &err), 0);
    assert_int_equal(mf_out_fill(out, at + 3, "def", 3, &err), 0);
    assert_int_equal(mf_out_fill(out, at, "abc", 3, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    check_content("room", "<abcdef>");
    assert_int_equal(mf_out_open(&out, "/dev/null", &err), 0);
    assert_int_equal(mf_out_reserve(out, 6, &at, &err), 0);
    assert_int_equal(mf_out_offset(out), 0);
    mf_out_abandon(out);
}

static void test_link_is_kept(void **state) {
    (void)state;
    write_out("real", "a");
    assert_int_equal(symlink("real", "link"), 0);
    write_out("link", "b");
    struct stat st;
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    check_content("real", "b");
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    struct mf_out *out;
    assert_int_equal(mf_out_open(&out, "dangling", &err), -1);
    assert_int_equal(err.status, EX_CANTCREAT);
}

static void test_impossible_targets(void **state) {
    (void)state;
    static const char *const paths[] = {".",          "missing/file",    "/proc/nothing/here",
                                        "",           "folder/",         "/dev/fd/4294967297",
                                        "/dev/fd/1x", "/proc/self/fd/-1"};
    struct mf_out *out;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(mf_out_open(&out, paths[i], &err), -1);
        assert_int_equal(err.status, EX_CANTCREAT);
    }
    char longest[300];
    memset(longest, 'n', sizeof longest);
    longest[255] = 0;
    write_out(longest, "long");
    check_content(longest, "long");
}

static void test_full_device(void **state) {
    (void)state;
    struct mf_out *out;
    assert_int_equal(mf_out_open(&out, "/dev/full", &err), 0);
    assert_int_equal(mf_out_write(out, "x", 1, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    write_out("/dev/null", "gone");
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_and_abandon), cmocka_unit_test(test_room_filled_in_any_order),
        cmocka_unit_test(test_link_is_kept),       cmocka_unit_test(test_impossible_targets),
        cmocka_unit_test(test_full_device),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
