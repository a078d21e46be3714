/* Splitting by hash, with a floor. */
#include "text/splits.h"

#include <stdlib.h>

const char *const mf_split_names[MF_SPLITS] = {"train", "val", "test"};

/* One document counts at most an eighth of the floor; the floor never asks for more than an eighth of the
 * text. */
#define PARTS 8

enum mf_split mf_split_of(const struct mf_split_rule *rule, uint64_t hash) {
    double u = (double)(hash >> 11) * 0x1p-53; /* [0, 1) */
    if (u < rule->fraction[MF_VAL]) return MF_VAL;
    return u < rule->fraction[MF_VAL] + rule->fraction[MF_TEST] ? MF_TEST : MF_TRAIN;
}

/* What a document counts towards the floor: its bytes, but an eighth of the floor at most, so that not one
 * alone is enough. */
static uint64_t floor_count(const struct mf_split_rule *rule, uint64_t size) {
    uint64_t max = rule->floor / PARTS + (rule->floor % PARTS != 0);
    return size < max ? size : max;
}

void mf_split_sums_add(struct mf_split_sums *s, const struct mf_split_rule *rule,
                       const struct mf_unit *unit) {
    s->bytes[unit->split] += unit->size;
    s->counted[unit->split] += floor_count(rule, unit->size);
}

static bool enough(const struct mf_split_sums *s, const struct mf_split_rule *rule, enum mf_split split) {
    uint64_t all = s->bytes[MF_TRAIN] + s->bytes[MF_VAL] + s->bytes[MF_TEST];
    return rule->fraction[split] == 0 || s->counted[split] >= rule->floor || s->bytes[split] >= all / PARTS;
}

bool mf_split_is_enough(const struct mf_split_sums *s, const struct mf_split_rule *rule) {
    return enough(s, rule, MF_VAL) && enough(s, rule, MF_TEST);
}

/* A document of training, for sorting. */
struct place {
    uint64_t hash;
    size_t unit;
};

static int by_hash(const void *a, const void *b) {
    uint64_t x = ((const struct place *)a)->hash, y = ((const struct place *)b)->hash;
    return (x > y) - (x < y);
}

/* The documents of training in the order of their hashes. */
static size_t training(const struct mf_unit *units, size_t n, struct place *order) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!units[i].removed && units[i].split == MF_TRAIN)
            order[count++] = (struct place){units[i].hash, i};
    qsort(order, count, sizeof *order, by_hash);
    return count;
}

/* Training stays at least as large as what it gives to. */
static bool can_give(const struct mf_split_sums *s, enum mf_split to, uint64_t size) {
    return s->bytes[MF_TRAIN] >= size && s->bytes[MF_TRAIN] - size >= s->bytes[to] + size;
}

static bool move(struct mf_split_sums *s, const struct mf_split_rule *rule, struct mf_unit *unit,
                 enum mf_split to) {
    if (unit->split != MF_TRAIN || enough(s, rule, to) || !can_give(s, to, unit->size)) return false;
    s->bytes[MF_TRAIN] -= unit->size;
    unit->split = to;
    mf_split_sums_add(s, rule, unit);
    return true;
}

/* Validation takes from the low end, which is beside the test's hashes, the test from the high end. */
static size_t fill(const struct mf_split_rule *rule, struct mf_split_sums *s, struct mf_unit *units,
                   const struct place *order, size_t n) {
    size_t moved = 0;
    for (size_t i = 0; i < n; i++) moved += move(s, rule, &units[order[i].unit], MF_VAL);
    for (size_t i = n; i-- > 0;) moved += move(s, rule, &units[order[i].unit], MF_TEST);
    return moved;
}

int mf_split_all(const struct mf_split_rule *rule, struct mf_unit *units, size_t n, size_t *moved,
                 struct mf_err *err) {
    struct mf_split_sums s = {0};
    struct place *order = malloc((n + 1) * sizeof *order);
    if (!order) return mf_err_set(err, EX_OSERR, "out of memory for splitting %zu documents", n);
    for (size_t i = 0; i < n; i++) {
        units[i].split = mf_split_of(rule, units[i].hash);
        if (!units[i].removed) mf_split_sums_add(&s, rule, &units[i]);
    }
    *moved = fill(rule, &s, units, order, training(units, n, order));
    free(order);
    return 0;
}
