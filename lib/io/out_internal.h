/* An output: opened in out_open.c, written in out.c, made real in out_commit.c. */
#ifndef MF_IO_OUT_INTERNAL_H
#define MF_IO_OUT_INTERNAL_H

#include <sys/types.h>
#include "base/tempfile.h"
#include "io/file_internal.h"

#define OUT_BUFFER ((size_t)64 << 10)

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
    unsigned char buffer[OUT_BUFFER];
};

void out_free(struct mf_out *out); /* without closing anything */

#endif
