/* Copies pipes, and what is unpacked, to scratch files. */
#include "io/spool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "io/file.h"

#define BLOCK ((size_t)65536)

/* Copies all that `read` gives to a scratch file: its descriptor, or -1. */
static int copy(int64_t (*read)(void *from, void *buffer, size_t size, struct mf_err *err), void *from,
                struct mf_err *err) {
    unsigned char *block = malloc(BLOCK);
    uint64_t at = 0;
    int64_t n = 1;
    if (!block) mf_no_memory();
    int fd = mf_scratch_open(err);
    while (fd >= 0 && n > 0) {
        n = read(from, block, BLOCK, err);
        if (n > 0 && mf_scratch_write(fd, block, (size_t)n, at, err) < 0) n = -1;
        if (n > 0) at += (uint64_t)n;
    }
    free(block);
    if (fd < 0 || n == 0) return fd;
    close(fd);
    return -1;
}

static int64_t read_in(void *in, void *buffer, size_t size, struct mf_err *err) {
    return mf_in_read(in, buffer, size, err);
}

static int64_t read_unpacked(void *unpack, void *buffer, size_t size, struct mf_err *err) {
    return mf_unpack_read(unpack, buffer, size, err);
}

int mf_spool_unpacked(struct mf_unpack *unpack, struct mf_err *err) {
    return copy(read_unpacked, unpack, err);
}

int mf_spool_open(struct mf_spool *s, const char *operand, struct mf_err *err) {
    bool standard = !operand || strcmp(operand, "-") == 0;
    struct stat st;
    bool there = standard ? fstat(STDIN_FILENO, &st) == 0 : stat(operand, &st) == 0;
    *s = (struct mf_spool){.path = operand, .name = standard ? "standard input" : operand, .fd = -1};
    if (there && S_ISREG(st.st_mode) && (!standard || lseek(STDIN_FILENO, 0, SEEK_CUR) == 0)) {
        if (standard) s->path = strcpy(s->place, "/proc/self/fd/0");
        return 0;
    }
    if (!standard && (!there || S_ISDIR(st.st_mode)))
        return 0; /* opening it will say why it cannot be read */
    struct mf_in *in;
    if (mf_in_open(&in, operand, err) < 0) return -1;
    s->fd = copy(read_in, in, err);
    mf_in_close(in);
    snprintf(s->place, sizeof s->place, "/proc/self/fd/%d", s->fd);
    s->path = s->place;
    return s->fd < 0 ? -1 : 0;
}

void mf_spool_close(struct mf_spool *s) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

void mf_spool_name(const struct mf_spool *s, struct mf_err *err) {
    size_t size = strlen(s->place);
    struct mf_err why = *err;
    if (size > 0 && strncmp(why.text, s->place, size) == 0 && why.text[size] == ':')
        mf_err_set(err, why.status, "%s%s", s->name, why.text + size);
}
