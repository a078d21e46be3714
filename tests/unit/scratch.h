/* For unit tests that work on files: a folder of their own, whole files in and out. */
#ifndef MF_TESTS_FILES_H
#define MF_TESTS_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>

/* cmocka group setup: makes a new folder the working directory. */
static inline int enter_folder(void **state) {
    char *path = strdup("/tmp/mf-test-XXXXXX");
    *state = path;
    return path && mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static inline int leave_folder(void **state) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- '%s'", (char *)*state);
    int result = chdir("/") == 0 ? system(command) : -1;
    free(*state);
    return result;
}

static inline void write_file(const char *path, const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* Owned by the caller. */
static inline unsigned char *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

/* How many entries the working directory has whose names contain `part`. */
static inline int count_files(const char *part) {
    DIR *dir = opendir(".");
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) n += strstr(e->d_name, part) != NULL;
    closedir(dir);
    return n;
}

#endif
