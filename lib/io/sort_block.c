/* Radix sort of records in place. */
#include <string.h>
#include "io/sort_internal.h"

#define FEW         24  /* records: insertion is faster */
#define RECORD_PART 256 /* bytes moved at a time */

static void swap(unsigned char *a, unsigned char *b, size_t size) {
    unsigned char kept[RECORD_PART];
    for (size_t n; size > 0; a += n, b += n, size -= n) {
        n = size < RECORD_PART ? size : RECORD_PART;
        memcpy(kept, a, n);
        memcpy(a, b, n);
        memcpy(b, kept, n);
    }
}

static void insert(unsigned char *records, size_t n, size_t size, size_t from) {
    for (size_t i = 1; i < n; i++)
        for (unsigned char *r = records + i * size; r > records; r -= size) {
            if (memcmp(r - size + from, r + from, size - from) <= 0) break;
            swap(r - size, r, size);
        }
}

/* Moves each record into the range of its byte `at`; ends[b] is where the range of b ends. */
static void distribute(unsigned char *records, size_t n, size_t size, size_t at, size_t ends[256]) {
    size_t next[256], count[256] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) count[records[i * size + at]]++;
    for (size_t b = 0; b < 256; b++) {
        next[b] = sum;
        ends[b] = sum += count[b];
    }
    for (size_t b = 0; b < 256; b++)
        while (next[b] < ends[b]) {
            unsigned char *r = records + next[b] * size;
            size_t to = r[at];
            if (to != b) swap(r, records + next[to] * size, size);
            next[to]++;
        }
}

/* Records whose first `at` bytes are equal. Depth: the bytes of a record. */
static void sort_from(unsigned char *records, size_t n, size_t size, size_t at) {
    size_t ends[256], begin = 0;
    if (n <= FEW) {
        insert(records, n, size, at);
        return;
    }
    distribute(records, n, size, at, ends);
    if (at + 1 == size) return;
    for (size_t b = 0; b < 256; begin = ends[b++])
        if (ends[b] - begin > 1) sort_from(records + begin * size, ends[b] - begin, size, at + 1);
}

void mf_sort_records(unsigned char *records, size_t n, size_t size) {
    sort_from(records, n, size, 0);
}
