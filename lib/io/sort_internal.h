/* The sort of a block in memory, for io/sort.c. */
#ifndef MF_IO_SORT_INTERNAL_H
#define MF_IO_SORT_INTERNAL_H

#include <stddef.h>

/* Sorts n records of `size` bytes by memcmp, in place and without further memory: the American flag sort
 * (McIlroy, Bostic, McIlroy 1993), byte by byte, and insertion where few are left. */
void mf_sort_records(unsigned char *records, size_t n, size_t size);

#endif
