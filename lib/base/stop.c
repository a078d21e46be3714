/* The stop flag: a signal asks once; the second time it ends the process. */
#include "base/stop.h"

#include <signal.h>
#include <stdatomic.h>

#include "base/temps.h"

/* The other global of the library: a signal handler can reach nothing else. */
static atomic_int stop;

static void ask_to_stop(int signal_number) {
    int none = 0;
    if (atomic_compare_exchange_strong(&stop, &none, signal_number)) return;
    mf_temps_remove();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void mf_stop_watch(void) {
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, 0);
    sigaction(SIGTERM, &action, 0);
}

int mf_stop_signal(void) {
    return atomic_load(&stop);
}
