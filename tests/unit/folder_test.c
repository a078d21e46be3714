/* Folders that become real all at once: what is there before and after each end; and what two paths have in
 * common. */
#include "scratch.h"

#include <sys/stat.h>
#include "io/file.h"
#include "io/folder.h"

static struct mf_err err;

static size_t count_entries(const char *path) {
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 2;
}

static struct mf_folder *begin(const char *path, const char *name) {
    struct mf_folder *folder;
    assert_int_equal(mf_folder_open(&folder, path, &err), 0);
    write_file(mf_folder_file(folder, name), "new", 3);
    return folder;
}

static void test_commit(void **state) {
    (void)state;
    assert_int_equal(mf_folder_commit(begin("made//", "a"), &err), 0);
    assert_int_equal(count_entries("made"), 1);
    assert_int_equal(mf_folder_commit(begin("made", "b"), &err), 0); /* in the place of the old one */
    assert_int_equal(access("made/b", F_OK), 0);
    assert_int_equal(count_entries("made"), 1);
    struct mf_folder *abandoned = begin("made", "c");
    assert_int_equal(count_entries("."), 2);
    assert_int_equal(mf_folder_end(abandoned, -1, &err), -1);
    assert_int_equal(access("made/b", F_OK), 0);
    assert_int_equal(count_entries("."), 1);
}

static void test_refused(void **state) {
    (void)state;
    struct mf_folder *folder;
    assert_int_equal(mf_folder_open(&folder, "absent/new/", &err), -1);
    assert_int_equal(err.status, EX_CANTCREAT);
    assert_string_equal(err.text, "absent/new: No such file or directory");
    assert_null(folder);
    mf_folder_abandon(folder);
    assert_int_equal(mf_folder_check("absent/new", &err), -1);
    assert_int_equal(err.status, EX_CANTCREAT);
    write_file("file", "", 0);
    assert_int_equal(mf_folder_check("file", &err), -1);
    size_t before = count_entries(".");
    assert_int_equal(mf_folder_check("new", &err), 0);
    assert_int_equal(mf_folder_check(".", &err), 0);
    assert_int_equal(count_entries("."), before);
}

static void test_same_path(void **state) {
    (void)state;
    write_file("here", "x", 1);
    write_file("other", "x", 1);
    assert_int_equal(link("here", "second"), 0);
    assert_int_equal(symlink("here", "soft"), 0);
    assert_int_equal(mkdir("in", 0777), 0);
    assert_true(mf_same_path("here", "./in/../here") && mf_same_path("second", "soft"));
    assert_false(mf_same_path("here", "other") || mf_same_path("here", "none") ||
                 mf_same_path("none", "here"));
    assert_true(mf_same_path("none", "./none") && mf_same_path("in/none", "in/../in/none"));
    assert_false(mf_same_path("none", "in/none") || mf_same_path("none", "nobody"));
    assert_true(mf_same_path("gone/none", "gone/none"));
    assert_false(mf_same_path("gone/none", "./gone/none") || mf_same_path("in", "in"));
    assert_false(mf_same_path("/dev/null", "/dev/null")); /* takes all, and keeps nothing */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_same_path),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
