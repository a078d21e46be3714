/* Learning merges: counts of pairs, where they occur, and a heap that is corrected lazily. */
#include "text/bpe.h"

#include <stdbool.h>
#include <stdlib.h>

/* A pair's state. `places` are words it may occur in: words are only ever added. */
struct pair {
    uint64_t key, count;
    uint32_t *places;
    size_t n_places, room;
    bool refused;
};

struct entry {
    uint64_t count, key;
};

struct learner {
    struct mf_bpe_word *words;
    struct mf_pair_map index; /* key -> index in pairs */
    struct pair *pairs;
    size_t n_pairs, pairs_room;
    struct entry *heap;
    size_t heaped, heap_room;
    struct mf_err *err;
};

static int out_of_memory(struct learner *l) {
    return mf_err_set(l->err, EX_OSERR, "out of memory while learning merges");
}

/* Highest count first, then the lower pair of ids. */
static bool before(const struct entry *a, const struct entry *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static int push(struct learner *l, struct entry item) {
    if (l->heaped == l->heap_room) {
        size_t room = l->heap_room ? 2 * l->heap_room : 4096;
        struct entry *grown = realloc(l->heap, room * sizeof *grown);
        if (!grown) return out_of_memory(l);
        l->heap = grown;
        l->heap_room = room;
    }
    size_t i = l->heaped++;
    for (; i > 0 && before(&item, &l->heap[(i - 1) / 2]); i = (i - 1) / 2) l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = item;
    return 0;
}

static struct entry pop(struct learner *l) {
    struct entry top = l->heap[0], last = l->heap[--l->heaped];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < l->heaped; i = child) {
        if (child + 1 < l->heaped && before(&l->heap[child + 1], &l->heap[child])) child++;
        if (!before(&l->heap[child], &last)) break;
        l->heap[i] = l->heap[child];
    }
    if (l->heaped) l->heap[i] = last;
    return top;
}

static struct pair *pair_of(struct learner *l, uint64_t key) {
    const uint64_t *at = mf_pair_map_get(&l->index, key);
    if (at) return &l->pairs[*at];
    if (l->n_pairs == l->pairs_room) {
        size_t room = l->pairs_room ? 2 * l->pairs_room : 1024;
        struct pair *grown = realloc(l->pairs, room * sizeof *grown);
        if (!grown) return out_of_memory(l), NULL;
        l->pairs = grown;
        l->pairs_room = room;
    }
    if (mf_pair_map_put(&l->index, key, l->n_pairs, l->err) < 0) return NULL;
    l->pairs[l->n_pairs] = (struct pair){.key = key};
    return &l->pairs[l->n_pairs++];
}

/* Word w now holds the pair once more; its place is noted once in a row. */
static int add(struct learner *l, uint32_t left, uint32_t right, uint32_t w) {
    struct pair *p = pair_of(l, mf_pair(left, right));
    if (!p) return -1;
    p->count += l->words[w].count;
    if (p->n_places && p->places[p->n_places - 1] == w) return 0;
    if (p->n_places == p->room) {
        size_t room = p->room ? 2 * p->room : 4;
        uint32_t *grown = realloc(p->places, room * sizeof *grown);
        if (!grown) return out_of_memory(l);
        p->places = grown;
        p->room = room;
    }
    p->places[p->n_places++] = w;
    return 0;
}

static void subtract(struct learner *l, uint32_t left, uint32_t right, uint64_t count) {
    const uint64_t *at = mf_pair_map_get(&l->index, mf_pair(left, right));
    if (at) l->pairs[*at].count -= count;
}

/* Replaces the pair in one word from left to right, and corrects its neighbours' counts. Pairs that gained
 * are queued again by the caller (their entries in the heap are too low); those that lost are corrected when
 * they come up. */
static int merge_word(struct learner *l, uint32_t w, uint32_t left, uint32_t right, uint32_t id) {
    struct mf_bpe_word *word = &l->words[w];
    size_t to = 0;
    for (size_t i = 0; i < word->size; i++) {
        if (i + 1 < word->size && word->ids[i] == left && word->ids[i + 1] == right) {
            uint32_t after = i + 2 < word->size ? word->ids[i + 2] : 0;
            if (to) {
                subtract(l, word->ids[to - 1], left, word->count);
                if (add(l, word->ids[to - 1], id, w) < 0) return -1;
            }
            if (i + 2 < word->size) {
                subtract(l, right, after, word->count);
                if (add(l, id, after, w) < 0) return -1;
            }
            word->ids[to++] = id;
            i++;
        } else {
            word->ids[to++] = word->ids[i];
        }
    }
    word->size = to;
    return 0;
}

static int queue_new(struct learner *l, size_t from) {
    for (size_t i = from; i < l->n_pairs; i++)
        if (l->pairs[i].count && push(l, (struct entry){l->pairs[i].count, l->pairs[i].key}) < 0) return -1;
    return 0;
}

static int learn(struct learner *l, size_t n_words, uint32_t first_id, size_t n_merges, uint64_t min_count,
                 mf_bpe_accept *accept, void *context, uint64_t *pairs, size_t *learnt) {
    for (size_t w = 0; w < n_words; w++)
        for (size_t i = 0; i + 1 < l->words[w].size; i++)
            if (add(l, l->words[w].ids[i], l->words[w].ids[i + 1], (uint32_t)w) < 0) return -1;
    if (queue_new(l, 0) < 0) return -1;
    *learnt = 0;
    while (*learnt < n_merges && l->heaped) {
        struct entry top = pop(l);
        struct pair *p = &l->pairs[*mf_pair_map_get(&l->index, top.key)];
        if (p->refused || p->count == 0) continue;
        if (p->count != top.count) { /* it lost occurrences since it was queued */
            if (push(l, (struct entry){p->count, p->key}) < 0) return -1;
            continue;
        }
        if (p->count < min_count) break;
        uint32_t left = (uint32_t)(top.key >> 32), right = (uint32_t)top.key,
                 id = first_id + (uint32_t)*learnt;
        int taken = accept(context, left, right, id);
        if (taken < 0) return out_of_memory(l);
        if (!taken) {
            p->refused = true;
            continue;
        }
        /* pairs with the new id are all new, so what they gain is complete once all words are merged */
        size_t first_new = l->n_pairs, n_places = p->n_places;
        uint32_t *places = p->places;
        p->places = NULL;
        p->n_places = p->room = 0;
        p->count = 0;
        int status = 0;
        for (size_t i = 0; i < n_places && status == 0; i++)
            status = merge_word(l, places[i], left, right, id);
        free(places);
        if (status < 0 || queue_new(l, first_new) < 0) return -1;
        l->pairs[*mf_pair_map_get(&l->index, top.key)].refused = true; /* merged: nothing is left of it */
        pairs[(*learnt)++] = top.key;
    }
    return 0;
}

int mf_bpe_learn(struct mf_bpe_word *words, size_t n_words, uint32_t first_id, size_t n_merges,
                 uint64_t min_count, mf_bpe_accept *accept, void *context, uint64_t *pairs, size_t *learnt,
                 struct mf_err *err) {
    struct learner l = {.words = words, .err = err};
    if (n_words > UINT32_MAX) return mf_err_set(err, EX_DATAERR, "too many different words");
    int status = learn(&l, n_words, first_id, n_merges, min_count, accept, context, pairs, learnt);
    for (size_t i = 0; i < l.n_pairs; i++) free(l.pairs[i].places);
    free(l.pairs);
    free(l.heap);
    mf_pair_map_free(&l.index);
    return status;
}
