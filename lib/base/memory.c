/* What happens when memory is out. */
#include "base/memory.h"

#include <stddef.h>
#include <stdlib.h>

static void (*hook)(void);

void mf_memory_hook(void (*end)(void)) {
    hook = end;
}

void mf_no_memory(void) {
    if (hook) hook();
    abort();
}

int mf_memory_refuse(const char *what, size_t min, size_t limit, struct mf_err *err) {
    return mf_err_set(err, EX_CONFIG, "--max-memory: %s needs at least %zu MB, not %.1f MB", what,
                      min / 1000000 + 1, (double)limit / 1e6);
}
