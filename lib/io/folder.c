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
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/strings.h"
#include "base/tempfile.h"
#include "io/file.h"

#define RANDOM 6 /* letters that make a temporary's name unique */
#define STEM   (255 - RANDOM - 7)

struct entry {
    char *path;
    struct mf_tempfile *temp;
};

struct mf_folder {
    char *target, *parent, *name; /* target = parent/name */
    char *path;                   /* the temporary */
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

/* Removes a folder unless somebody is writing it. */
static void remove_unlocked(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) remove_folder(path);
    close(fd);
}

static void remove_stale(const struct mf_folder *f) {
    size_t n = strlen(f->name) < STEM ? strlen(f->name) : STEM;
    DIR *dir = opendir(f->parent);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *e = entry->d_name;
        if (strlen(e) != n + RANDOM + 6 || e[0] != '.' || memcmp(e + 1, f->name, n) != 0) continue;
        if (e[1 + n] != '.' || strcmp(e + 2 + n + RANDOM, ".tmp") != 0) continue;
        char *path = mf_format("%s/%s", f->parent, e);
        remove_unlocked(path);
        free(path);
    }
    closedir(dir);
}

/* A name beside the target that nothing has yet, most likely; new. */
static char *temporary_name(const struct mf_folder *f) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[RANDOM] = {0};
    char unique[RANDOM + 1] = "";
    while (getrandom(bytes, sizeof bytes, 0) != RANDOM) {
    }
    for (int i = 0; i < RANDOM; i++) unique[i] = letters[bytes[i] % (sizeof letters - 1)];
    return mf_format("%s/.%.*s.%s.tmp", f->parent, STEM, f->name, unique);
}

static int make_temporary(struct mf_folder *f, struct mf_err *err) {
    for (int attempt = 0; attempt < 100; attempt++) {
        free(f->path);
        f->path = temporary_name(f);
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

static void split(struct mf_folder *f) {
    const char *slash = strrchr(f->target, '/');
    f->name = mf_format("%s", slash ? slash + 1 : f->target);
    f->parent = slash ? mf_format("%.*s", slash == f->target ? 1 : (int)(slash - f->target), f->target)
                      : mf_format(".");
}

int mf_folder_open(struct mf_folder **folder, const char *path, struct mf_err *err) {
    struct mf_folder *f = calloc(1, sizeof *f);
    if (!f) mf_no_memory();
    *folder = f;
    f->fd = -1;
    f->target = resolve(path);
    split(f);
    remove_stale(f);
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
    free(f->name);
    free(f->parent);
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
    *old = exchanged ? mf_format("%s", f->path) : temporary_name(f);
    if (exchanged || (rename(f->target, *old) == 0 && rename(f->path, f->target) == 0)) return 0;
    int reason = errno;
    rename(*old, f->target); /* if it had come so far */
    errno = reason;
    return -1;
}

/* Takes the target's name from the new folder again. */
static void undo(struct mf_folder *f, const char *old) {
    char *aside = temporary_name(f);
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
    char *old;
    int status = exchange(f, &old);
    if (status < 0) mf_err_sys(err, EX_CANTCREAT, "%s", f->target);
    if (status == 0 && (status = mf_folder_sync(f->parent, err)) < 0) undo(f, old);
    if (status == 0 && old) remove_folder(old);
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
