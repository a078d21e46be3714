/* Folders that become real all at once. */
#include "io/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/strings.h"
#include "base/tempfile.h"
#include "io/file.h"
#include "io/tempname.h"

struct entry {
    char *path;
    struct mf_tempfile *temp;
};

struct mf_folder {
    char *target;
    char *path; /* the temporary */
    struct mf_tempfile *temp;
    int fd; /* of the temporary, locked */
    struct entry *files;
    size_t count, capacity;
};

/* --- temporaries --- */

/* Removes a folder and the files in it. */
static void remove_folder(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(path);
}

static int make_temporary(struct mf_folder *f, struct mf_err *err) {
    for (int attempt = 0; attempt < 100; attempt++) {
        free(f->path);
        f->path = mf_tempname_new(f->target);
        f->temp = mf_tempfile_add(f->path);
        if (mkdir(f->path, 0777) == 0) {
            f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (f->fd >= 0 && flock(f->fd, LOCK_EX | LOCK_NB) == 0) return 0;
        }
        int reason = errno;
        if (reason != EEXIST) rmdir(f->path);
        mf_tempfile_drop(f->temp);
        f->temp = NULL;
        errno = reason;
        if (errno != EEXIST) break;
    }
    return mf_err_sys(err, EX_CANTCREAT, "%s", f->target);
}

/* --- the folder --- */

/* The path without slashes at its end; of a folder that is there, without links. New. */
static char *resolve(const char *path) {
    char *real = realpath(path, NULL);
    if (real) return real;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    return mf_format("%.*s", (int)n, path);
}

int mf_folder_open(struct mf_folder **folder, const char *path, struct mf_err *err) {
    struct mf_folder *f = calloc(1, sizeof *f);
    if (!f) mf_no_memory();
    *folder = f;
    f->fd = -1;
    f->target = resolve(path);
    mf_tempname_clean(f->target, O_DIRECTORY, remove_folder);
    if (make_temporary(f, err) == 0) return 0;
    mf_folder_abandon(f);
    *folder = NULL;
    return -1;
}

const char *mf_folder_file(struct mf_folder *f, const char *name) {
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 16;
        f->files = reallocarray(f->files, f->capacity, sizeof *f->files);
        if (!f->files) mf_no_memory();
    }
    struct entry *e = &f->files[f->count++];
    e->path = mf_format("%s/%s", f->path, name);
    e->temp = mf_tempfile_add(e->path);
    return e->path;
}

static void forget(struct mf_folder *f) {
    for (size_t i = 0; i < f->count; i++) {
        if (f->files[i].temp) mf_tempfile_drop(f->files[i].temp);
        free(f->files[i].path);
    }
    if (f->temp) mf_tempfile_drop(f->temp);
    if (f->fd >= 0) close(f->fd);
    free(f->files);
    free(f->path);
    free(f->target);
    free(f);
}

void mf_folder_abandon(struct mf_folder *f) {
    if (!f) return;
    for (size_t i = 0; i < f->count; i++) unlink(f->files[i].path);
    if (f->temp) rmdir(f->path);
    forget(f);
}

/* Gives the new folder the target's name and an old one another beside it: *old, or NULL where there is none.
 * Where names cannot be exchanged there is no target for a moment. */
static int exchange(struct mf_folder *f, char **old) {
    *old = NULL;
    if (rename(f->path, f->target) == 0) return 0;
    if (errno != ENOTEMPTY && errno != EEXIST) return -1;
    bool exchanged = renameat2(AT_FDCWD, f->path, AT_FDCWD, f->target, RENAME_EXCHANGE) == 0;
    *old = exchanged ? mf_format("%s", f->path) : mf_tempname_new(f->target);
    if (exchanged || (rename(f->target, *old) == 0 && rename(f->path, f->target) == 0)) return 0;
    int reason = errno;
    rename(*old, f->target); /* if it had come so far */
    errno = reason;
    return -1;
}

/* Takes the target's name from the new folder again. */
static void undo(struct mf_folder *f, const char *old) {
    char *aside = mf_tempname_new(f->target);
    rename(f->target, aside);
    if (old) rename(old, f->target);
    rename(aside, f->path);
    free(aside);
}

/* A message about a file names it by the place where it was to be. */
static void name_target(const struct mf_folder *f, struct mf_err *err) {
    size_t n = strlen(f->path);
    if (strncmp(err->text, f->path, n) != 0) return;
    char *rest = mf_format("%s", err->text + n);
    mf_err_set(err, err->status, "%s%s", f->target, rest);
    free(rest);
}

int mf_folder_commit(struct mf_folder *f, struct mf_err *err) {
    char *old, *parent = mf_tempname_folder(f->target);
    int status = exchange(f, &old);
    if (status < 0) mf_err_sys(err, EX_CANTCREAT, "%s", f->target);
    if (status == 0 && (status = mf_folder_sync(parent, err)) < 0) undo(f, old);
    if (status == 0 && old) remove_folder(old);
    free(parent);
    free(old);
    if (status < 0)
        mf_folder_abandon(f);
    else
        forget(f);
    return status;
}

int mf_folder_end(struct mf_folder *f, int status, struct mf_err *err) {
    if (status >= 0) return mf_folder_commit(f, err);
    name_target(f, err);
    mf_folder_abandon(f);
    return -1;
}
