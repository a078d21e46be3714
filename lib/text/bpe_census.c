/* Counts of all pairs: a map that is emptied into an external sort when it is full, a second sort by count.
 */
#include <stdlib.h>
#include <string.h>
#include "io/sort.h"
#include "text/bpe_rounds_internal.h"

#define RECORD 16 /* of either sort: two numbers */

struct census {
    struct mf_pair_map counts;
    size_t max_counts, max_kept;
    size_t sort_memory;
    struct mf_sort *sort; /* by pair: the pair, a part of its count */
};

/* Of the memory a quarter is for the map, which is half as large again while it grows, and a quarter for each
 * sort; the pairs that are kept, 80 bytes each with their map, come when the first map and sort are gone. */
int census_new(struct census **out, size_t memory, struct mf_err *err) {
    struct census *c = calloc(1, sizeof *c);
    if (!c) return mf_err_set(err, EX_OSERR, "out of memory");
    c->max_counts = 512;
    while (c->max_counts * 2 * 36 <= memory / 4) c->max_counts *= 2;
    c->max_kept = 1 + memory / 4 / 80;
    c->sort_memory = memory / 4;
    if (mf_sort_new(&c->sort, RECORD, c->sort_memory, err) < 0) {
        census_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

void census_free(struct census *c) {
    if (!c) return;
    mf_pair_map_free(&c->counts);
    mf_sort_free(c->sort);
    free(c);
}

static int add_record(struct mf_sort *sort, uint64_t first, uint64_t second, struct mf_err *err) {
    unsigned char record[RECORD];
    mf_sort_put(record, first);
    mf_sort_put(record + 8, second);
    return mf_sort_add(sort, record, err);
}

static int empty_map(struct census *c, struct mf_err *err) {
    const struct mf_pair_map *m = &c->counts;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->keys[i] != UINT64_MAX && add_record(c->sort, m->keys[i], m->values[i], err) < 0) return -1;
    mf_pair_map_clear(&c->counts);
    return 0;
}

int census_add(struct census *c, uint64_t pair, uint64_t count, struct mf_err *err) {
    const uint64_t *there = mf_pair_map_get(&c->counts, pair);
    if (there) return mf_pair_map_put(&c->counts, pair, *there + count, err);
    if (c->counts.count == c->max_counts && empty_map(c, err) < 0) return -1;
    return mf_pair_map_put(&c->counts, pair, count, err);
}

/* Adds up the counts of each pair; those before the floor go on, most frequent first, then by pair. */
static int add_up(struct census *c, struct mf_bpe_floor floor, struct mf_sort *by_count, struct mf_err *err) {
    const unsigned char *record;
    uint64_t pair = 0, count = 0;
    int more = mf_sort_begin(c->sort, err) < 0 ? -1 : mf_sort_next(c->sort, &record, err);
    while (more > 0) {
        pair = mf_sort_get(record);
        count += mf_sort_get(record + 8);
        more = mf_sort_next(c->sort, &record, err);
        if (more > 0 && mf_sort_get(record) == pair) continue;
        if (mf_bpe_before(count, pair, floor) && add_record(by_count, UINT64_MAX - count, pair, err) < 0)
            return -1;
        count = 0;
    }
    return more;
}

static int take_first(struct mf_sort *by_count, size_t max, struct mf_bpe_floor floor,
                      const struct mf_pair_map *refused, struct kept_pairs *kept, struct mf_err *err) {
    const unsigned char *record;
    int more = mf_sort_begin(by_count, err);
    while (more >= 0 && (more = mf_sort_next(by_count, &record, err)) > 0) {
        struct mf_bpe_floor next = {UINT64_MAX - mf_sort_get(record), mf_sort_get(record + 8)};
        bool never = mf_pair_map_get(refused, next.pair) != NULL;
        if (!never) kept->order[kept->n] = next;
        if (!never && kept->n == max) return 0;
        if (mf_pair_map_put(&kept->rank, next.pair, never ? 0 : ++kept->n, err) < 0) return -1;
    }
    kept->order[kept->n] = floor;
    return more;
}

int census_keep(struct census *c, struct mf_bpe_floor floor, const struct mf_pair_map *refused,
                struct kept_pairs *kept, struct mf_err *err) {
    struct mf_sort *by_count;
    if (empty_map(c, err) < 0) return -1;
    mf_pair_map_free(&c->counts);
    if (mf_sort_new(&by_count, RECORD, c->sort_memory, err) < 0) return -1;
    int status = add_up(c, floor, by_count, err);
    uint64_t pairs = mf_sort_count(by_count);
    size_t max = pairs < c->max_kept ? (size_t)pairs : c->max_kept;
    mf_sort_free(c->sort);
    c->sort = NULL;
    kept->order = malloc((max + 1) * sizeof *kept->order);
    if (status == 0 && !kept->order) status = mf_err_set(err, EX_OSERR, "out of memory for pairs");
    if (status == 0) status = take_first(by_count, max, floor, refused, kept, err);
    mf_sort_free(by_count);
    return status;
}

void kept_pairs_free(struct kept_pairs *kept) {
    mf_pair_map_free(&kept->rank);
    free(kept->order);
    *kept = (struct kept_pairs){0};
}
