/* Bytes that must not fill memory: appended to, and read at any offset. The last of them wait in a buffer, so
 * that what is small never reaches the disk; the others are in a file without a name (mf_scratch_open), which
 * is gone with the process, however it ends. */
#ifndef MF_IO_SPILL_H
#define MF_IO_SPILL_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define MF_SPILL_BUFFER ((size_t)64 << 10)

/* A zeroed struct is empty. */
struct mf_spill {
    uint64_t size;         /* bytes appended */
    unsigned char *buffer; /* the last `waiting` of them */
    size_t waiting;
    int file; /* the descriptor and 1, so that 0 is none */
};

void mf_spill_free(struct mf_spill *spill);

/* EX_CANTCREAT, EX_IOERR (a full disk too), EX_OSERR. */
int mf_spill_append(struct mf_spill *spill, const void *bytes, size_t size, struct mf_err *err);

/* Reads bytes that were appended. EX_IOERR. May be mixed with appending. */
int mf_spill_read(const struct mf_spill *spill, void *to, size_t size, uint64_t offset, struct mf_err *err);

/* Reads a spill in ascending order through a buffer: zeroed but for `spill`, which must not be appended to.
 */
struct mf_spill_reader {
    const struct mf_spill *spill;
    unsigned char *buffer; /* the bytes [begin, begin + size) */
    uint64_t begin, at;    /* at: what is taken next; may be set forward */
    size_t size;
};
void mf_spill_reader_free(struct mf_spill_reader *reader);

/* Takes `size` bytes that are there. EX_IOERR, EX_OSERR. */
int mf_spill_take(struct mf_spill_reader *reader, void *to, size_t size, struct mf_err *err);

#endif
