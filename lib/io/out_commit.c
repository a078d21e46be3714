/* The ends of an output: made real by a rename and a sync of its folder, or removed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/out_internal.h"
#include "io/tempname.h"

void out_free(struct mf_out *out) {
    free(out->name);
    free(out->target);
    free(out->path);
    free(out);
}

/* To sync it: a new name must survive a power cut too. -1 in *fd where we may not read it, which is not our
 * failure. `name` is for messages. */
static int open_folder(const char *folder, const char *name, int *fd, struct mf_err *err) {
    *fd = file_open(folder, O_RDONLY | O_DIRECTORY);
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

int mf_folder_check(const char *path, struct mf_err *err) {
    struct stat st;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    char *name = mf_format("%.*s", (int)n, path), *parent = mf_tempname_folder(name);
    bool there = lstat(name, &st) == 0, fits = there || errno == ENOENT;
    if (there && (stat(name, &st) < 0 || !S_ISDIR(st.st_mode))) {
        fits = false;
        errno = EEXIST;
    }
    int status = 0;
    if (!fits || access(there ? name : parent, W_OK | X_OK) < 0)
        status = mf_err_sys(err, EX_CANTCREAT, there && fits ? "%s" : "%s: cannot make the folder", path);
    free(parent);
    free(name);
    return status;
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
    char *path = mf_tempname_folder(out->target);
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
    out_free(out);
    return result;
}

void mf_out_abandon(struct mf_out *out) {
    if (!out) return;
    if (out->temp) {
        unlink(out->path);
        mf_tempfile_drop(out->temp);
    }
    if (out->fd >= 0) close(out->fd);
    out_free(out);
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
