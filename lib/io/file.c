/* Whole reads and writes, files without a name. Inputs are in in.c, outputs in out.c. */
#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strings.h"
#include "base/tempfile.h"

int file_move_up(int fd) {
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return higher;
}

int file_open(const char *path, int flags) {
    int fd;
    do fd = open(path, flags | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return file_move_up(fd);
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
                mf_err_set(err, EX_OSERR, "%s: no memory for %zu bytes", mf_in_name(in), capacity);
                goto fail;
            }
            all = larger;
        }
        n = mf_in_read(in, all + used, capacity - used - 1, err);
        if (n < 0) goto fail;
        used += (size_t)n;
        if (used > limit) {
            mf_err_set(err, EX_DATAERR, "%s: larger than %zu bytes", mf_in_name(in), limit);
            goto fail;
        }
    }
    all[used] = 0;
    unsigned char *fitted = realloc(all, used + 1); /* smaller; when it fails all is there still */
    *bytes = fitted ? fitted : all;
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

/* The size of what is read by position. */
static int measure(int fd, const char *name, uint64_t *size, struct mf_err *err) {
    struct stat st;
    if (fstat(fd, &st) < 0) return mf_err_sys(err, EX_IOERR, "%s", name);
    if (S_ISDIR(st.st_mode)) return mf_err_set(err, EX_NOINPUT, "%s: is a folder", name);
    if (!S_ISREG(st.st_mode))
        return mf_err_set(err, EX_NOINPUT, "%s: a model is read by position and must be a file", name);
    *size = (uint64_t)st.st_size;
    return 0;
}

int mf_open_by_position(const char *path, char **name, uint64_t *size, struct mf_err *err) {
    bool standard = !path || strcmp(path, "-") == 0;
    *name = mf_format("%s", standard ? "standard input" : path);
    /* a named pipe must not block here */
    int fd = file_open(standard ? "/dev/stdin" : path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return mf_err_sys(err, EX_NOINPUT, "%s", *name);
    if (measure(fd, *name, size, err) == 0) return fd;
    close(fd);
    return -1;
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
