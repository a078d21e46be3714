/* Balanced assignment by prices, then by greedy moves for what prices cannot separate. */
#include "partition/assign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct member {
    double regret; /* what leaving for the next best partition costs */
    uint32_t document;
    uint16_t other; /* that partition */
};

struct assignment {
    const float *scores;
    const uint32_t *tokens;
    size_t n, E;
    double capacity;
    uint16_t *partition;
    double *prices;
    double *loads;          /* [E] tokens */
    struct member *members; /* [n] of the partition being looked at */
};

/* The partition other than `but` with the largest score - price, which is *value; ties go to the lower one.
 */
static size_t best_but(const float *scores, const double *prices, size_t E, size_t but, double *value) {
    size_t best = but == 0 ? 1 : 0;
    *value = scores[best] - prices[best];
    for (size_t e = best + 1; e < E; e++) {
        double v = scores[e] - prices[e];
        if (v <= *value || e == but) continue;
        *value = v;
        best = e;
    }
    return best;
}

size_t mf_assign_nearest(const float *scores, const double *prices, size_t E) {
    double value;
    return best_but(scores, prices, E, E, &value);
}

static int by_regret(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    if (x->regret != y->regret) return x->regret < y->regret ? 1 : -1;
    return x->document < y->document ? -1 : x->document > y->document;
}

/* Lists partition e's documents, the most attached first, and returns how many of them it keeps; *count is
 * all. */
static size_t list_members(struct assignment *a, size_t e, size_t *count) {
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (a->partition[i] != e) continue;
        const float *s = a->scores + i * a->E;
        double value;
        size_t other = best_but(s, a->prices, a->E, e, &value);
        a->members[n++] = (struct member){(s[e] - a->prices[e]) - value, (uint32_t)i, (uint16_t)other};
    }
    qsort(a->members, n, sizeof *a->members, by_regret);
    *count = n;
    double load = 0;
    size_t kept = 0;
    while (kept < n && load < a->capacity) load += a->tokens[a->members[kept++].document];
    return kept;
}

static void move(struct assignment *a, size_t document, size_t to) {
    a->loads[a->partition[document]] -= a->tokens[document];
    a->loads[to] += a->tokens[document];
    a->partition[document] = (uint16_t)to;
}

/* The fullest partition of those that may be too full and were not found to be in order; E when there is
 * none. */
static size_t fullest(const struct assignment *a, const unsigned char *in_order) {
    size_t best = a->E;
    for (size_t e = 0; e < a->E; e++)
        if (a->loads[e] > a->capacity && !in_order[e] && (best == a->E || a->loads[e] > a->loads[best]))
            best = e;
    return best;
}

/* Raises prices until everything fits or too many rounds have passed; equal documents can be sent around
 * forever. */
static void settle_by_prices(struct assignment *a, unsigned char *in_order) {
    size_t rounds = 32 + 16 * a->E;
    for (size_t round = 0; round < rounds; round++) {
        size_t e = fullest(a, in_order), count;
        if (e == a->E) return;
        size_t kept = list_members(a, e, &count);
        in_order[e] = 1;
        if (kept == count) continue;
        if (a->members[kept].regret > 0) a->prices[e] += a->members[kept].regret;
        for (size_t m = kept; m < count; m++) {
            in_order[a->members[m].other] = 0;
            move(a, a->members[m].document, a->members[m].other);
        }
    }
}

/* What is still too much goes, the least attached last, to the best partition that has room; one always has.
 */
static void settle_greedily(struct assignment *a) {
    for (size_t e = 0; e < a->E; e++) {
        if (a->loads[e] <= a->capacity) continue;
        size_t count, kept = list_members(a, e, &count);
        for (size_t m = kept; m < count; m++) {
            const float *s = a->scores + (size_t)a->members[m].document * a->E;
            size_t best = a->E;
            for (size_t f = 0; f < a->E; f++) {
                if (f == e || a->loads[f] >= a->capacity) continue;
                if (best == a->E || s[f] - a->prices[f] > s[best] - a->prices[best]) best = f;
            }
            if (best < a->E) move(a, a->members[m].document, best);
        }
    }
}

/* An empty partition takes the document that loses least by it from one that has others. */
static void fill_empty(struct assignment *a, size_t *counts) {
    memset(counts, 0, a->E * sizeof *counts);
    for (size_t i = 0; i < a->n; i++) counts[a->partition[i]]++;
    for (size_t e = 0; e < a->E; e++) {
        if (counts[e] > 0) continue;
        size_t best = a->n;
        double gain = -INFINITY;
        for (size_t i = 0; i < a->n; i++) {
            const float *s = a->scores + i * a->E;
            if (counts[a->partition[i]] < 2 || s[e] - s[a->partition[i]] <= gain) continue;
            gain = s[e] - s[a->partition[i]];
            best = i;
        }
        if (best == a->n) return;
        counts[a->partition[best]]--;
        counts[e]++;
        move(a, best, e);
    }
}

int mf_assign_balanced(const float *scores, const uint32_t *tokens, size_t n, size_t E, double capacity,
                       uint16_t *partition, double *prices, struct mf_err *err) {
    struct assignment a = {scores, tokens, n, E, capacity, partition, prices, NULL, NULL};
    for (size_t e = 0; e < E; e++) prices[e] = 0;
    if (E < 2) {
        memset(partition, 0, n * sizeof *partition);
        return 0;
    }
    a.loads = calloc(E, sizeof *a.loads);
    a.members = malloc((n + 1) * sizeof *a.members);
    unsigned char *in_order = calloc(E, 1);
    size_t *counts = calloc(E, sizeof *counts);
    int result = 0;
    if (!a.loads || !a.members || !in_order || !counts) {
        result = mf_err_set(err, EX_OSERR, "out of memory to assign %zu documents", n);
    } else {
        for (size_t i = 0; i < n; i++) {
            partition[i] = (uint16_t)mf_assign_nearest(scores + i * E, prices, E);
            a.loads[partition[i]] += tokens[i];
        }
        settle_by_prices(&a, in_order);
        settle_greedily(&a);
        fill_empty(&a, counts);
        double min = prices[0];
        for (size_t e = 1; e < E; e++) min = fmin(min, prices[e]);
        for (size_t e = 0; e < E; e++) prices[e] -= min;
    }
    free(a.loads);
    free(a.members);
    free(in_order);
    free(counts);
    return result;
}
