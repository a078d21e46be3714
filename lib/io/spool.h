/* An input that is read more than once: a pipe is copied to a scratch file first. */
#ifndef MF_IO_SPOOL_H
#define MF_IO_SPOOL_H

#include "base/err.h"
#include "io/unpack.h"

struct mf_spool {
    const char *path; /* can be opened again and again: the operand itself, or a place below /proc/self/fd */
    const char *name; /* for messages */
    char place[64];
    int fd; /* of the scratch file, or -1 */
};

/* NULL or "-" is standard input. What cannot be read at all is left to whoever opens it. The struct must not
 * move afterwards. EX_IOERR, EX_OSERR. */
int mf_spool_open(struct mf_spool *spool, const char *operand, struct mf_err *err);
void mf_spool_close(struct mf_spool *spool);

/* Copies all that is still to come of `unpack` to a scratch file. Its descriptor, at offset 0, or -1.
 * EX_IOERR; as mf_unpack_read. */
int mf_spool_unpacked(struct mf_unpack *unpack, struct mf_err *err);

/* A message that begins with the place says the name instead. */
void mf_spool_name(const struct mf_spool *spool, struct mf_err *err);

#endif
