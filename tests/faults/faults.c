/* A library to preload (LD_PRELOAD) that makes one call of the system fail, so that a test can see what a
 * program does then. Calls are counted from the start of main to its return; standard error is left
 * alone, and so are programs that the program starts.
 *
 *     MF_FAULT=KIND:N:WHAT    the Nth call of KIND fails with WHAT; N+ means that one and all after it
 *     MF_FAULT_LOG=FILE       gets the number of calls of each kind and of faults made, as native 64-bit
 * integers
 *
 * KIND is a row of `kinds`. WHAT is an errno's name of `reasons`, or `short`: a read or write of half the
 * bytes. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum kind { WRITE, FSYNC, RENAME, READ, MMAP, MEMORY, OPEN, CLOSE, THREAD, N_KINDS };
static const char *const kinds[N_KINDS] = {"write",  "fsync", "rename", "read",  "mmap",
                                           "memory", "open",  "close",  "thread"};
static const struct {
    const char *name;
    int value;
} reasons[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EINTR", EINTR},   {"ENOMEM", ENOMEM},
               {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EAGAIN", EAGAIN}, {"short", -1}};

/* What the log holds: calls of each kind, then the faults made. */
struct log {
    atomic_ulong calls[N_KINDS], faults;
};

static struct log unlogged, *log_of = &unlogged;
static atomic_bool armed;
static int fault_kind = -1, fault_reason;
static unsigned long fault_at;
static bool fault_stays;

/* The functions that are replaced. Programs with a malloc of their own (base/memory.c) take theirs from
 * __libc_malloc, so that is where memory fails. */
static struct {
    ssize_t (*write)(int, const void *, size_t), (*pwrite)(int, const void *, size_t, off_t);
    ssize_t (*writev)(int, const struct iovec *, int);
    ssize_t (*read)(int, void *, size_t), (*pread)(int, void *, size_t, off_t);
    int (*fsync)(int), (*fdatasync)(int), (*ftruncate)(int, off_t), (*close)(int);
    int (*rename)(const char *, const char *), (*link)(const char *, const char *);
    int (*renameat)(int, const char *, int, const char *);
    int (*open)(const char *, int, ...), (*openat)(int, const char *, int, ...);
    int (*mkostemp)(char *, int), (*mkstemp)(char *);
    DIR *(*opendir)(const char *);
    FILE *(*fopen)(const char *, const char *);
    void *(*__libc_malloc)(size_t), *(*__libc_calloc)(size_t, size_t);
    void *(*__libc_realloc)(void *, size_t);
    void *(*mmap)(void *, size_t, int, int, int, off_t);
    int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int (*pipe2)(int[2], int);
    int (*posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                        char *const[], char *const[]);
} real;

static bool read_fault(char *text) {
    char *at = strchr(text, ':'), *what = at ? strchr(at + 1, ':') : NULL;
    if (!what) return false;
    *at++ = *what++ = 0;
    for (int k = 0; k < N_KINDS; k++)
        if (strcmp(text, kinds[k]) == 0) fault_kind = k;
    char *end;
    fault_at = strtoul(at, &end, 10);
    fault_stays = *end == '+';
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(what, reasons[i].name) == 0) fault_reason = reasons[i].value;
    return fault_kind >= 0 && fault_at > 0 && fault_reason != 0;
}

/* Shared memory, so that the numbers are there whatever way the program ends. */
static void open_log(const char *path) {
    int fd = real.open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    void *shared = MAP_FAILED;
    if (fd >= 0 && real.ftruncate(fd, sizeof *log_of) == 0)
        shared = real.mmap(NULL, sizeof *log_of, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) _exit(127);
    real.close(fd);
    log_of = shared;
}

#define FIND(name) *(void **)&real.name = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void prepare(void) {
    FIND(write), FIND(pwrite), FIND(writev), FIND(read), FIND(pread), FIND(fsync), FIND(fdatasync);
    FIND(ftruncate), FIND(close), FIND(rename), FIND(link), FIND(renameat), FIND(open), FIND(openat);
    FIND(__libc_malloc), FIND(__libc_calloc), FIND(__libc_realloc);
    FIND(mkostemp), FIND(mkstemp), FIND(opendir), FIND(fopen), FIND(mmap), FIND(pthread_create);
    FIND(pipe2), FIND(posix_spawnp);
    unsetenv("LD_PRELOAD");
    const char *path = getenv("MF_FAULT_LOG"), *fault = getenv("MF_FAULT");
    if (path) open_log(path);
    char text[64];
    if (!fault) return;
    if (strlen(fault) >= sizeof text || !read_fault(memcpy(text, fault, strlen(fault) + 1))) {
        static const char message[] = "faults.so: MF_FAULT is not KIND:N:WHAT\n";
        (void)!real.write(STDERR_FILENO, message, sizeof message - 1);
        _exit(127);
    }
}

/* Counts a call; the errno it is to fail with, -1 for a short one, or 0. */
static int fault(enum kind kind) {
    if (!atomic_load(&armed)) return 0;
    unsigned long n = atomic_fetch_add(&log_of->calls[kind], 1) + 1;
    if ((int)kind != fault_kind || n < fault_at || (n > fault_at && !fault_stays)) return 0;
    atomic_fetch_add(&log_of->faults, 1);
    return fault_reason;
}

/* The same for a call that cannot be short; sets errno. */
static bool fails(enum kind kind) {
    int reason = fault(kind);
    if (reason > 0) errno = reason;
    return reason > 0;
}

static int (*main_of_program)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment) {
    atomic_store(&armed, true);
    int status = main_of_program(argc, argv, environment);
    atomic_store(&armed, false);
    return status;
}

EXPORT int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv, void (*init)(void),
                             void (*end)(void), void (*rtld_end)(void), void *stack) {
    int (*start)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
                 void *);
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    main_of_program = program;
    return start(counted_main, argc, argv, init, end, rtld_end, stack);
}

/* The half of a size, but never nothing: that would be the end of a file. */
static size_t half(size_t size) {
    return size > 1 ? size / 2 : size;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size) {
    int reason = fd == STDERR_FILENO ? 0 : fault(WRITE);
    if (reason > 0) return errno = reason, -1;
    return real.write(fd, bytes, reason < 0 ? half(size) : size);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    int reason = fault(WRITE);
    if (reason > 0) return errno = reason, -1;
    return real.pwrite(fd, bytes, reason < 0 ? half(size) : size, offset);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int n) {
    int reason = fd == STDERR_FILENO ? 0 : fault(WRITE);
    if (reason > 0) return errno = reason, -1;
    return real.writev(fd, parts, reason < 0 ? (int)half((size_t)n) : n);
}

EXPORT ssize_t read(int fd, void *bytes, size_t size) {
    int reason = fault(READ);
    if (reason > 0) return errno = reason, -1;
    return real.read(fd, bytes, reason < 0 ? half(size) : size);
}

EXPORT ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
    int reason = fault(READ);
    if (reason > 0) return errno = reason, -1;
    return real.pread(fd, bytes, reason < 0 ? half(size) : size, offset);
}

EXPORT int fsync(int fd) {
    return fails(FSYNC) ? -1 : real.fsync(fd);
}

EXPORT int fdatasync(int fd) {
    return fails(FSYNC) ? -1 : real.fdatasync(fd);
}

EXPORT int ftruncate(int fd, off_t size) {
    return fails(WRITE) ? -1 : real.ftruncate(fd, size);
}

/* As on Linux, the descriptor is gone even when close fails. */
EXPORT int close(int fd) {
    bool failing = fails(CLOSE);
    int reason = errno, status = real.close(fd);
    return failing ? errno = reason, -1 : status;
}

EXPORT int rename(const char *from, const char *to) {
    return fails(RENAME) ? -1 : real.rename(from, to);
}

EXPORT int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return fails(RENAME) ? -1 : real.renameat(from_folder, from, to_folder, to);
}

EXPORT int link(const char *from, const char *to) {
    return fails(RENAME) ? -1 : real.link(from, to);
}

EXPORT int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(OPEN) ? -1 : real.open(path, flags, mode);
}

EXPORT int openat(int folder, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(OPEN) ? -1 : real.openat(folder, path, flags, mode);
}

EXPORT int mkostemp(char *path, int flags) {
    return fails(OPEN) ? -1 : real.mkostemp(path, flags);
}

EXPORT int mkstemp(char *path) {
    return fails(OPEN) ? -1 : real.mkstemp(path);
}

EXPORT DIR *opendir(const char *path) {
    return fails(OPEN) ? NULL : real.opendir(path);
}

EXPORT FILE *fopen(const char *path, const char *mode) {
    return fails(OPEN) ? NULL : real.fopen(path, mode);
}

EXPORT void *mmap(void *at, size_t size, int rights, int flags, int fd, off_t offset) {
    return fails(MMAP) ? MAP_FAILED : real.mmap(at, size, rights, flags, fd, offset);
}

/* The loader allocates before this library is ready to look anything up. */
EXPORT void *__libc_malloc(size_t size) {
    if (!real.__libc_malloc) FIND(__libc_malloc);
    return fails(MEMORY) ? NULL : real.__libc_malloc(size);
}

EXPORT void *__libc_calloc(size_t count, size_t size) {
    if (!real.__libc_calloc) FIND(__libc_calloc);
    return fails(MEMORY) ? NULL : real.__libc_calloc(count, size);
}

EXPORT void *__libc_realloc(void *old, size_t size) {
    if (!real.__libc_realloc) FIND(__libc_realloc);
    return fails(MEMORY) ? NULL : real.__libc_realloc(old, size);
}

EXPORT int pipe2(int ends[2], int flags) {
    return fails(OPEN) ? -1 : real.pipe2(ends, flags);
}

/* The errors of these are returned, not left in errno. */
EXPORT int pthread_create(pthread_t *id, const pthread_attr_t *kind, void *(*work)(void *), void *argument) {
    int reason = fault(THREAD);
    return reason > 0 ? reason : real.pthread_create(id, kind, work, argument);
}

EXPORT int posix_spawnp(pid_t *id, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *kind, char *const argv[], char *const environment[]) {
    int reason = fault(THREAD);
    return reason > 0 ? reason : real.posix_spawnp(id, file, actions, kind, argv, environment);
}
