/* One block of memory, taken up front and given out in parts.
 *
 * The layout is written once and run twice: first on an arena without memory, which only counts, then on one
 * of exactly that size:
 *     struct mf_arena a = {0};
 *     layout(&a, ...);                                // counts into a.used; every pointer is NULL
 *     if (mf_arena_init(&a, a.used, err) < 0) return -1;
 *     layout(&a, ...);                                // the same calls, real pointers
 * Parts are aligned to 64 bytes and zeroed. Not for use by several threads at once. */
#ifndef MF_BASE_ARENA_H
#define MF_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_arena {
    unsigned char *base; /* NULL while counting */
    size_t size, used;   /* bytes */
};

/* Maps `size` bytes of zeroed memory and sets `used` to 0. EX_OSERR when there is not enough. */
int mf_arena_init(struct mf_arena *arena, size_t size, struct mf_err *err);

/* The next `count` items of `item_size` bytes: borrowed from the arena. NULL while counting. Taking more than
 * was counted is a bug of ours and aborts, as does a product that overflows. */
void *mf_arena_take(struct mf_arena *arena, size_t count, size_t item_size);
float *mf_arena_floats(struct mf_arena *arena, size_t count);

/* Gives the whole block back; every part is gone. Does nothing for a zeroed arena. */
void mf_arena_free(struct mf_arena *arena);

#endif
