/* Names of an archive's members: of two that mean one file the last one counts. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/docs_internal.h"

/* Of a path without its "." and empty parts. */
static XXH128_hash_t hash_name(const char *name) {
    char *plain = strdup(name), *to = plain;
    if (!plain) mf_no_memory();
    for (const char *at = name; *at; at += strcspn(at, "/")) {
        at += strspn(at, "/");
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && *at == '.')) continue;
        memcpy(to, at, n);
        to += n;
        if (at[n]) *to++ = '/';
    }
    while (to > plain && to[-1] == '/') to--;
    XXH128_hash_t hash = XXH3_128bits(plain, (size_t)(to - plain));
    free(plain);
    return hash;
}

void docs_names_add(struct docs_names *names, const char *name, uint64_t number) {
    if (names->count == names->capacity) {
        names->capacity = 2 * names->capacity + 64;
        names->items = realloc(names->items, names->capacity * sizeof *names->items);
        if (!names->items) mf_no_memory();
    }
    names->items[names->count++] = (struct docs_name){hash_name(name), number};
}

static int by_name(const void *a, const void *b) {
    const struct docs_name *x = a, *y = b;
    int order = XXH128_cmp(&x->hash, &y->hash);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static int by_number(const void *a, const void *b) {
    const struct docs_name *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

void docs_names_keep_replaced(struct docs_names *names) {
    size_t kept = 0;
    if (names->count > 0) qsort(names->items, names->count, sizeof *names->items, by_name);
    for (size_t i = 0; i + 1 < names->count; i++)
        if (XXH128_isEqual(names->items[i].hash, names->items[i + 1].hash))
            names->items[kept++] = names->items[i];
    names->count = kept;
    if (kept > 0) qsort(names->items, kept, sizeof *names->items, by_number);
}
