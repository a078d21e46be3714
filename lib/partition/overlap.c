/* Offers by partition and score; what was chosen by document. */
#include "partition/overlap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "io/sort.h"
#include "partition/known.h"

/* An offer: partition (2 bytes), score (4, negated: the largest first), document (8), all big-endian; tokens
 * (4). */
#define OFFER 18

struct mf_overlap {
    struct mf_sort *offers, *chosen;
    bool is_read; /* the next of chosen */
    size_t document, partition;
};

int mf_overlap_new(struct mf_overlap **out, size_t memory, struct mf_err *err) {
    struct mf_overlap *o = calloc(1, sizeof *o);
    *out = o;
    if (!o) return mf_err_set(err, EX_OSERR, "out of memory");
    if (mf_sort_new(&o->offers, OFFER, memory / 2, err) < 0) return -1;
    return mf_sort_new(&o->chosen, MF_PLACED_RECORD, memory / 2, err);
}

void mf_overlap_free(struct mf_overlap *o) {
    if (!o) return;
    mf_sort_free(o->offers);
    mf_sort_free(o->chosen);
    free(o);
}

int mf_overlap_offer(struct mf_overlap *o, size_t document, size_t partition, float score, uint32_t tokens,
                     struct mf_err *err) {
    unsigned char record[OFFER];
    mf_sort_put16(record, partition);
    mf_sort_put_float(record + 2, -score);
    mf_sort_put(record + 6, document);
    memcpy(record + 14, &tokens, 4);
    return mf_sort_add(o->offers, record, err);
}

int mf_overlap_choose(struct mf_overlap *o, const uint64_t *own, double share, struct mf_err *err) {
    const unsigned char *record;
    size_t last = SIZE_MAX;
    double added = 0;
    int more = mf_sort_begin(o->offers, err);
    while (more >= 0 && (more = mf_sort_next(o->offers, &record, err)) > 0) {
        size_t e = mf_sort_get16(record);
        uint32_t tokens;
        if (e != last) added = 0;
        last = e;
        if (!(added < share * (double)own[e])) continue;
        memcpy(&tokens, record + 14, 4);
        added += tokens;
        if (mf_placed_add(o->chosen, (size_t)mf_sort_get(record + 6), e, err) < 0) more = -1;
    }
    mf_sort_free(o->offers);
    o->offers = NULL;
    return more;
}

static int advance(struct mf_overlap *o, struct mf_err *err) {
    int more = mf_placed_next(o->chosen, &o->document, &o->partition, err);
    o->is_read = more > 0;
    return more < 0 ? -1 : 0;
}

int mf_overlap_begin(struct mf_overlap *o, struct mf_err *err) {
    return mf_sort_begin(o->chosen, err) < 0 ? -1 : advance(o, err);
}

int mf_overlap_next(struct mf_overlap *o, size_t document, uint16_t *list, size_t *n, struct mf_err *err) {
    for (*n = 0; o->is_read && o->document == document;) {
        list[(*n)++] = (uint16_t)o->partition;
        if (advance(o, err) < 0) return -1;
    }
    return 0;
}
