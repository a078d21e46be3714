/* The end of a program that gets no memory for something small.
 *
 * Large blocks are asked for up front and their failure is a `struct mf_err` (base/arena.h). Of the many
 * small ones a failure ends the process: nothing useful could follow, and some libraries crash then or leave
 * a value out, which would make a wrong file. So in every program that links this library malloc, calloc and
 * realloc of less than 1 MiB do not return without memory, whoever calls them (not in builds with the address
 * sanitizer, which have their own). */
#ifndef MF_BASE_MEMORY_H
#define MF_BASE_MEMORY_H

/* Removes the process's temporary files, prints "PROGRAM: out of memory" and exits with EX_OSERR, without
 * running exit handlers. May be called from several threads. */
void mf_no_memory(void) __attribute__((noreturn));

#endif
