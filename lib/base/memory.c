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
