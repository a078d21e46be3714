/* Applying merges to a word. */
#include "text/bpe_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- pair maps --- */

static size_t slot_of(const struct mf_pair_map *map, uint64_t key) {
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash ^ hash >> 29) & (map->capacity - 1);
    while (map->keys[at] != UINT64_MAX && map->keys[at] != key) at = (at + 1) & (map->capacity - 1);
    return at;
}

static int grow(struct mf_pair_map *map, struct mf_err *err) {
    struct mf_pair_map old = *map;
    size_t capacity = old.capacity ? 2 * old.capacity : 1024;
    uint64_t *keys = malloc(capacity * sizeof *keys), *values = malloc(capacity * sizeof *values);
    if (!keys || !values) {
        free(keys);
        free(values);
        return mf_err_set(err, EX_OSERR, "out of memory for %zu pairs", capacity);
    }
    memset(keys, 0xff, capacity * sizeof *keys);
    *map = (struct mf_pair_map){keys, values, capacity, old.count};
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.keys[i] == UINT64_MAX) continue;
        size_t at = slot_of(map, old.keys[i]);
        map->keys[at] = old.keys[i];
        map->values[at] = old.values[i];
    }
    free(old.keys);
    free(old.values);
    return 0;
}

int mf_pair_map_put(struct mf_pair_map *map, uint64_t key, uint64_t value, struct mf_err *err) {
    if (3 * map->count >= 2 * map->capacity && grow(map, err) < 0) return -1;
    size_t at = slot_of(map, key);
    map->count += map->keys[at] == UINT64_MAX;
    map->keys[at] = key;
    map->values[at] = value;
    return 0;
}

const uint64_t *mf_pair_map_get(const struct mf_pair_map *map, uint64_t key) {
    if (map->capacity == 0) return NULL;
    size_t at = slot_of(map, key);
    return map->keys[at] == key ? &map->values[at] : NULL;
}

void mf_pair_map_clear(struct mf_pair_map *map) {
    if (map->capacity) memset(map->keys, 0xff, map->capacity * sizeof *map->keys);
    map->count = 0;
}

void mf_pair_map_free(struct mf_pair_map *map) {
    free(map->keys);
    free(map->values);
    *map = (struct mf_pair_map){0};
}

/* --- words --- */

void mf_bpe_work_free(struct mf_bpe_work *work) {
    free(work->memory);
    *work = (struct mf_bpe_work){0};
}

/* Up to this length, looking at every pair for each merge beats a heap. */
#define SHORT_WORD 48

static void apply_short(const struct mf_pair_map *merges, uint32_t *ids, size_t *n) {
    uint64_t values[SHORT_WORD];
    size_t count = *n;
    for (size_t i = 0; i + 1 < count; i++) {
        const uint64_t *value = mf_pair_map_get(merges, mf_pair(ids[i], ids[i + 1]));
        values[i] = value ? *value : UINT64_MAX;
    }
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (values[i] < values[best]) best = i;
        if (values[best] == UINT64_MAX) break;
        ids[best] = (uint32_t)values[best];
        memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof *ids);
        if (best + 2 < count) memmove(values + best, values + best + 1, (count - best - 2) * sizeof *values);
        count--;
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < count; i++) {
            const uint64_t *value = mf_pair_map_get(merges, mf_pair(ids[i], ids[i + 1]));
            values[i] = value ? *value : UINT64_MAX;
        }
    }
    *n = count;
}

static bool before(const struct candidate *a, const struct candidate *b) {
    return a->value != b->value ? a->value < b->value : a->at < b->at;
}

void heap_push(struct candidate *heap, size_t *n, struct candidate item) {
    size_t i = (*n)++;
    for (; i > 0 && before(&item, &heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = item;
}

struct candidate heap_pop(struct candidate *heap, size_t *n) {
    struct candidate top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < *n; i = child) {
        if (child + 1 < *n && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &last)) break;
        heap[i] = heap[child];
    }
    if (*n) heap[i] = last;
    return top;
}

/* From this length on, lists for each rank beat the heap. */
#define ENORMOUS_WORD 4096

#define NONE SIZE_MAX

/* A candidate's value is rank << 32 | new id. It is stale when the pair at its place has another merge by
 * now. Every merge adds at most two candidates and removes a symbol, so the heap never holds more than 3 n.
 */
static int apply_long(const struct mf_pair_map *merges, struct mf_bpe_work *work, uint32_t *ids, size_t *n,
                      struct mf_err *err) {
    size_t count = *n, bytes = count * (3 * sizeof(struct candidate) + 2 * sizeof(size_t)), heaped = 0;
    if (work->capacity < bytes) {
        free(work->memory);
        work->memory = malloc(bytes);
        work->capacity = work->memory ? bytes : 0;
        if (!work->memory) return mf_err_set(err, EX_OSERR, "out of memory for a word of %zu bytes", count);
    }
    struct candidate *heap = work->memory;
    size_t *next = (size_t *)(heap + 3 * count), *previous = next + count;
    for (size_t i = 0; i < count; i++) {
        next[i] = i + 1 < count ? i + 1 : NONE;
        previous[i] = i ? i - 1 : NONE;
        const uint64_t *value = i + 1 < count ? mf_pair_map_get(merges, mf_pair(ids[i], ids[i + 1])) : NULL;
        if (value) heap_push(heap, &heaped, (struct candidate){*value, i});
    }
    /* a removed symbol is marked by next == its own index */
    while (heaped) {
        struct candidate c = heap_pop(heap, &heaped);
        size_t right = next[c.at];
        if (right == NONE || right == c.at) continue;
        const uint64_t *value = mf_pair_map_get(merges, mf_pair(ids[c.at], ids[right]));
        if (!value || *value != c.value) continue;
        ids[c.at] = (uint32_t)c.value;
        next[c.at] = next[right];
        if (next[right] != NONE) previous[next[right]] = c.at;
        next[right] = right;
        size_t left = previous[c.at];
        if (left != NONE && (value = mf_pair_map_get(merges, mf_pair(ids[left], ids[c.at]))))
            heap_push(heap, &heaped, (struct candidate){*value, left});
        if (next[c.at] != NONE && (value = mf_pair_map_get(merges, mf_pair(ids[c.at], ids[next[c.at]]))))
            heap_push(heap, &heaped, (struct candidate){*value, c.at});
    }
    size_t kept = 0;
    for (size_t i = 0; i != NONE; i = next[i]) ids[kept++] = ids[i];
    *n = kept;
    return 0;
}

int mf_bpe_apply(const struct mf_pair_map *merges, struct mf_bpe_work *work, uint32_t *ids, size_t *n,
                 struct mf_err *err) {
    if (*n < 2) return 0;
    if (*n >= ENORMOUS_WORD) return bpe_apply_enormous(merges, ids, n, err);
    if (*n > SHORT_WORD) return apply_long(merges, work, ids, n, err);
    apply_short(merges, ids, n);
    return 0;
}
