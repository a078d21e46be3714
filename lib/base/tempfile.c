/* Temporary files to remove when a signal ends the process. This list is one of the two globals of the
 * library: a signal handler has no other way to reach it. */
#include "base/tempfile.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

/* Entries are used again but never freed, so a handler that runs at any moment finds a whole list. */
struct mf_tempfile {
    struct mf_tempfile *next;
    char *path;
    atomic_int live; /* set last, cleared first */
};

static _Atomic(struct mf_tempfile *) tempfiles;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* among threads; the handler does not take it */
static atomic_int owner; /* a forked child must not remove its parent's files */

static const char *scratch;

void mf_tempfile_folder_set(const char *folder) {
    scratch = folder;
}

const char *mf_tempfile_folder(void) {
    return scratch && *scratch ? scratch : "/tmp";
}

void mf_tempfiles_remove(void) {
    if (atomic_load(&owner) != (int)getpid()) return;
    for (struct mf_tempfile *t = atomic_load(&tempfiles); t; t = t->next)
        if (atomic_load(&t->live)) unlink(t->path);
    for (struct mf_tempfile *t = atomic_load(&tempfiles); t; t = t->next) /* folders, when they are empty */
        if (atomic_load(&t->live)) rmdir(t->path);
}

static void end_by_signal(int signal_number) {
    mf_tempfiles_remove();
    signal(signal_number, SIG_DFL);
    raise(signal_number); /* delivered when the handler returns */
}

static void replace_default(int signal_number, void (*handler)(int)) {
    struct sigaction now, ours = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&ours.sa_mask);
    if (sigaction(signal_number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL)
        sigaction(signal_number, &ours, NULL);
}

void mf_tempfile_nameless(void) {
    replace_default(SIGXFSZ, SIG_IGN);
}

static void install(void) {
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    atomic_store(&owner, (int)getpid());
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) replace_default(ending[i], end_by_signal);
    mf_tempfile_nameless();
}

struct mf_tempfile *mf_tempfile_add(const char *path) {
    char *copy = strdup(path);
    if (!copy) mf_no_memory();
    pthread_mutex_lock(&lock);
    if (atomic_load(&owner) != (int)getpid()) install();
    struct mf_tempfile *t = atomic_load(&tempfiles);
    while (t && atomic_load(&t->live)) t = t->next;
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t) mf_no_memory();
        t->next = atomic_load(&tempfiles);
        atomic_store(&tempfiles, t);
    }
    free(t->path);
    t->path = copy;
    atomic_store(&t->live, 1);
    pthread_mutex_unlock(&lock);
    return t;
}

void mf_tempfile_drop(struct mf_tempfile *temp) {
    atomic_store(&temp->live, 0);
}
