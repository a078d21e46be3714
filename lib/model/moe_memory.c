/* How a model to be measured fits into a limit of memory. */
#include <stdlib.h>
#include "base/memory.h"
#include "model/moe_internal.h"

/* Program and libraries, OpenBLAS's buffers above all, and what a thread adds to those. */
#define WORKSPACE  ((size_t)14 << 20)
#define PER_THREAD ((size_t)1 << 20)

/* A tensor's entry while the header is parsed: its JSON, its place, its name. */
#define PER_TENSOR ((size_t)2048)

static size_t bytes_for(const struct mf_moe *m, const struct mf_moe_budget *b, const struct moe_needs *needs,
                        size_t windows) {
    size_t bytes = WORKSPACE + (size_t)mf_pool_threads(b->pool) * PER_THREAD + needs->small +
                   needs->tensors * PER_TENSOR + mf_moe_work_memory(m, windows * m->shape.S, b->pool);
    return bytes + (b->beside ? b->beside(b->context, m, windows) : 0);
}

int moe_fit(const struct mf_moe *m, struct mf_moe_budget *b, const struct moe_needs *needs, size_t *cache,
            struct mf_err *err) {
    size_t bytes, rows;
    *cache = b->cache;
    if (b->limit == 0) return 0;
    if (__builtin_mul_overflow(b->windows, m->shape.S, &rows))
        return mf_err_set(err, EX_USAGE, "a batch of %zu windows is too large", b->windows);
    while ((bytes = bytes_for(m, b, needs, b->windows)) > b->limit || b->limit - bytes < needs->cache) {
        if (b->windows <= b->min_windows)
            return mf_memory_refuse(m->name, bytes + needs->cache, b->limit, err);
        b->windows = b->windows / 2 > b->min_windows ? b->windows / 2 : b->min_windows;
    }
    *cache = b->limit - bytes;
    return 0;
}
