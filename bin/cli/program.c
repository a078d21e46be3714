/* The environment, the end without memory, and the line of a failure. */
#include "cli/program.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/tempfile.h"

/* By write alone: stdio may want memory. */
static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

/* Removes the process's temporary files, prints "PROGRAM: out of memory" and exits without running exit
 * handlers. May be called from several threads. */
static void end_without_memory(void) {
    static atomic_flag ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&ending)) pause(); /* another thread is at it */
    mf_tempfiles_remove();
    say(program_invocation_short_name);
    say(": out of memory\n");
    _exit(EX_OSERR);
}

void mf_program_begin(void) {
    mf_memory_hook(end_without_memory);
    mf_tempfile_folder_set(getenv("TMPDIR"));
}

int mf_fail(const char *program, const struct mf_err *err) {
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->status ? err->status : EX_SOFTWARE;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OTHER_MALLOC
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define OTHER_MALLOC
#endif

#ifndef OTHER_MALLOC
#define SMALL ((size_t)1 << 20)

/* The names under which glibc offers its own to a program that replaces them; free stays glibc's. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size) {
    void *memory = __libc_malloc(size);
    if (!memory && size < SMALL) end_without_memory();
    return memory;
}

void *calloc(size_t count, size_t size) {
    void *memory = __libc_calloc(count, size);
    if (!memory && count < SMALL && size < SMALL && count * size < SMALL) end_without_memory();
    return memory;
}

/* Of size 0 it frees and rightly returns NULL. */
void *realloc(void *old, size_t size) {
    void *memory = __libc_realloc(old, size);
    if (!memory && size > 0 && size < SMALL) end_without_memory();
    return memory;
}
#endif
