/* Between the reader and the writer of partition.mp. */
#ifndef MF_PARTITION_SAVED_INTERNAL_H
#define MF_PARTITION_SAVED_INTERNAL_H

#include <stdint.h>

#define SAVED_CHUNK 65536 /* documents in one record of the table */

/* The columns of a record of the table. */
struct saved_columns {
    uint64_t fingerprints[SAVED_CHUNK];
    uint16_t partitions[SAVED_CHUNK];
};

_Static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers are written as they are");

#endif
