/* Inputs, whole reads and writes, files without a name. Outputs are in out.c. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strings.h"
#include "base/tempfile.h"

#define BUFFER       ((size_t)64 << 10)
#define UNPACK_FREE  ((uint64_t)32 << 20)
#define UNPACK_TIMES 250

struct mf_in {
    int fd;
    char *name;
    bool follow;     /* wait for more at the end of a regular file */
    size_t at, used; /* unread bytes are buffer[at .. used) */
    uint64_t taken;
    unsigned char buffer[BUFFER];
};

int mf_in_open(struct mf_in **in, const char *path, struct mf_err *err) {
    bool standard = !path || strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd;
    do fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return mf_err_sys(err, EX_NOINPUT, "%s", name);
    if (fd <= STDERR_FILENO) { /* the caller had closed a standard stream: leave its number alone */
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(low);
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return mf_err_set(err, EX_NOINPUT, "%s: is a folder", name);
    }
    struct mf_in *i = malloc(sizeof *i);
    if (!i) mf_no_memory();
    *i = (struct mf_in){.fd = fd, .name = strdup(name)};
    if (!i->name) mf_no_memory();
    *in = i;
    return 0;
}

void mf_in_follow(struct mf_in *in) {
    in->follow = true;
}

/* At the end of a followed file: true when it is worth to read again. Only a regular file that still has a
 * name grows; the end of a pipe is final. */
static bool wait_for_more(const struct mf_in *in) {
    struct stat st;
    if (!in->follow || fstat(in->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink == 0) return false;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    return true;
}

/* One read: 0 only at the end. */
static int64_t receive(struct mf_in *in, void *buffer, size_t size, struct mf_err *err) {
    for (;;) {
        ssize_t n = read(in->fd, buffer, size);
        if (n > 0 || (n == 0 && !wait_for_more(in))) return n;
        if (n < 0 && errno != EINTR) return mf_err_sys(err, EX_IOERR, "%s", in->name);
    }
}

int64_t mf_in_read(struct mf_in *in, void *buffer, size_t size, struct mf_err *err) {
    unsigned char *to = buffer;
    size_t done = 0;
    while (done < size) {
        if (in->at == in->used) {
            bool direct = size - done >= BUFFER;
            int64_t n = receive(in, direct ? to + done : in->buffer, direct ? size - done : BUFFER, err);
            if (n < 0) return -1;
            if (n == 0) break;
            if (direct) {
                done += (size_t)n;
                continue;
            }
            in->at = 0;
            in->used = (size_t)n;
        }
        size_t here = in->used - in->at;
        if (here > size - done) here = size - done;
        memcpy(to + done, in->buffer + in->at, here);
        in->at += here;
        done += here;
    }
    in->taken += done;
    return (int64_t)done;
}

int64_t mf_in_peek(struct mf_in *in, const unsigned char **bytes, size_t want, struct mf_err *err) {
    if (want > BUFFER) want = BUFFER;
    if (in->used - in->at < want) {
        memmove(in->buffer, in->buffer + in->at, in->used - in->at);
        in->used -= in->at;
        in->at = 0;
    }
    while (in->used - in->at < want) {
        int64_t n = receive(in, in->buffer + in->used, BUFFER - in->used, err);
        if (n < 0) return -1;
        if (n == 0) break;
        in->used += (size_t)n;
    }
    *bytes = in->buffer + in->at;
    return (int64_t)(in->used - in->at);
}

const char *mf_in_name(const struct mf_in *in) {
    return in->name;
}

uint64_t mf_in_offset(const struct mf_in *in) {
    return in->taken;
}

int64_t mf_in_size(const struct mf_in *in) {
    struct stat st;
    return fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

int mf_in_map(const struct mf_in *in, void **at, size_t *size, struct mf_err *err) {
    int64_t bytes = mf_in_size(in);
    *at = bytes > 0 ? mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, in->fd, 0) : MAP_FAILED;
    if (*at == MAP_FAILED) return mf_err_sys(err, EX_IOERR, "%s: cannot map", in->name);
    *size = (size_t)bytes;
    return 0;
}

void mf_in_close(struct mf_in *in) {
    if (!in) return;
    close(in->fd);
    free(in->name);
    free(in);
}

int mf_unpack_check(const char *name, uint64_t packed, uint64_t unpacked, struct mf_err *err) {
    if (unpacked <= UNPACK_FREE || (unpacked - 1) / UNPACK_TIMES < packed) return 0;
    return mf_err_set(err, EX_DATAERR,
                      "%s: unpacks to more than %d times its size (unpack it first if that is meant)", name,
                      UNPACK_TIMES);
}

int mf_read_all(const char *path, size_t limit, unsigned char **bytes, size_t *size, struct mf_err *err) {
    struct mf_in *in;
    if (mf_in_open(&in, path, err) < 0) return -1;
    unsigned char *all = NULL;
    size_t used = 0, capacity = 0;
    int64_t n = 1;
    while (n > 0) { /* grows as bytes arrive, never on a promise */
        if (used + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            unsigned char *larger = realloc(all, capacity);
            if (!larger) {
                mf_err_set(err, EX_OSERR, "%s: no memory for %zu bytes", in->name, capacity);
                goto fail;
            }
            all = larger;
        }
        n = mf_in_read(in, all + used, capacity - used - 1, err);
        if (n < 0) goto fail;
        used += (size_t)n;
        if (used > limit) {
            mf_err_set(err, EX_DATAERR, "%s: larger than %zu bytes", in->name, limit);
            goto fail;
        }
    }
    all[used] = 0;
    *bytes = all;
    *size = used;
    mf_in_close(in);
    return 0;
fail:
    free(all);
    mf_in_close(in);
    return -1;
}

bool mf_file_same(const char *a, const char *b) {
    char x[65536], y[65536];
    bool same = false;
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    while (f && g) {
        size_t n = fread(x, 1, sizeof x, f), m = fread(y, 1, sizeof y, g);
        same = n == m && memcmp(x, y, n) == 0 && !ferror(f) && !ferror(g);
        if (!same || n == 0) break;
    }
    if (f) fclose(f);
    if (g) fclose(g);
    return same;
}

int mf_scratch_open(struct mf_err *err) {
    const char *folder = mf_tempfile_folder();
    mf_tempfile_nameless();
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    char *path = mf_format("%s/mf-XXXXXX", folder); /* a file system without O_TMPFILE */
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        mf_err_sys(err, EX_CANTCREAT, "%s", folder);
    else
        unlink(path);
    free(path);
    return fd;
}

int mf_open_by_position(const char *path, char **name, struct mf_err *err) {
    bool standard = !path || strcmp(path, "-") == 0;
    int fd;
    *name = strdup(standard ? "standard input" : path);
    if (!*name) mf_no_memory();
    do /* a named pipe must not block here */
        fd = open(standard ? "/dev/stdin" : path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? mf_err_sys(err, EX_NOINPUT, "%s", *name) : fd;
}

int mf_pread_all(int fd, void *buffer, size_t size, uint64_t offset, const char *name, struct mf_err *err) {
    unsigned char *to = buffer;
    while (size > 0) {
        if (offset > INT64_MAX) return mf_err_set(err, EX_DATAERR, "%s: ends too soon", name);
        ssize_t n = pread(fd, to, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return mf_err_sys(err, EX_IOERR, "%s", name);
        if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: ends too soon", name);
        to += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int mf_write_all(int fd, const void *bytes, size_t size, const char *name, struct mf_err *err) {
    const unsigned char *from = bytes;
    while (size > 0) {
        ssize_t n = write(fd, from, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return mf_err_sys(err, EX_IOERR, "%s", name);
        from += n;
        size -= (size_t)n;
    }
    return 0;
}

int mf_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset, const char *name,
                  struct mf_err *err) {
    const unsigned char *from = bytes;
    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return mf_err_sys(err, EX_IOERR, "%s", name);
        from += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int mf_scratch_write(int fd, const void *bytes, size_t size, uint64_t offset, struct mf_err *err) {
    return mf_pwrite_all(fd, bytes, size, offset, "scratch file", err);
}
