/* An arena: one mapping, given out in 64-byte steps. */
#include "base/arena.h"

#include <stdlib.h>
#include <sys/mman.h>

/* A cache line, and enough for any vector load. */
#define ALIGN ((size_t)64)

int mf_arena_init(struct mf_arena *arena, size_t size, struct mf_err *err) {
    *arena = (struct mf_arena){0};
    void *base = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return mf_err_sys(err, EX_OSERR, "cannot get %zu bytes of memory", size);
    /* advice only: rows of a head or of a weight lie pages apart, and to find a small page takes as long as
     * to read what is in it */
    madvise(base, size, MADV_HUGEPAGE);
    arena->base = base;
    arena->size = size;
    return 0;
}

void *mf_arena_take(struct mf_arena *arena, size_t count, size_t item_size) {
    size_t bytes, end;
    if (__builtin_mul_overflow(count, item_size, &bytes) || bytes > SIZE_MAX - ALIGN) abort();
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (__builtin_add_overflow(arena->used, bytes, &end)) abort();
    if (arena->base && end > arena->size) abort();
    void *part = arena->base ? arena->base + arena->used : NULL;
    arena->used = end;
    return part;
}

float *mf_arena_floats(struct mf_arena *arena, size_t count) {
    return mf_arena_take(arena, count, sizeof(float));
}

void mf_arena_free(struct mf_arena *arena) {
    if (arena->base) munmap(arena->base, arena->size ? arena->size : 1);
    *arena = (struct mf_arena){0};
}
