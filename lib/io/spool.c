/* Copies pipes to scratch files. */
#include "io/spool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "io/file.h"

#define BLOCK ((size_t)65536)

static int copy(struct mf_spool *s, const char *operand, struct mf_err *err) {
    struct mf_in *in;
    unsigned char *bytes = malloc(BLOCK);
    int64_t n = -1;
    if (!bytes) return mf_err_set(err, EX_OSERR, "out of memory");
    s->fd = mf_scratch_open(err);
    if (s->fd >= 0 && mf_in_open(&in, operand, err) == 0) {
        while ((n = mf_in_read(in, bytes, BLOCK, err)) > 0)
            if (mf_write_all(s->fd, bytes, (size_t)n, "scratch file", err) < 0) {
                n = -1;
                break;
            }
        mf_in_close(in);
    }
    free(bytes);
    snprintf(s->place, sizeof s->place, "/proc/self/fd/%d", s->fd);
    return n < 0 ? -1 : 0;
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
    s->path = s->place;
    return copy(s, operand, err);
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
