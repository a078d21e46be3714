/* Signals: the first one asks a program to stop, the second ends it; ignored ones stay ignored. */
#include "scratch.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/signals.h"
#include "base/tempfile.h"

/* Whether a process, which may ignore it, takes a signal for a request to stop; -1 when it ended by the
 * signal. */
static int asks_to_stop(int signal_number, void (*before)(int)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(signal_number, before);
        mf_signals_catch();
        raise(signal_number);
        _exit(mf_signals_caught());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_ignored_signals_stay_ignored(void **state) {
    (void)state;
    static const int asking[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(asks_to_stop(asking[i], SIG_DFL), asking[i]);
        assert_int_equal(asks_to_stop(asking[i], SIG_IGN), 0);
    }
}

static void test_first_signal_asks_second_ends(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        write_file("asked.tmp", "x", 1);
        mf_tempfile_add("asked.tmp");
        mf_signals_catch();
        raise(SIGTERM);
        raise(SIGTERM); /* the same request, by another way */
        if (mf_signals_caught() != SIGTERM || access("asked.tmp", F_OK) != 0) _exit(1);
        poll(NULL, 0, MF_SIGNALS_ONCE + 50);
        raise(SIGTERM);
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(access("asked.tmp", F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ignored_signals_stay_ignored),
        cmocka_unit_test(test_first_signal_asks_second_ends),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
