/* A library to preload (LD_PRELOAD) into a make and all that it starts, which numbers what each process does
 * to files and kills one at such a call, so that a test can see what is left then
 * (tests/faults/every_kill.py).
 *
 *     MF_KILL_FOLDER=FOLDER   gets an empty file NAME.I for the Ith process of a program's name, and `log`: a
 * line "NAME I K WHAT PATH" before the Kth call; the 0th is `start`, the last is `exit` MF_KILL=NAME.I.K
 * SIGKILL to the process that comes to that call, before the call MF_KILL_ALL=1           ... and to its
 * whole process group */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static char folder[PATH_MAX], own[128], wanted[160];
static int number;
static atomic_ulong calls;
static bool all;

static void die(void) {
    kill(all ? 0 : getpid(), SIGKILL);
    for (;;) pause();
}

/* One event: noted, and perhaps the last. */
static void event(const char *what, const char *path) {
    if (number == 0) return;
    int before = errno;
    char line[PATH_MAX + 256], here[160];
    unsigned long k = atomic_fetch_add(&calls, 1);
    snprintf(line, sizeof line, "%s/log", folder);
    int log = (int)syscall(SYS_openat, AT_FDCWD, line, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int size = snprintf(line, sizeof line, "%s %d %lu %s %s\n", own, number, k, what, path);
    if (size >= (int)sizeof line) size = (int)sizeof line - 1;
    if (log >= 0) syscall(SYS_write, log, line, (size_t)size);
    if (log >= 0) syscall(SYS_close, log);
    snprintf(here, sizeof here, "%s.%d.%lu", own, number, k);
    if (strcmp(here, wanted) == 0) die();
    errno = before;
}

/* The same for a call on an open file; not for pipes and standard error, which are no files of the run. */
static void event_fd(const char *what, int fd) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof path - 1);
    if (n <= 0 || path[0] != '/' || strncmp(path, "/dev/", 5) == 0) return;
    path[n] = 0;
    event(what, path);
}

/* The Ith process of this name: the first whose file can be made. */
static int enlist(void) {
    char path[PATH_MAX + 256];
    for (int i = 1; i < 100000; i++) {
        snprintf(path, sizeof path, "%s/%s.%d", folder, own, i);
        long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            syscall(SYS_close, (int)fd);
            return i;
        }
        if (errno != EEXIST) return 0;
    }
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("MF_KILL_FOLDER"), *what = getenv("MF_KILL");
    if (!where) return;
    snprintf(folder, sizeof folder, "%s", where);
    snprintf(own, sizeof own, "%s", program_invocation_short_name);
    snprintf(wanted, sizeof wanted, "%s", what ? what : "");
    all = getenv("MF_KILL_ALL") != NULL;
    number = enlist();
    event("start", "-");
}

__attribute__((destructor)) static void end(void) {
    event("exit", "-");
}

/* The function that this library hides, by the name of the one that asks. */
#define REAL(type) ((type)dlsym(RTLD_NEXT, __func__))

EXPORT ssize_t write(int fd, const void *bytes, size_t size) {
    event_fd(__func__, fd);
    return REAL(ssize_t(*)(int, const void *, size_t))(fd, bytes, size);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    event_fd(__func__, fd);
    return REAL(ssize_t(*)(int, const void *, size_t, off_t))(fd, bytes, size, offset);
}

EXPORT int fsync(int fd) {
    event_fd(__func__, fd);
    return REAL(int (*)(int))(fd);
}

EXPORT int ftruncate(int fd, off_t size) {
    event_fd(__func__, fd);
    return REAL(int (*)(int, off_t))(fd, size);
}

EXPORT int rename(const char *from, const char *to) {
    event(__func__, to);
    return REAL(int (*)(const char *, const char *))(from, to);
}

EXPORT int link(const char *from, const char *to) {
    event(__func__, to);
    return REAL(int (*)(const char *, const char *))(from, to);
}

EXPORT int unlink(const char *path) {
    event(__func__, path);
    return REAL(int (*)(const char *))(path);
}

EXPORT int unlinkat(int at, const char *path, int flags) {
    event(__func__, path);
    return REAL(int (*)(int, const char *, int))(at, path, flags);
}

EXPORT int mkdir(const char *path, mode_t mode) {
    event(__func__, path);
    return REAL(int (*)(const char *, mode_t))(path, mode);
}

EXPORT int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (flags & (O_CREAT | O_TRUNC)) event(__func__, path);
    return REAL(int (*)(const char *, int, ...))(path, flags, mode);
}
