/* Outputs are whole or not there; inputs come in any pieces. */
#include "scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/tempfile.h"
#include "io/file.h"
#include "io/unpack.h"
#include "io/json_file.h"

static struct mf_err err;

static void check_content(const char *path, const char *content) {
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    assert_int_equal(size, strlen(content));
    assert_memory_equal(bytes, content, size);
    free(bytes);
}

static void write_out(const char *path, const char *text) {
    struct mf_out *out;
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_out_printf(out, &err, "%s", text), 0);
    assert_int_equal(mf_out_offset(out), strlen(text));
    assert_int_equal(mf_out_commit(out, &err), 0);
}

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

static const int polite[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

/* Starts a writer that has written half and waits. */
static pid_t start_writer(const char *path) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct mf_out *out;
        for (size_t i = 0; i < 4; i++) signal(polite[i], SIG_DFL); /* as nohup and others do not have it */
        if (mf_out_open(&out, path, &err) < 0 || mf_out_write(out, "half", 4, &err) < 0) _exit(1);
        if (mf_out_flush(out, &err) < 0 || write(ready[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char c;
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return child;
}

static void end_writer(pid_t child, int signal_number) {
    int status;
    kill(child, signal_number);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_number);
}

static void test_killed_writers(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        end_writer(start_writer("killed"), polite[i]);
        assert_int_equal(count_files("killed"), 0);
    }
    end_writer(start_writer("killed"), SIGKILL);
    assert_int_equal(count_files(".killed."), 1);
    assert_int_equal(access("killed", F_OK), -1);
    pid_t alive = start_writer("killed"); /* removes the dead one's temporary */
    assert_int_equal(count_files(".killed."), 1);
    write_out("killed.not", "x");
    write_out("killed", "whole"); /* and this one leaves the living writer's alone */
    assert_int_equal(count_files(".killed."), 1);
    check_content("killed", "whole");
    end_writer(alive, SIGKILL);
    write_out("killed", "again");
    assert_int_equal(count_files(".killed."), 0);
}

static void test_file_size_limit(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {100000, 100000};
        setrlimit(RLIMIT_FSIZE, &limit);
        struct mf_out *out;
        static char bytes[200000];
        if (mf_out_open(&out, "capped", &err) < 0) _exit(1);
        mf_out_write(out, bytes, sizeof bytes, &err); /* fails; commit must know it even if nobody looked */
        if (mf_out_commit(out, &err) == 0 || err.status != EX_IOERR) _exit(2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_files("capped"), 0);
}

static void test_closed_standard_streams(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct mf_out *out, *standard;
        close(0), close(1);
        if (mf_out_open(&out, "file", &err) < 0 || mf_out_write(out, "x", 1, &err) < 0) _exit(1);
        if (mf_out_open(&standard, "-", &err) == 0 || err.status != EX_IOERR) _exit(2); /* not the file */
        if (mf_out_commit(out, &err) < 0) _exit(3);
        struct mf_in *in;
        if (mf_in_open(&in, "file", &err) < 0) _exit(4);
        if (fcntl(0, F_GETFD) != -1 || fcntl(1, F_GETFD) != -1) _exit(5); /* their numbers stay free */
        mf_in_close(in);
        if (mf_in_open(&in, NULL, &err) == 0 || err.status != EX_NOINPUT) _exit(6);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    check_content("file", "x");
}

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

static void test_json(void **state) {
    (void)state;
    assert_int_equal(mf_json_write("good.json", json_pack("{s:i}", "a", 1), JSON_COMPACT, &err), 0);
    check_content("good.json", "{\"a\":1}\n");
    json_t *json = mf_json_read("good.json", 100, 0, &err);
    assert_int_equal(json_integer_value(json_object_get(json, "a")), 1);
    json_decref(json);
    write_file("bad.json", "{\n\"a\": }", 8);
    assert_null(mf_json_read("bad.json", 100, 0, &err));
    assert_int_equal(err.status, EX_DATAERR);
    assert_memory_equal(err.text, "bad.json: cannot be read as JSON: line 2: ", 42);
    assert_null(mf_json_read("bad.json", 7, 0, &err));
    assert_string_equal(err.text, "bad.json: larger than 7 bytes");
    assert_null(mf_json_read("absent", 100, 0, &err));
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(mf_json_write("missing/file", json_object(), 0, &err), -1);
    assert_int_equal(err.status, EX_CANTCREAT);
}

static void test_unpack_limit(void **state) {
    (void)state;
    const uint64_t mib = 1 << 20;
    assert_int_equal(mf_unpack_check("f", 0, 0, &err), 0);
    assert_int_equal(mf_unpack_check("f", 1, 32 * mib, &err), 0);
    assert_int_equal(mf_unpack_check("f", 1, 32 * mib + 1, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_int_equal(mf_unpack_check("f", mib, 250 * mib, &err), 0);
    assert_int_equal(mf_unpack_check("f", mib, 250 * mib + 1, &err), -1);
    assert_int_equal(mf_unpack_check("f", UINT64_MAX / 2, UINT64_MAX, &err), 0);
}

static void test_json_values_are_counted(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t values;
    } cases[] = {{"[]", 2}, {"[1,2,3]", 4}, {"{\"a\":{\"b\":[[]]}}", 5}, {"[\"a,[{\\\",\\\\\",\n2]", 3}};
    json_error_t why;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = cases[i].text;
        json_t *json = mf_json_parse(text, strlen(text), 0, cases[i].values, &why);
        assert_non_null(json);
        json_decref(json);
        assert_null(mf_json_parse(text, strlen(text), 0, cases[i].values - 1, &why));
        assert_non_null(strstr(why.text, " values"));
    }
    assert_int_equal(why.line, 1);
    assert_null(mf_json_parse("[1,\n2,\n3]", 9, 0, 3, NULL));
    assert_null(mf_json_parse("[1,\n2,\n3]", 9, 0, 3, &why));
    assert_int_equal(why.line, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_and_abandon),
        cmocka_unit_test(test_room_filled_in_any_order),
        cmocka_unit_test(test_link_is_kept),
        cmocka_unit_test(test_impossible_targets),
        cmocka_unit_test(test_full_device),
        cmocka_unit_test(test_killed_writers),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_closed_standard_streams),
        cmocka_unit_test(test_input_in_pieces),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_unpack_limit),
        cmocka_unit_test(test_json_values_are_counted),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
