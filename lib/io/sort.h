/* External sort: more records than memory holds, of one fixed size, in the order of their bytes (memcmp over
 * the whole record; numbers are put in big-endian).
 *
 *     mf_sort_new(&sort, 12, memory, err);
 *     while (...) mf_sort_add(sort, record, err);
 *     mf_sort_begin(sort, err);
 *     while ((status = mf_sort_next(sort, &record, err)) > 0) ...
 *     mf_sort_free(sort);
 *
 * Records fill one block of memory. When it is full they are sorted in place (radix sort from the first byte)
 * and written to a scratch file as a run; the runs are merged as they are read. What fits the block never
 * touches the disk. A block of M bytes merges up to M / 64 KiB runs at once, so M squared / 64 KiB bytes are
 * read twice and written once; more runs are first merged into fewer. The order is total: the result depends
 * neither on the memory nor on the order of adding. Equal records all come out. */
#ifndef MF_IO_SORT_H
#define MF_IO_SORT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/err.h"

struct mf_sort;

/* A number in a record, so that the order of bytes is that of numbers. */
static inline void mf_sort_put(unsigned char to[8], uint64_t number) {
    for (int i = 0; i < 8; i++) to[i] = (unsigned char)(number >> (56 - 8 * i));
}
static inline uint64_t mf_sort_get(const unsigned char from[8]) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number = number << 8 | from[i];
    return number;
}

/* The same of two bytes. */
static inline void mf_sort_put16(unsigned char to[2], size_t number) {
    to[0] = (unsigned char)(number >> 8);
    to[1] = (unsigned char)number;
}
static inline size_t mf_sort_get16(const unsigned char from[2]) {
    return (size_t)from[0] << 8 | from[1];
}

/* The same of a float that is a number; -0 is 0. */
static inline void mf_sort_put_float(unsigned char to[4], float number) {
    uint32_t bits;
    number += 0.0f;
    memcpy(&bits, &number, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(bits >> (24 - 8 * i));
}
static inline float mf_sort_get_float(const unsigned char from[4]) {
    uint32_t bits = 0;
    float number;
    for (int i = 0; i < 4; i++) bits = bits << 8 | from[i];
    bits = bits >> 31 ? bits & ~(UINT32_C(1) << 31) : ~bits;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* memory: of the block, at least MF_SORT_MIN records (it is raised to that). It is mapped as it fills.
 * Freed by mf_sort_free. EX_OSERR. */
#define MF_SORT_MIN 64
int mf_sort_new(struct mf_sort **sort, size_t record_size, size_t memory, struct mf_err *err);
void mf_sort_free(struct mf_sort *sort); /* accepts NULL */

/* Adds a record (copied). Allowed after reading too: begin again then. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int mf_sort_add(struct mf_sort *sort, const void *record, struct mf_err *err);

uint64_t mf_sort_count(const struct mf_sort *sort); /* records added */
size_t mf_sort_runs(const struct mf_sort *sort);    /* on disk; 0: all fits in memory */

/* Goes to the first record of all that were added. May be called again. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int mf_sort_begin(struct mf_sort *sort, struct mf_err *err);

/* The next record, borrowed until the next call: 1, 0 behind the last, -1 with EX_IOERR. */
int mf_sort_next(struct mf_sort *sort, const unsigned char **record, struct mf_err *err);

#endif
