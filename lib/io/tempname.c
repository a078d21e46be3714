/* Temporaries beside their target. */
#include "io/tempname.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/strings.h"

#define RANDOM 6                  /* letters that make a name unique */
#define STEM   (255 - RANDOM - 7) /* of the target's name, so that ".STEM.XXXXXX.tmp" is a possible one */

/* The target's name without its folder. */
static const char *name_of(const char *target) {
    const char *slash = strrchr(target, '/');
    return slash ? slash + 1 : target;
}

char *mf_tempname_folder(const char *target) {
    const char *slash = strrchr(target, '/');
    return slash ? mf_format("%.*s", slash == target ? 1 : (int)(slash - target), target) : mf_format(".");
}

char *mf_tempname_new(const char *target) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[RANDOM];
    char unique[RANDOM + 1] = "";
    const char *name = name_of(target);
    while (getrandom(bytes, sizeof bytes, 0) != RANDOM) {
    }
    for (int i = 0; i < RANDOM; i++) unique[i] = letters[bytes[i] % (sizeof letters - 1)];
    return mf_format("%.*s.%.*s.%s.tmp", (int)(name - target), target, STEM, name, unique);
}

/* Is `entry` a temporary of the target `name`? */
static bool is_temporary(const char *entry, const char *name) {
    size_t n = strnlen(name, STEM);
    return strlen(entry) == n + RANDOM + 6 && entry[0] == '.' && memcmp(entry + 1, name, n) == 0 &&
           entry[1 + n] == '.' && strcmp(entry + 2 + n + RANDOM, ".tmp") == 0;
}

void mf_tempname_clean(const char *target, int flags, void (*remove)(const char *path)) {
    const char *name = name_of(target);
    char *folder = mf_tempname_folder(target);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!is_temporary(entry->d_name, name)) continue;
        char *path = mf_format("%s/%s", folder, entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) remove(path);
        if (fd >= 0) close(fd);
        free(path);
    }
    if (dir) closedir(dir);
    free(folder);
}
