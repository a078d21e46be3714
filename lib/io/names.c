/* Orders by name, and what is found by them. */
#include "io/names.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"

struct list {
    const void *items;
    mf_name_of *name_of;
};

static int compare(const void *a, const void *b, void *list) {
    const struct list *l = list;
    return strcmp(l->name_of(l->items, *(const size_t *)a), l->name_of(l->items, *(const size_t *)b));
}

size_t *mf_names_sort(const void *items, size_t n, mf_name_of *name_of) {
    struct list list = {items, name_of};
    size_t *order = calloc(n ? n : 1, sizeof *order);
    if (!order) mf_no_memory();
    for (size_t i = 0; i < n; i++) order[i] = i;
    qsort_r(order, n, sizeof *order, compare, &list);
    return order;
}

int64_t mf_names_find(const size_t *order, size_t n, const void *items, mf_name_of *name_of,
                      const char *name) {
    for (size_t low = 0, high = n; low < high;) {
        size_t middle = low + (high - low) / 2, i = order[middle];
        int difference = strcmp(name, name_of(items, i));
        if (difference == 0) return (int64_t)i;
        if (difference < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}
