/* Learning merges: counts of pairs, where they occur, and a heap that is corrected lazily.
 *
 * The words lie in one array. A token is written at the place of its first byte and again at that of its
 * last, NONE between them, so both neighbours of a place are found from the tokens' lengths alone, and a
 * merge costs its occurrences, not the length of their words. */
#include "text/bpe_internal.h"

#include <stdlib.h>

#define NONE (MF_BPE_END - 1)

/* In the index: a pair that will never be merged. */
#define NEVER UINT64_MAX

/* A pair's state. `places` are where it may begin: they are only ever added. */
struct pair {
    uint64_t key, count;
    uint32_t *places;
    size_t n_places, capacity;
    bool done; /* merged or refused */
};

struct learner {
    uint32_t *symbols, *word; /* [size] the word of each place */
    size_t size;
    const uint64_t *counts; /* of each word */
    uint32_t *lengths;      /* of each token, in bytes */
    size_t lengths_capacity;
    struct mf_pair_map index; /* key -> index in pairs */
    struct pair *pairs;
    size_t n_pairs, pairs_capacity, first_new;
    struct candidate *heap;
    size_t heaped, heap_capacity;
    struct mf_bpe_floor floor;
    struct mf_err *err;
};

static int out_of_memory(struct learner *l) {
    return mf_err_set(l->err, EX_OSERR, "out of memory while learning merges");
}

/* Room for one more of `count` items of `size` bytes; NULL when there is none. */
static void *one_more(void *items, size_t count, size_t *capacity, size_t first, size_t size) {
    if (count < *capacity) return items;
    size_t wanted = *capacity ? 2 * *capacity : first;
    void *grown = realloc(items, wanted * size);
    if (grown) *capacity = wanted;
    return grown;
}

/* Queues a pair; the highest count comes first, of equal ones the lower pair of ids. */
static int push(struct learner *l, const struct pair *p) {
    struct candidate *heap = one_more(l->heap, l->heaped, &l->heap_capacity, 4096, sizeof *heap);
    if (!heap) return out_of_memory(l);
    l->heap = heap;
    heap_push(heap, &l->heaped, (struct candidate){UINT64_MAX - p->count, p->key});
    return 0;
}

static struct pair *pair_of(struct learner *l, uint64_t key) {
    const uint64_t *at = mf_pair_map_get(&l->index, key);
    if (at) return &l->pairs[*at];
    struct pair *pairs = one_more(l->pairs, l->n_pairs, &l->pairs_capacity, 1024, sizeof *pairs);
    if (!pairs) return out_of_memory(l), NULL;
    l->pairs = pairs;
    if (mf_pair_map_put(&l->index, key, l->n_pairs, l->err) < 0) return NULL;
    pairs[l->n_pairs] = (struct pair){.key = key};
    return &pairs[l->n_pairs++];
}

/* The pair occurs at `place` now. */
static int add(struct learner *l, uint32_t left, uint32_t right, size_t place) {
    struct pair *p = pair_of(l, mf_pair(left, right));
    if (!p) return -1;
    uint32_t *places = one_more(p->places, p->n_places, &p->capacity, 4, sizeof *places);
    if (!places) return out_of_memory(l);
    p->places = places;
    p->places[p->n_places++] = (uint32_t)place;
    p->count += l->counts[l->word[place]];
    return 0;
}

static void subtract(struct learner *l, uint32_t left, uint32_t right, size_t place) {
    const uint64_t *at = mf_pair_map_get(&l->index, mf_pair(left, right));
    if (at && *at != NEVER) l->pairs[*at].count -= l->counts[l->word[place]];
}

/* Replaces the pair at a place, if it is still there, and corrects the neighbours' counts. */
static int merge_at(struct learner *l, size_t place, uint32_t left, uint32_t right, uint32_t id) {
    uint32_t *s = l->symbols;
    size_t middle = place + l->lengths[left], end = middle + l->lengths[right];
    if (s[place] != left || s[middle] != right) return 0;
    uint32_t before_it = s[place - 1], after = s[end];
    if (s[middle - 1] == left && middle - 1 != place) s[middle - 1] = NONE;
    if (middle != end - 1) s[middle] = NONE;
    s[place] = s[end - 1] = id;
    if (before_it != MF_BPE_END) {
        subtract(l, before_it, left, place);
        if (add(l, before_it, id, place - l->lengths[before_it]) < 0) return -1;
    }
    if (after != MF_BPE_END) {
        subtract(l, right, after, place);
        if (add(l, id, after, place) < 0) return -1;
    }
    return 0;
}

/* All occurrences, from left to right, as they were noted: of `aaa` the first two. */
static int merge_all(struct learner *l, uint64_t key, uint32_t id) {
    struct pair *p = &l->pairs[*mf_pair_map_get(&l->index, key)];
    uint32_t *places = p->places;
    size_t n = p->n_places;
    *p = (struct pair){.key = key, .done = true};
    l->first_new = l->n_pairs;
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i++)
        status = merge_at(l, places[i], (uint32_t)(key >> 32), (uint32_t)key, id);
    free(places);
    return status;
}

static bool before_floor(const struct learner *l, const struct pair *p) {
    return mf_bpe_before(p->count, p->key, l->floor);
}

/* Queues the pairs with the new token: only they gained occurrences, and only now all of them are counted. A
 * pair that is not before the floor now will never be, and is forgotten. */
static int queue_new(struct learner *l) {
    size_t kept = l->first_new;
    for (size_t i = l->first_new; i < l->n_pairs; i++) {
        struct pair p = l->pairs[i];
        bool never = !before_floor(l, &p);
        if (mf_pair_map_put(&l->index, p.key, never ? NEVER : kept, l->err) < 0) return -1;
        l->pairs[i].places = NULL;
        if (never) free(p.places);
        if (!never) l->pairs[kept++] = p;
        if (!never && push(l, &p) < 0) return -1;
    }
    l->n_pairs = kept;
    return 0;
}

/* Words and pairs as they are at first, each byte a token. */
static int begin(struct learner *l, uint32_t first_id) {
    l->word = malloc(l->size * sizeof *l->word);
    l->lengths = malloc(first_id * sizeof *l->lengths);
    if (!l->word || !l->lengths) return out_of_memory(l);
    l->lengths_capacity = first_id;
    for (uint32_t id = 0; id < first_id; id++) l->lengths[id] = 1;
    uint32_t word = 0;
    for (size_t i = 1; i < l->size; i++) {
        l->word[i] = word;
        if (l->symbols[i] == MF_BPE_END)
            word++;
        else if (l->symbols[i + 1] != MF_BPE_END && add(l, l->symbols[i], l->symbols[i + 1], i) < 0)
            return -1;
    }
    return queue_new(l);
}

static int new_length(struct learner *l, uint32_t id, uint32_t left, uint32_t right) {
    uint32_t *lengths = one_more(l->lengths, id, &l->lengths_capacity, 1024, sizeof *lengths);
    if (!lengths) return out_of_memory(l);
    l->lengths = lengths;
    lengths[id] = lengths[left] + lengths[right];
    return 0;
}

static int learn(struct learner *l, uint32_t first_id, size_t n_tokens, mf_bpe_accept *accept, void *context,
                 struct mf_bpe_merges *merges) {
    uint32_t next = first_id;
    if (begin(l, first_id) < 0) return -1;
    while (next - first_id < n_tokens && l->heaped) {
        struct candidate top = heap_pop(l->heap, &l->heaped);
        uint64_t key = top.at, count = UINT64_MAX - top.value;
        struct pair *p = &l->pairs[*mf_pair_map_get(&l->index, key)];
        if (p->done || p->count == 0) continue;
        if (p->count != count) { /* it lost occurrences since it was queued */
            if (push(l, p) < 0) return -1;
            continue;
        }
        if (!before_floor(l, p)) break;
        uint32_t left = (uint32_t)(key >> 32), right = (uint32_t)key;
        int taken = accept(context, left, right, next);
        if (taken < 0) return out_of_memory(l);
        if (!taken) {
            p->done = true;
            continue;
        }
        uint64_t *pairs = one_more(merges->pairs, merges->count, &merges->capacity, 1024, sizeof *pairs);
        if (!pairs) return out_of_memory(l);
        merges->pairs = pairs;
        pairs[merges->count++] = key;
        if (new_length(l, next, left, right) < 0) return -1;
        if (merge_all(l, key, next++) < 0 || queue_new(l) < 0) return -1;
    }
    return 0;
}

int mf_bpe_learn(uint32_t *symbols, size_t size, const uint64_t *counts, uint32_t first_id, size_t n_tokens,
                 struct mf_bpe_floor floor, mf_bpe_accept *accept, void *context,
                 struct mf_bpe_merges *merges, struct mf_err *err) {
    struct learner l = {.symbols = symbols, .size = size, .counts = counts, .floor = floor, .err = err};
    if (size > UINT32_MAX)
        return mf_err_set(err, EX_DATAERR, "the different words have %zu bytes, more than 4 GB", size);
    int status = learn(&l, first_id, n_tokens, accept, context, merges);
    for (size_t i = 0; i < l.n_pairs; i++) free(l.pairs[i].places);
    free(l.pairs);
    free(l.heap);
    free(l.word);
    free(l.lengths);
    mf_pair_map_free(&l.index);
    return status;
}
