/* Inputs: buffered, and of any kind that can be opened. */
#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#define BUFFER ((size_t)64 << 10)

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
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                      : file_open(path, O_RDONLY | O_NOCTTY);
    if (fd < 0) return mf_err_sys(err, EX_NOINPUT, "%s", name);
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
