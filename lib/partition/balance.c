/* Prices by histograms, then one pass that places. */
#include "partition/balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PASSES    24
#define TOLERANCE 1e-3 /* of all tokens: too many in all partitions together that need no further pass */

struct balance {
    const struct mf_spill *candidates;
    size_t n, E;
    double capacity, total;
    double *prices;     /* [E] */
    double *loads;      /* [E] tokens */
    double *histograms; /* [E,BINS] tokens by what leaving costs their documents */
    size_t *counts;     /* [E] documents */
};

size_t mf_balance_memory(size_t E) {
    return E * (MF_BALANCE_BINS + 3) * sizeof(double);
}

int mf_candidates_add(struct mf_spill *candidates, uint32_t tokens, const struct mf_near *near, size_t n,
                      struct mf_err *err) {
    struct mf_candidates c;
    memset(&c, 0, sizeof c);
    c.tokens = tokens;
    c.count = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        c.partition[i] = near[i].partition;
        c.score[i] = near[i].score;
    }
    return mf_spill_append(candidates, &c, sizeof c, err);
}

static double value(const struct balance *b, const struct mf_candidates *c, size_t i) {
    return (double)c->score[i] - b->prices[c->partition[i]];
}

/* Bins are narrow where leaving costs little: bin k ends at ((k + 1) / BINS)^2. */
static size_t bin_of(double cost) {
    size_t bin = cost < 1 ? (size_t)(sqrt(cost) * MF_BALANCE_BINS) : MF_BALANCE_BINS - 1;
    return bin < MF_BALANCE_BINS ? bin : MF_BALANCE_BINS - 1;
}

static double bin_begin(size_t bin) {
    double root = (double)bin / MF_BALANCE_BINS;
    return root * root;
}

/* Adds a document to its best partition, in the bin of what the second best costs. */
static void count_document(struct balance *b, const struct mf_candidates *c) {
    size_t best = 0;
    double first = value(b, c, 0), second = -INFINITY;
    for (size_t i = 1; i < c->count; i++) {
        double v = value(b, c, i);
        if (v > first || (!(v < first) && c->partition[i] < c->partition[best])) {
            second = first;
            first = v;
            best = i;
        } else if (v > second)
            second = v;
    }
    size_t e = c->partition[best];
    b->loads[e] += c->tokens;
    b->histograms[e * MF_BALANCE_BINS + bin_of(first - second)] += c->tokens;
}

static int count_all(struct balance *b, struct mf_err *err) {
    struct mf_spill_reader reader = {.spill = b->candidates};
    struct mf_candidates c;
    int status = 0;
    memset(b->loads, 0, b->E * sizeof *b->loads);
    memset(b->histograms, 0, b->E * MF_BALANCE_BINS * sizeof *b->histograms);
    for (size_t i = 0; status == 0 && i < b->n; i++) {
        status = mf_spill_take(&reader, &c, sizeof c, err);
        if (status == 0) count_document(b, &c);
    }
    mf_spill_reader_free(&reader);
    return status;
}

/* What a partition's price has to rise by for `excess` tokens to leave. */
static double rise(const double *histogram, double excess) {
    size_t bin = 0;
    while (bin + 1 < MF_BALANCE_BINS && histogram[bin] < excess) excess -= histogram[bin++];
    double share = histogram[bin] > excess ? excess / histogram[bin] : 1;
    return bin_begin(bin) + share * (bin_begin(bin + 1) - bin_begin(bin));
}

/* Raises the prices of the partitions that are too full; returns by how many tokens in all. */
static double raise_prices(struct balance *b) {
    double all = 0;
    for (size_t e = 0; e < b->E; e++) {
        double excess = b->loads[e] - b->capacity;
        if (excess <= 0) continue;
        all += excess;
        b->prices[e] += rise(b->histograms + e * MF_BALANCE_BINS, excess);
    }
    return all;
}

static int find_prices(struct balance *b, struct mf_err *err) {
    for (int pass = 0; pass < PASSES; pass++) {
        if (count_all(b, err) < 0) return -1;
        b->total = 0;
        for (size_t e = 0; e < b->E; e++) b->total += b->loads[e];
        if (raise_prices(b) <= TOLERANCE * b->total) break;
    }
    double min = b->prices[0];
    for (size_t e = 1; e < b->E; e++) min = fmin(min, b->prices[e]);
    for (size_t e = 0; e < b->E; e++) b->prices[e] -= min;
    return 0;
}

/* The best candidate with room, or E. */
static size_t best_with_room(const struct balance *b, const struct mf_candidates *c) {
    size_t best = b->E;
    double most = 0;
    for (size_t i = 0; i < c->count; i++) {
        size_t e = c->partition[i];
        double v = value(b, c, i);
        if (b->loads[e] >= b->capacity) continue;
        if (best < b->E && (v < most || (!(v > most) && e > best))) continue;
        best = e;
        most = v;
    }
    return best;
}

static int place_all(struct balance *b, struct mf_spill *places, struct mf_err *err) {
    struct mf_spill_reader reader = {.spill = b->candidates};
    struct mf_candidates c;
    size_t empty = b->E, first_empty = 0, with_room = 0;
    int status = 0;
    memset(b->loads, 0, b->E * sizeof *b->loads);
    for (size_t i = 0; status == 0 && i < b->n; i++) {
        status = mf_spill_take(&reader, &c, sizeof c, err);
        if (status < 0) break;
        size_t e = best_with_room(b, &c);
        while (with_room + 1 < b->E && b->loads[with_room] >= b->capacity) with_room++;
        if (e == b->E) e = with_room;
        while (empty > 0 && b->counts[first_empty] > 0) first_empty++;
        if (b->n - i <= empty && b->counts[e] > 0) e = first_empty;
        empty -= b->counts[e]++ == 0;
        b->loads[e] += c.tokens;
        status = mf_places_add(places, e, err);
    }
    mf_spill_reader_free(&reader);
    return status;
}

int mf_balance(const struct mf_spill *candidates, size_t n, size_t E, double capacity, double *prices,
               struct mf_spill *places, struct mf_err *err) {
    struct balance b = {.candidates = candidates, .n = n, .E = E, .capacity = capacity, .prices = prices};
    b.loads = calloc(E, sizeof *b.loads);
    b.histograms = calloc(E * MF_BALANCE_BINS, sizeof *b.histograms);
    b.counts = calloc(E, sizeof *b.counts);
    int status = b.loads && b.histograms && b.counts
                     ? find_prices(&b, err)
                     : mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", E);
    if (status == 0) status = place_all(&b, places, err);
    free(b.loads);
    free(b.histograms);
    free(b.counts);
    return status;
}
