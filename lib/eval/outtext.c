/* Deciding how much of a growing text can be shown. */
#include "eval/outtext.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/utf8.h"

/* Looks for stop strings that end in the bytes added last; the earliest beginning wins. */
static bool find_stop(struct mf_outtext *t, size_t old) {
    size_t best = t->size;
    bool found = false;
    for (size_t i = 0; t->stops && i < t->stops->count; i++) {
        const char *stop = t->stops->items[i]; /* from the command line: a C string */
        size_t n = strlen(stop), from = old >= n ? old - n + 1 : 0;
        if (n == 0 || from < t->done) from = t->done;
        const char *at = n ? memmem(t->bytes + from, t->size - from, stop, n) : NULL;
        if (!at || (size_t)(at - t->bytes) >= best) continue;
        best = (size_t)(at - t->bytes);
        found = true;
    }
    t->size = best;
    return found;
}

bool mf_outtext_add(struct mf_outtext *t, const char *bytes, size_t size) {
    size_t old = t->size;
    if (size == 0 || t->stopped) return t->stopped;
    if (size > t->capacity - old) {
        t->capacity = 2 * (old + size);
        t->bytes = realloc(t->bytes, t->capacity);
        if (!t->bytes) mf_no_memory();
    }
    memcpy(t->bytes + old, bytes, size);
    t->size += size;
    t->stopped = find_stop(t, old);
    return t->stopped;
}

/* Where the longest end of the text begins that a stop string may begin with. */
static size_t held_from(const struct mf_outtext *t) {
    size_t held = 0;
    for (size_t i = 0; t->stops && i < t->stops->count; i++) {
        const char *stop = t->stops->items[i];
        size_t n = strlen(stop), left = t->size - t->done;
        size_t max = n == 0 ? 0 : n - 1 < left ? n - 1 : left;
        for (size_t k = max; k > held; k--)
            if (memcmp(t->bytes + t->size - k, stop, k) == 0) held = k;
    }
    return t->size - held;
}

int mf_outtext_next(struct mf_outtext *t, bool end, const char **bytes, size_t *size) {
    size_t limit = end || t->stopped ? t->size : held_from(t), from = t->done;
    const unsigned char *b = (const unsigned char *)t->bytes;
    while (t->done < limit) { /* as many whole characters as there are */
        bool valid;
        size_t n = mf_utf8_step(b + t->done, t->size - t->done, &valid);
        if (n == 0 && !(end || t->stopped)) break;
        if (!valid || n == 0) {
            if (t->done > from) break; /* first what was before the stray byte */
            t->done += n ? n : t->size - t->done;
            *bytes = "\xef\xbf\xbd";
            *size = 3;
            return 1;
        }
        if (t->done + n > limit) break;
        t->done += n;
    }
    *bytes = t->bytes + from;
    *size = t->done - from;
    return *size > 0;
}

void mf_outtext_clear(struct mf_outtext *t) {
    const struct mf_strs *stops = t->stops;
    free(t->bytes);
    *t = (struct mf_outtext){.stops = stops};
}
