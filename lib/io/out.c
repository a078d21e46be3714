/* Outputs that become real all at once: a temporary beside the target, renamed when it is complete. */
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strings.h"
#include "base/tempfile.h"

#define BUFFER  ((size_t)64 << 10)
#define STRETCH ((uint64_t)4 << 20)
#define RANDOM  6                  /* letters that make a temporary's name unique */
#define LINKS   40                 /* as many as the system follows */
#define STEM    (255 - RANDOM - 7) /* of the target's name, so that ".STEM.XXXXXX.tmp" is a possible one */

struct mf_out {
    int fd;
    char *name;   /* for messages */
    char *target; /* the file to replace, links resolved; NULL when written directly */
    char *path;   /* of the temporary, NULL when written directly */
    struct mf_tempfile *temp;
    mode_t mode;   /* of the file that is replaced, or 0 */
    bool failed;   /* an earlier write failed, so commit must */
    size_t used;   /* bytes in `buffer` */
    uint64_t sent; /* bytes handed to the system */
    unsigned char buffer[BUFFER];
};

static char *copy_string(const char *text) {
    char *copy = strdup(text);
    if (!copy) mf_no_memory();
    return copy;
}

/* The length of the folder part of a path, with its slash: 0 for "name". */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static char *folder_of(const char *path) {
    size_t n = folder_length(path);
    char *folder = n ? strndup(path, n) : strdup(".");
    if (!folder) mf_no_memory();
    return folder;
}

/* Removes temporaries of this target that nobody has locked: their writer was killed. */
static void remove_stale(const char *target) {
    const char *name = target + folder_length(target);
    size_t n = strlen(name) < STEM ? strlen(name) : STEM;
    char *folder = folder_of(target);
    DIR *dir = opendir(folder);
    free(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *e = entry->d_name;
        if (strlen(e) != 1 + n + 1 + RANDOM + 4 || e[0] != '.' || memcmp(e + 1, name, n) != 0) continue;
        if (e[1 + n] != '.' || strcmp(e + 1 + n + 1 + RANDOM, ".tmp") != 0) continue;
        int fd = openat(dirfd(dir), e, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(dir), e, 0);
        close(fd);
    }
    closedir(dir);
}

/* Sets descriptors 0 to 2 free if an open got one of them because the caller had closed it. */
static int move_up(int fd) {
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return higher;
}

/* Creates and locks the temporary. Between the two, another writer may take it for a stale one and remove it;
 * then another name is tried. */
static int open_temporary(struct mf_out *out, struct mf_err *err) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t folder = folder_length(out->target), size = folder + STEM + RANDOM + 16;
    out->path = malloc(size);
    if (!out->path) mf_no_memory();
    for (int attempt = 0; attempt < 100; attempt++) {
        unsigned char bytes[RANDOM];
        char unique[RANDOM + 1] = "";
        if (getrandom(bytes, sizeof bytes, 0) != RANDOM) continue;
        for (int i = 0; i < RANDOM; i++) unique[i] = letters[bytes[i] % (sizeof letters - 1)];
        snprintf(out->path, size, "%.*s.%.*s.%s.tmp", (int)folder, out->target, STEM, out->target + folder,
                 unique);
        out->temp = mf_tempfile_add(out->path);
        out->fd = move_up(open(out->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
        if (out->fd < 0) {
            int reason = errno;
            mf_tempfile_drop(out->temp);
            errno = reason;
            if (errno == EEXIST || errno == EINTR) continue;
            return mf_err_sys(err, EX_CANTCREAT, "%s", out->name);
        }
        while (flock(out->fd, LOCK_EX) < 0 && errno == EINTR) {
        }
        struct stat st;
        if (fstat(out->fd, &st) == 0 && st.st_nlink > 0) return 0;
        close(out->fd);
        mf_tempfile_drop(out->temp);
    }
    return mf_err_set(err, EX_CANTCREAT, "%s: cannot make a temporary file beside it", out->name);
}

/* The file that `path`, a link or links to links, stands for: links of the last component only, so that no
 * path becomes longer than the system takes. New, or NULL with errno. */
static char *follow_links(const char *path) {
    char *at = copy_string(path), text[PATH_MAX];
    for (int links = 0; links < LINKS; links++) {
        ssize_t n = readlink(at, text, sizeof text);
        if (n < 0 && errno == EINVAL) return at; /* not a link */
        if ((size_t)n == sizeof text) errno = ENAMETOOLONG;
        if (n < 0 || (size_t)n == sizeof text) break;
        size_t folder = text[0] == '/' ? 0 : folder_length(at);
        char *next = mf_format("%.*s%.*s", (int)folder, at, (int)n, text);
        free(at);
        at = next;
    }
    int reason = errno;
    free(at);
    errno = reason;
    return NULL;
}

/* The descriptor that a name such as /dev/stdout stands for, or -1. Opening that name would truncate or
 * overwrite a file that the caller may be appending to. */
static int named_descriptor(const char *path) {
    if (strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t n = strlen(folders[i]);
        int64_t fd;
        if (strncmp(path, folders[i], n) == 0 && mf_parse_int(path + n, &fd) == 0 && fd >= 0 && fd <= INT_MAX)
            return (int)fd;
    }
    return -1;
}

static int open_descriptor(struct mf_out *out, int fd, struct mf_err *err) {
    out->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return out->fd < 0 ? mf_err_sys(err, EX_IOERR, "%s", out->name) : 0;
}

static int open_path(struct mf_out *out, const char *path, struct mf_err *err) {
    struct stat st;
    int fd = named_descriptor(path);
    if (fd >= 0) return open_descriptor(out, fd, err);
    if (path[folder_length(path)] == 0) return mf_err_set(err, EX_CANTCREAT, "%s: not a file's name", path);
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return mf_err_set(err, EX_CANTCREAT, "%s: is a folder", path);
        if (!S_ISREG(st.st_mode)) { /* a device or a named pipe is written directly */
            do out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
            while (out->fd < 0 && errno == EINTR);
            out->fd = move_up(out->fd);
            return out->fd < 0 ? mf_err_sys(err, EX_CANTCREAT, "%s", path) : 0;
        }
        out->mode = st.st_mode & 0777;
        out->target = follow_links(path);
        if (!out->target) return mf_err_sys(err, EX_CANTCREAT, "%s", path);
    } else {
        if (errno != ENOENT) return mf_err_sys(err, EX_CANTCREAT, "%s", path);
        if (lstat(path, &st) == 0) return mf_err_set(err, EX_CANTCREAT, "%s: is a link to nothing", path);
        out->target = copy_string(path);
    }
    remove_stale(out->target);
    return open_temporary(out, err);
}

static void free_out(struct mf_out *out) {
    free(out->name);
    free(out->target);
    free(out->path);
    free(out);
}

int mf_out_open(struct mf_out **out, const char *path, struct mf_err *err) {
    struct mf_out *o = malloc(sizeof *o);
    if (!o) mf_no_memory();
    bool standard = !path || strcmp(path, "-") == 0;
    *o = (struct mf_out){.fd = -1, .name = copy_string(standard ? "standard output" : path)};
    int result = standard ? open_descriptor(o, STDOUT_FILENO, err) : open_path(o, path, err);
    if (result < 0) {
        free_out(o);
        return -1;
    }
    *out = o;
    return 0;
}

/* Asks the system to begin with what the sync at the end waits for, each time that bytes [offset, end)
 * complete a stretch of the file. It may decline: the sync will tell. */
static void begin_sync(const struct mf_out *out, uint64_t offset, uint64_t end) {
    uint64_t from = offset / STRETCH * STRETCH, to = end / STRETCH * STRETCH;
    if (out->path && from < to)
        sync_file_range(out->fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
}

static int send(struct mf_out *out, const void *bytes, size_t size, struct mf_err *err) {
    if (mf_write_all(out->fd, bytes, size, out->name, err) < 0) {
        out->failed = true;
        return -1;
    }
    begin_sync(out, out->sent, out->sent + size);
    out->sent += size;
    return 0;
}

/* Opens a file that rests, behind its last byte. */
static int wake(struct mf_out *out, struct mf_err *err) {
    if (out->fd >= 0) return 0;
    do out->fd = open(out->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    while (out->fd < 0 && errno == EINTR);
    if (out->fd >= 0 && lseek(out->fd, (off_t)out->sent, SEEK_SET) >= 0) return 0;
    out->failed = true;
    return mf_err_sys(err, EX_IOERR, "%s", out->name);
}

int mf_out_rest(struct mf_out *out, struct mf_err *err) {
    if (!out->temp || out->fd < 0) return 0;
    if (mf_out_flush(out, err) < 0) return -1;
    close(out->fd); /* what a close could tell of a file, its sync will */
    out->fd = -1;
    return 0;
}

int mf_out_flush(struct mf_out *out, struct mf_err *err) {
    if (out->failed) return mf_err_set(err, EX_IOERR, "%s: an earlier write failed", out->name);
    if (wake(out, err) < 0) return -1;
    size_t size = out->used;
    out->used = 0;
    return send(out, out->buffer, size, err);
}

int mf_out_write(struct mf_out *out, const void *bytes, size_t size, struct mf_err *err) {
    if (size == 0) return 0;
    if (size > BUFFER - out->used) {
        if (mf_out_flush(out, err) < 0) return -1;
        if (size >= BUFFER) return send(out, bytes, size, err);
    }
    memcpy(out->buffer + out->used, bytes, size);
    out->used += size;
    return 0;
}

int mf_out_reserve(struct mf_out *out, uint64_t size, uint64_t *offset, struct mf_err *err) {
    if (!out->path) return 0;
    if (mf_out_flush(out, err) < 0) return -1;
    if (lseek(out->fd, (off_t)size, SEEK_CUR) < 0) return mf_err_sys(err, EX_IOERR, "%s", out->name);
    *offset = out->sent;
    out->sent += size;
    return 1;
}

int mf_out_fill(const struct mf_out *out, uint64_t offset, const void *bytes, size_t size,
                struct mf_err *err) {
    if (mf_pwrite_all(out->fd, bytes, size, offset, out->name, err) < 0) return -1;
    begin_sync(out, offset, offset + size);
    return 0;
}

int mf_out_printf(struct mf_out *out, struct mf_err *err, const char *format, ...) {
    char small[512], *text = small, *large = NULL;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) abort();
    if ((size_t)n >= sizeof small) {
        va_start(args, format);
        if (vasprintf(&large, format, args) < 0) mf_no_memory();
        va_end(args);
        text = large;
    }
    int result = mf_out_write(out, text, (size_t)n, err);
    free(large);
    return result;
}

uint64_t mf_out_offset(const struct mf_out *out) {
    return out->sent + out->used;
}

const char *mf_out_name(const struct mf_out *out) {
    return out->name;
}

/* To sync it: a new name must survive a power cut too. -1 in *fd where we may not read it, which is not our
 * failure. `name` is for messages. */
static int open_folder(const char *folder, const char *name, int *fd, struct mf_err *err) {
    do *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 && errno != EACCES ? mf_err_sys(err, EX_CANTCREAT, "%s", name) : 0;
}

static int sync_file(int fd) {
    int result;
    do result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result;
}

/* Some file systems cannot sync a folder, which is not our failure either. */
static int sync_folder(int fd) {
    return fd < 0 || sync_file(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : -1;
}

int mf_folder_make(const char *folder, struct mf_err *err) {
    struct stat st;
    if (mkdir(folder, 0777) == 0) return 0;
    if (errno == EEXIST && stat(folder, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
    return mf_err_sys(err, EX_CANTCREAT, "%s: cannot make the folder", folder);
}

int mf_folder_sync(const char *folder, struct mf_err *err) {
    int fd;
    if (open_folder(folder, folder, &fd, err) < 0) return -1;
    int result = sync_folder(fd) < 0 ? mf_err_sys(err, EX_IOERR, "%s", folder) : 0;
    if (fd >= 0) close(fd);
    return result;
}

/* The folder is opened before the rename, so that after it only its sync can fail. That leaves a name that
 * may not last, which is no output. */
static int rename_file(struct mf_out *out, int folder, struct mf_err *err) {
    if (rename(out->path, out->target) < 0) return mf_err_sys(err, EX_CANTCREAT, "%s", out->name);
    mf_tempfile_drop(out->temp);
    out->temp = NULL;
    if (sync_folder(folder) == 0) return 0;
    mf_err_sys(err, EX_IOERR, "%s", out->name);
    unlink(out->target);
    return -1;
}

static int commit_file(struct mf_out *out, struct mf_err *err) {
    int folder;
    if (out->mode && fchmod(out->fd, out->mode) < 0) return mf_err_sys(err, EX_CANTCREAT, "%s", out->name);
    if (sync_file(out->fd) < 0) return mf_err_sys(err, EX_IOERR, "%s", out->name);
    char *path = folder_of(out->target);
    int opened = open_folder(path, out->name, &folder, err);
    free(path);
    if (opened < 0) return -1;
    int result = rename_file(out, folder, err);
    if (folder >= 0) close(folder);
    return result;
}

/* What was published has its name and lacks only the sync. */
static int finish_file(struct mf_out *out, struct mf_err *err) {
    if (out->temp) return commit_file(out, err);
    return sync_file(out->fd) < 0 ? mf_err_sys(err, EX_IOERR, "%s", out->name) : 0;
}

int mf_out_publish(struct mf_out *out, struct mf_err *err) {
    if (mf_out_flush(out, err) < 0) return -1;
    return out->temp ? commit_file(out, err) : 0;
}

int mf_out_complete(struct mf_out *out, struct mf_err *err) {
    if (mf_out_flush(out, err) < 0) return -1;
    return out->temp && sync_file(out->fd) < 0 ? mf_err_sys(err, EX_IOERR, "%s", out->name) : 0;
}

int mf_out_commit(struct mf_out *out, struct mf_err *err) {
    if (mf_out_flush(out, err) < 0 || (out->path && finish_file(out, err) < 0)) {
        mf_out_abandon(out);
        return -1;
    }
    /* The lock ends here, after the rename. What a close could tell of a file, its sync has told. */
    bool direct = !out->path;
    int result =
        close(out->fd) < 0 && errno != EINTR && direct ? mf_err_sys(err, EX_IOERR, "%s", out->name) : 0;
    free_out(out);
    return result;
}

void mf_out_abandon(struct mf_out *out) {
    if (!out) return;
    if (out->temp) {
        unlink(out->path);
        mf_tempfile_drop(out->temp);
    }
    if (out->fd >= 0) close(out->fd);
    free_out(out);
}

int mf_out_commit_changed(struct mf_out *out, struct mf_err *err) {
    if (mf_out_flush(out, err) < 0) {
        mf_out_abandon(out);
        return -1;
    }
    if (!out->temp || !mf_file_same(out->path, out->target)) return mf_out_commit(out, err);
    mf_out_abandon(out);
    return 0;
}

int mf_out_end(struct mf_out *out, int status, struct mf_err *err) {
    if (status >= 0) return mf_out_commit(out, err);
    mf_out_abandon(out);
    return -1;
}

int mf_out_whole(const char *path, const void *bytes, size_t size, struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, path, err) < 0) return -1;
    return mf_out_end(out, mf_out_write(out, bytes, size, err), err);
}
