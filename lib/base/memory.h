/* The end of a process that gets no memory for something small.
 *
 * Large blocks are asked for up front and their failure is a `struct mf_err` (base/arena.h). Where one of the
 * many small ones fails, nothing useful could follow: the process ends. */
#ifndef MF_BASE_MEMORY_H
#define MF_BASE_MEMORY_H

#include <stddef.h>
#include "base/err.h"

/* Calls the hook, which should not return, and aborts if it does or there is none. From any thread. */
void mf_no_memory(void) __attribute__((noreturn));

/* `end` says so to people and ends the process (bin/cli/program.c). The pointer is a global: malloc's callers
 * have nothing that could hold it. Set before threads start. */
void mf_memory_hook(void (*end)(void));

/* Refuses a limit of memory (--max-memory) that is below the `min` that `what` needs: EX_CONFIG, with both
 * in MB, the minimum rounded up. Returns -1. */
int mf_memory_refuse(const char *what, size_t min, size_t limit, struct mf_err *err);

#endif
