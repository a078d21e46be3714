/* Words of a text: their number, their lengths, how many differ. */
#include "partition/difficulty.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes `hash` into the set; true when it is new. */
static bool add_hash(uint64_t *hashes, size_t capacity, uint64_t hash) {
    size_t at = hash & (capacity - 1);
    while (hashes[at] != 0 && hashes[at] != hash) at = (at + 1) & (capacity - 1);
    bool is_new = hashes[at] == 0;
    hashes[at] = hash;
    return is_new;
}

static int grow(struct mf_distinct *words, struct mf_err *err) {
    size_t capacity = words->capacity ? 2 * words->capacity : 1024;
    uint64_t *hashes = calloc(capacity, sizeof *hashes);
    if (!hashes) return mf_err_set(err, EX_OSERR, "out of memory for %zu words", capacity);
    for (size_t i = 0; i < words->capacity; i++)
        if (words->hashes[i] != 0) add_hash(hashes, capacity, words->hashes[i]);
    free(words->hashes);
    words->hashes = hashes;
    words->capacity = capacity;
    return 0;
}

int mf_difficulty(struct mf_distinct *words, const char *text, size_t size, double *difficulty,
                  struct mf_err *err) {
    size_t count = 0, distinct = 0, characters = 0;
    if (words->capacity > 0) memset(words->hashes, 0, words->capacity * sizeof *words->hashes);
    for (size_t i = 0; i < size;) {
        if (is_space(text[i])) {
            i++;
            continue;
        }
        size_t begin = i;
        for (; i < size && !is_space(text[i]); i++)
            characters +=
                ((unsigned char)text[i] & 0xc0) != 0x80; /* UTF-8's later bytes are not characters */
        count++;
        if (2 * distinct >= words->capacity && grow(words, err) < 0) return -1;
        uint64_t hash = XXH64(text + begin, i - begin, 0);
        distinct += add_hash(words->hashes, words->capacity, hash ? hash : 1);
    }
    *difficulty =
        count == 0 ? 0 : (double)characters / (double)count * log((double)distinct) * sqrt((double)count);
    return 0;
}

void mf_distinct_free(struct mf_distinct *words) {
    free(words->hashes);
    *words = (struct mf_distinct){0};
}
