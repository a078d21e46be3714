/* Outputs of processes that are killed, may write only so much, or have no standard streams. */
#include "out_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_writers),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_closed_standard_streams),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
