/* A hash table of words. */
#include "text/whole.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/memory.h"

void mf_whole_begin(struct mf_whole *w, const char *bytes, size_t count) {
    w->bytes = bytes;
    for (w->capacity = 16; w->capacity < 2 * count;) w->capacity *= 2;
    w->slots = calloc(w->capacity, sizeof *w->slots);
    if (!w->slots) mf_no_memory();
}

/* Where the word is, or would be. */
static size_t slot_of(const struct mf_whole *w, const char *word, size_t size) {
    size_t at = XXH3_64bits(word, size) & (w->capacity - 1);
    while (w->slots[at].size &&
           (w->slots[at].size != size || memcmp(w->bytes + w->slots[at].at, word, size) != 0))
        at = (at + 1) & (w->capacity - 1);
    return at;
}

void mf_whole_put(struct mf_whole *w, size_t at, uint32_t size, uint32_t id) {
    if (size) w->slots[slot_of(w, w->bytes + at, size)] = (struct mf_whole_slot){at, size, id};
}

bool mf_whole_get(const struct mf_whole *w, const char *word, size_t size, uint32_t *id) {
    if (!w->capacity || size == 0) return false;
    const struct mf_whole_slot *slot = &w->slots[slot_of(w, word, size)];
    *id = slot->id;
    return slot->size > 0;
}

void mf_whole_free(struct mf_whole *w) {
    free(w->slots);
    *w = (struct mf_whole){0};
}
