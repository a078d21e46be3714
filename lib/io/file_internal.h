/* Opening files, for the inputs (in.c), the outputs (out_open.c, out_commit.c) and file.c. */
#ifndef MF_IO_FILE_INTERNAL_H
#define MF_IO_FILE_INTERNAL_H

#include "io/file.h"

/* open(2), again after a signal, with O_CLOEXEC. -1 with errno. */
int file_open(const char *path, int flags);

/* A descriptor in the place of one of 0 to 2, which an open got because the caller had closed it; fd itself
 * where it is another. */
int file_move_up(int fd);

#endif
