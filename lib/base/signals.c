/* The stop flag: a signal asks once; a later one ends the process. */
#include "base/signals.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/tempfile.h"

/* The other global of the library: a signal handler can reach nothing else. */
static atomic_int stop;
static _Atomic int64_t asked; /* when, in ns; 0: not yet */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void ask_to_stop(int signal_number) {
    int64_t never = 0, time = now();
    if (atomic_compare_exchange_strong(&asked, &never, time)) {
        atomic_store(&stop, signal_number);
        return;
    }
    if (time - never < (int64_t)MF_SIGNALS_ONCE * 1000000) return;
    mf_tempfiles_remove();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void mf_signal_handle(int signal_number, const struct sigaction *action) {
    struct sigaction now;
    bool known = sigaction(signal_number, NULL, &now) == 0;
    if (known && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN) return;
    sigaction(signal_number, action, NULL);
}

void mf_signals_catch(void) {
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    mf_signal_handle(SIGINT, &action);
    mf_signal_handle(SIGTERM, &action);
    mf_signal_handle(SIGHUP, &action);
}

int mf_signals_caught(void) {
    return atomic_load(&stop);
}
