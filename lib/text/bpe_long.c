/* Applying merges to an enormous word: its pairs wait in a list for each rank, and the lists are emptied in
 * the order of ranks, each from left to right. Memory is touched in order, which a heap of pairs does not. */
#include <stdlib.h>
#include <string.h>
#include "text/bpe_internal.h"

#define NONE UINT32_MAX

/* Places are indexes of the word's first symbols. A place that is in no list has after == itself. */
struct place {
    uint32_t next, previous; /* neighbours in the word */
    uint32_t rank;           /* of the pair that begins here, or NONE */
    uint32_t after, before;  /* in the rank's list */
};

struct word {
    const struct mf_pair_map *merges;
    struct place *places;   /* [n] */
    uint32_t *ids, *order;  /* [n] */
    uint32_t *first;        /* [ranks] of each list, or NONE */
    unsigned char *waits;   /* [ranks] is the rank in the heap? */
    struct candidate *heap; /* [ranks] ranks whose lists are perhaps not empty */
    size_t heaped;
};

static void unlink_place(struct word *w, uint32_t at) {
    struct place *p = &w->places[at];
    if (p->rank == NONE || p->after == at) return;
    if (p->before == NONE)
        w->first[p->rank] = p->after;
    else
        w->places[p->before].after = p->after;
    if (p->after != NONE) w->places[p->after].before = p->before;
}

static void link_place(struct word *w, uint32_t at) {
    struct place *p = &w->places[at];
    p->before = NONE;
    p->after = w->first[p->rank];
    if (p->after != NONE) w->places[p->after].before = at;
    w->first[p->rank] = at;
    if (w->waits[p->rank]) return;
    w->waits[p->rank] = 1;
    heap_push(w->heap, &w->heaped, (struct candidate){p->rank, 0});
}

/* The pair that begins at a place is another one now. */
static void look_again(struct word *w, uint32_t at) {
    struct place *p = &w->places[at];
    unlink_place(w, at);
    const uint64_t *value =
        p->next == NONE ? NULL : mf_pair_map_get(w->merges, mf_pair(w->ids[at], w->ids[p->next]));
    p->rank = value ? (uint32_t)(*value >> 32) : NONE;
    if (value) link_place(w, at);
}

static void merge_at(struct word *w, uint32_t at) {
    struct place *p = &w->places[at], *right = &w->places[p->next];
    w->ids[at] = (uint32_t)*mf_pair_map_get(w->merges, mf_pair(w->ids[at], w->ids[p->next]));
    unlink_place(w, p->next);
    right->rank = NONE;
    p->next = right->next;
    if (p->next != NONE) w->places[p->next].previous = at;
    look_again(w, at);
    if (p->previous != NONE) look_again(w, p->previous);
}

static int by_place(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Takes a list into `order`, from left to right. Places come in from left to right, mostly. */
static size_t take(struct word *w, uint32_t rank) {
    size_t n = 0;
    for (uint32_t at = w->first[rank], after; at != NONE; at = after) {
        after = w->places[at].after;
        w->places[at].after = at;
        w->order[n++] = at;
    }
    w->first[rank] = NONE;
    bool sorted = true;
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t keep = w->order[i];
        w->order[i] = w->order[n - 1 - i];
        w->order[n - 1 - i] = keep;
    }
    for (size_t i = 1; i < n && sorted; i++) sorted = w->order[i - 1] < w->order[i];
    if (!sorted) qsort(w->order, n, sizeof *w->order, by_place);
    return n;
}

static void merge_all(struct word *w) {
    while (w->heaped) {
        uint32_t rank = (uint32_t)heap_pop(w->heap, &w->heaped).value;
        w->waits[rank] = 0;
        size_t n = take(w, rank), i = 0;
        /* a merge may bring a pair of lower rank, in files that no training made: then that is first */
        for (; i < n && !(w->heaped && w->heap[0].value < rank); i++)
            if (w->places[w->order[i]].rank == rank) merge_at(w, w->order[i]);
        for (; i < n; i++)
            if (w->places[w->order[i]].rank == rank) link_place(w, w->order[i]);
    }
}

static uint32_t ranks_of(const struct mf_pair_map *merges) {
    uint64_t max = 0;
    for (size_t i = 0; i < merges->capacity; i++)
        if (merges->keys[i] != UINT64_MAX && merges->values[i] >> 32 > max) max = merges->values[i] >> 32;
    return (uint32_t)max + 1;
}

int bpe_apply_enormous(const struct mf_pair_map *merges, uint32_t *ids, size_t *count, struct mf_err *err) {
    size_t n = *count, ranks = ranks_of(merges), kept = 0;
    if (n >= NONE) return mf_err_set(err, EX_DATAERR, "a word of %zu bytes, more than 4 GB", n);
    struct word w = {.merges = merges,
                     .ids = ids,
                     .places = malloc(n * sizeof *w.places),
                     .order = malloc(n * sizeof *w.order),
                     .first = malloc(ranks * sizeof *w.first),
                     .waits = calloc(ranks, 1),
                     .heap = malloc(ranks * sizeof *w.heap)};
    int status = 0;
    if (w.places && w.order && w.first && w.waits && w.heap) {
        memset(w.first, 0xff, ranks * sizeof *w.first);
        for (uint32_t i = 0; i < n; i++)
            w.places[i] = (struct place){i + 1 < n ? i + 1 : NONE, i ? i - 1 : NONE, NONE, i, NONE};
        for (uint32_t i = 0; i < n; i++) look_again(&w, i);
        merge_all(&w);
        for (uint32_t i = 0; i != NONE; i = w.places[i].next) ids[kept++] = ids[i];
        *count = kept;
    } else {
        status = mf_err_set(err, EX_OSERR, "out of memory for a word of %zu bytes", n);
    }
    free(w.places);
    free(w.order);
    free(w.first);
    free(w.waits);
    free(w.heap);
    return status;
}
