/* Lists in which things are found by name: an order of their indices, made once. */
#ifndef MF_IO_NAMES_H
#define MF_IO_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* The name of item i of a list. */
typedef const char *mf_name_of(const void *items, size_t i);

/* The indices of n items in the order of their names; new. */
size_t *mf_names_sort(const void *items, size_t n, mf_name_of *name_of);

/* The item of this name, by that order; -1 where there is none. */
int64_t mf_names_find(const size_t *order, size_t n, const void *items, mf_name_of *name_of,
                      const char *name);

#endif
