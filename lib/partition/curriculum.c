/* The curriculum: documents sorted by difficulty, cut by tokens, and sorted back. */
#include <string.h>
#include "io/sort.h"
#include "partition/known.h"
#include "partition/plan.h"

/* A document on the scale: difficulty (4 bytes) and number (8), big-endian; tokens (4). */
#define SCALED 16

struct scale {
    struct mf_sort *sorted, *placed;
    size_t n, E, e, rank; /* e: the partition being filled */
    double total, passed; /* tokens */
};

static int add_all(struct scale *s, const struct mf_view *view, struct mf_err *err) {
    struct mf_view_reader r = {.view = view};
    unsigned char record[SCALED];
    int more;
    while ((more = mf_view_next(&r, err)) > 0) {
        mf_sort_put_float(record, r.fact.difficulty);
        mf_sort_put(record + 4, s->n++);
        memcpy(record + 12, &r.fact.tokens, 4);
        s->total += r.fact.tokens;
        if (mf_sort_add(s->sorted, record, err) < 0) {
            more = -1;
            break;
        }
    }
    mf_view_end(&r);
    return more;
}

/* Goes on by one partition at most, so that none is empty, and leaves a document for each partition still to
 * come. */
static void step(struct scale *s, uint32_t tokens) {
    double middle = s->total > 0 ? (s->passed + tokens / 2.0) / s->total : (double)s->rank / (double)s->n;
    size_t want = (size_t)(middle * (double)s->E);
    if (s->rank > 0 && s->e + 1 < s->E && (want > s->e || s->n - s->rank <= s->E - 1 - s->e)) s->e++;
    s->passed += tokens;
    s->rank++;
}

static int cut(struct scale *s, double *upper, struct mf_err *err) {
    const unsigned char *record;
    int more = mf_sort_begin(s->sorted, err);
    while (more >= 0 && (more = mf_sort_next(s->sorted, &record, err)) > 0) {
        uint32_t tokens;
        memcpy(&tokens, record + 12, 4);
        step(s, tokens);
        upper[s->e] = (double)mf_sort_get_float(record);
        if (mf_placed_add(s->placed, (size_t)mf_sort_get(record + 4), s->e, err) < 0) more = -1;
    }
    return more;
}

int mf_plan_curriculum(const struct mf_view *view, size_t E, size_t memory, double *upper,
                       struct mf_spill *places, struct mf_err *err) {
    struct scale s = {.E = E};
    int status = mf_sort_new(&s.sorted, SCALED, memory / 2, err);
    if (status == 0) status = mf_sort_new(&s.placed, MF_PLACED_RECORD, memory / 2, err);
    if (status == 0) status = add_all(&s, view, err);
    if (status == 0) status = cut(&s, upper, err);
    if (status == 0) status = mf_placed_write(s.placed, places, err);
    mf_sort_free(s.sorted);
    mf_sort_free(s.placed);
    return status;
}
