/* Opening outputs: what a path stands for, and the temporary beside it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strings.h"
#include "io/out_internal.h"
#include "io/tempname.h"

#define LINKS 40 /* as many as the system follows */

/* Creates and locks the temporary. Between the two, another writer may take it for a stale one and remove it;
 * then another name is tried. */
static int open_temporary(struct mf_out *out, struct mf_err *err) {
    for (int attempt = 0; attempt < 100; attempt++) {
        free(out->path);
        out->path = mf_tempname_new(out->target);
        out->temp = mf_tempfile_add(out->path);
        out->fd = file_move_up(open(out->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
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
    char *at = mf_format("%s", path), text[PATH_MAX];
    for (int links = 0; links < LINKS; links++) {
        ssize_t n = readlink(at, text, sizeof text);
        if (n < 0 && errno == EINVAL) return at; /* not a link */
        if ((size_t)n == sizeof text) errno = ENAMETOOLONG;
        if (n < 0 || (size_t)n == sizeof text) break;
        const char *slash = text[0] == '/' ? NULL : strrchr(at, '/');
        char *next = mf_format("%.*s%.*s", slash ? (int)(slash + 1 - at) : 0, at, (int)n, text);
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

static void remove_file(const char *path) {
    unlink(path);
}

/* The file that is written, links resolved (new), and the mode of one that is replaced; *target is NULL for a
 * device or a named pipe, which is written directly. */
static int find_target(const char *path, char **target, mode_t *mode, struct mf_err *err) {
    struct stat st;
    *target = NULL;
    *mode = 0;
    if (*path == 0 || path[strlen(path) - 1] == '/')
        return mf_err_set(err, EX_CANTCREAT, "%s: not a file's name", path);
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return mf_err_set(err, EX_CANTCREAT, "%s: is a folder", path);
        if (!S_ISREG(st.st_mode)) return 0;
        *mode = st.st_mode & 0777;
        *target = follow_links(path);
        return *target ? 0 : mf_err_sys(err, EX_CANTCREAT, "%s", path);
    }
    if (errno != ENOENT) return mf_err_sys(err, EX_CANTCREAT, "%s", path);
    if (lstat(path, &st) == 0) return mf_err_set(err, EX_CANTCREAT, "%s: is a link to nothing", path);
    *target = mf_format("%s", path);
    return 0;
}

static int open_path(struct mf_out *out, const char *path, struct mf_err *err) {
    int fd = named_descriptor(path);
    if (fd >= 0) return open_descriptor(out, fd, err);
    if (find_target(path, &out->target, &out->mode, err) < 0) return -1;
    if (!out->target) {
        out->fd = file_open(path, O_WRONLY | O_NOCTTY);
        return out->fd < 0 ? mf_err_sys(err, EX_CANTCREAT, "%s", path) : 0;
    }
    mf_tempname_clean(out->target, 0, remove_file);
    return open_temporary(out, err);
}

int mf_out_open(struct mf_out **out, const char *path, struct mf_err *err) {
    struct mf_out *o = malloc(sizeof *o);
    if (!o) mf_no_memory();
    bool standard = !path || strcmp(path, "-") == 0;
    *o = (struct mf_out){.fd = -1, .name = mf_format("%s", standard ? "standard output" : path)};
    int result = standard ? open_descriptor(o, STDOUT_FILENO, err) : open_path(o, path, err);
    if (result < 0) {
        out_free(o);
        return -1;
    }
    *out = o;
    return 0;
}

/* Nothing is made and removed for it: that would be seen at the folder's time. */
int mf_out_check(const char *path, struct mf_err *err) {
    char *target;
    mode_t mode;
    if (!path || strcmp(path, "-") == 0 || named_descriptor(path) >= 0) return 0;
    if (find_target(path, &target, &mode, err) < 0) return -1;
    if (!target) return 0;
    char *folder = mf_tempname_folder(target);
    int status = access(folder, W_OK | X_OK) == 0 ? 0 : mf_err_sys(err, EX_CANTCREAT, "%s", path);
    free(folder);
    free(target);
    return status;
}

static bool stat_folder(const char *path, struct stat *st) {
    char *folder = mf_tempname_folder(path);
    bool found = stat(folder, st) == 0;
    free(folder);
    return found;
}

bool mf_same_path(const char *a, const char *b) {
    struct stat x, y;
    const char *last_a = strrchr(a, '/'), *last_b = strrchr(b, '/');
    bool there_a = stat(a, &x) == 0, there_b = stat(b, &y) == 0;
    if (there_a != there_b || (there_a && !S_ISREG(x.st_mode))) return false;
    if (!there_a && strcmp(last_a ? last_a + 1 : a, last_b ? last_b + 1 : b) != 0) return false;
    if (!there_a && (!stat_folder(a, &x) || !stat_folder(b, &y))) return strcmp(a, b) == 0;
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int mf_out_check_input(const char *output, const char *as, const char *input, struct mf_err *err) {
    bool file = output && strcmp(output, "-") != 0;
    if (!file || !input || !mf_same_path(output, input)) return 0;
    return mf_err_set(err, EX_USAGE, "%s is read, and cannot be the %s", input, as);
}

int mf_folder_check_input(const char *folder, const char *input, struct mf_err *err) {
    struct stat x, y;
    if (!input || stat(folder, &x) < 0 || !stat_folder(input, &y)) return 0;
    if (x.st_dev != y.st_dev || x.st_ino != y.st_ino) return 0;
    return mf_err_set(err, EX_USAGE, "%s is read, and cannot be in the output", input);
}
