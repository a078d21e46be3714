/* Scores by each method, and the search in groups. */
#include "partition/near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/simd.h"
#include "partition/kmeans.h"

struct mf_nearness {
    const struct mf_partition *p;
    size_t first;      /* added to the partitions' numbers where they are drawn */
    size_t groups;     /* 0: all partitions are looked at */
    float *heads;      /* [F,groups] centroids of the groups */
    size_t *begin;     /* [groups + 1] in members */
    uint16_t *members; /* [E] partitions by group */
    float *columns;    /* [F,E] their centroids, in the order of members */
    float *room;       /* [threads,E + groups] */
};

size_t mf_nearness_memory(size_t features, size_t E, size_t threads) {
    size_t groups = E > MF_FLAT ? (size_t)lround(sqrt((double)E)) : 0;
    size_t copies = groups ? features * (E + groups) * sizeof(float) : 0;
    /* k-means of the centroids comes before the copy: twice the heads, their sums, and the sketches */
    size_t finding = groups ? features * groups * 16 + E * (MF_SKETCH_TERMS + 16 + groups) * 4 : 0;
    return copies + finding + threads * (E + groups) * sizeof(float);
}

/* --- groups --- */

static int cluster_centroids(struct mf_nearness *s, struct mf_sketches *sketches, uint16_t *group,
                             struct mf_pool *pool, struct mf_err *err) {
    struct mf_sketch_term terms[MF_SKETCH_TERMS];
    struct mf_sketcher sketcher;
    struct mf_kmeans_params params = {s->groups, 1.5, 1, 10, 0};
    size_t E = s->p->E;
    uint32_t *ones = malloc(E * sizeof *ones);
    double *prices = calloc(s->groups, sizeof *prices);
    int status = ones && prices ? mf_sketcher_init(&sketcher, &s->p->terms, err)
                                : mf_err_set(err, EX_OSERR, "out of memory for %zu groups", s->groups);
    if (status == 0) {
        for (size_t e = 0; status == 0 && e < E; e++) {
            ones[e] = 1;
            status = mf_sketches_add(sketches, terms,
                                     mf_sketch_column(&sketcher, s->p->centroids, E, e, terms), err);
        }
        mf_sketcher_free(&sketcher);
    }
    if (status == 0)
        status = mf_kmeans(sketches, NULL, E, ones, s->p->terms.count, &params, pool, group, s->heads, prices,
                           err);
    free(ones);
    free(prices);
    return status;
}

static int list_members(struct mf_nearness *s, const uint16_t *group, struct mf_err *err) {
    size_t E = s->p->E, F = s->p->terms.count, n = 0;
    for (size_t g = 0; g < s->groups; g++) {
        s->begin[g] = n;
        for (size_t e = 0; e < E; e++)
            if (group[e] == g) s->members[n++] = (uint16_t)e;
    }
    s->begin[s->groups] = n;
    s->columns = malloc((F * E + 1) * sizeof *s->columns);
    if (!s->columns) return mf_err_set(err, EX_OSERR, "out of memory for %zu centroids", E);
    for (size_t f = 0; f < F; f++)
        for (size_t i = 0; i < E; i++) s->columns[f * E + i] = s->p->centroids[f * E + s->members[i]];
    return 0;
}

static int find_groups(struct mf_nearness *s, struct mf_pool *pool, struct mf_err *err) {
    struct mf_sketches *sketches = NULL;
    size_t E = s->p->E, F = s->p->terms.count;
    uint16_t *group = malloc(E * sizeof *group);
    s->groups = (size_t)lround(sqrt((double)E));
    s->heads = malloc((F * s->groups + 1) * sizeof *s->heads);
    s->begin = calloc(s->groups + 1, sizeof *s->begin);
    s->members = malloc(E * sizeof *s->members);
    int status = group && s->heads && s->begin && s->members
                     ? mf_sketches_new(&sketches, err)
                     : mf_err_set(err, EX_OSERR, "out of memory for %zu groups", s->groups);
    if (status == 0) status = cluster_centroids(s, sketches, group, pool, err);
    mf_sketches_free(sketches);
    if (status == 0) status = list_members(s, group, err);
    free(group);
    return status;
}

int mf_nearness_new(struct mf_nearness **out, const struct mf_partition *p, size_t first,
                    struct mf_pool *pool, struct mf_err *err) {
    struct mf_nearness *s = calloc(1, sizeof *s);
    if (!s) return mf_err_set(err, EX_OSERR, "out of memory");
    s->p = p;
    s->first = first;
    int status = 0;
    if (p->E > MF_FLAT && (p->method == MF_CLUSTERED || p->method == MF_DOMAIN))
        status = find_groups(s, pool, err);
    s->room = malloc((size_t)mf_pool_threads(pool) * (p->E + s->groups) * sizeof *s->room);
    if (status == 0 && !s->room) status = mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", p->E);
    if (status < 0) {
        mf_nearness_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void mf_nearness_free(struct mf_nearness *s) {
    if (!s) return;
    free(s->heads);
    free(s->begin);
    free(s->members);
    free(s->columns);
    free(s->room);
    free(s);
}

/* --- one document --- */

/* Puts a partition among the `n` best so far. */
static size_t insert(const double *prices, struct mf_near *near, size_t n, size_t want, struct mf_near new) {
    double value = new.score - prices[new.partition];
    size_t at = n;
    while (at > 0) {
        double other = near[at - 1].score - prices[near[at - 1].partition];
        if (other > value || (other == value && near[at - 1].partition < new.partition)) break;
        at--;
    }
    if (at == want) return n;
    if (n < want) n++;
    memmove(near + at + 1, near + at, (n - at - 1) * sizeof *near);
    near[at] = new;
    return n;
}

static size_t insert_all(const double *prices, const float *scores, size_t E, size_t want,
                         struct mf_near *near) {
    size_t n = 0;
    for (size_t e = 0; e < E; e++)
        n = insert(prices, near, n, want, (struct mf_near){scores[e], (uint16_t)e});
    return n;
}

#define AHEAD 6 /* terms whose rows are on their way from memory: many centroids are in no cache */

static void fetch(const float *row, size_t n) {
    for (size_t e = 0; e < n; e += 16) __builtin_prefetch(row + e);
}

/* scores [n] = the cosines with columns [begin, begin + n) of centroids [F,width]. */
MF_CLONES
static void score_columns(const float *centroids, size_t width, size_t begin, size_t n,
                          const struct mf_sketch_term *terms, size_t n_terms, float *scores) {
    memset(scores, 0, n * sizeof *scores);
    for (size_t t = 0; t < n_terms; t++) {
        const float *c = centroids + terms[t].feature * width + begin;
        float weight = terms[t].weight * MF_SKETCH_UNIT;
        if (t + AHEAD < n_terms) fetch(centroids + terms[t + AHEAD].feature * width + begin, n);
        for (size_t e = 0; e < n; e++) scores[e] += weight * c[e];
    }
}

/* Minus the distance on the scale of difficulty to each partition's range; the hardest one has no upper end.
 */
static void score_by_difficulty(const struct mf_partition *p, double difficulty, float *scores) {
    for (size_t e = 0; e < p->E; e++) {
        double below = e > 0 ? p->upper[e - 1] - difficulty : 0,
               above = e + 1 < p->E ? difficulty - p->upper[e] : 0;
        double distance = below > above ? below : above;
        scores[e] = distance > 0 ? (float)-distance : 0;
    }
}

static size_t find_in_groups(const struct mf_nearness *s, const struct mf_sketch_term *terms, size_t n_terms,
                             float *room, size_t want, struct mf_near *near) {
    static const double no_prices[1 << 7]; /* groups: sqrt of MF_PARTITIONS_MAX at most */
    struct mf_near probes[MF_PROBES];
    score_columns(s->heads, s->groups, 0, s->groups, terms, n_terms, room);
    size_t n = 0, n_probes = insert_all(no_prices, room, s->groups, MF_PROBES, probes);
    for (size_t i = 0; i < n_probes; i++) {
        size_t begin = s->begin[probes[i].partition], count = s->begin[probes[i].partition + 1] - begin;
        score_columns(s->columns, s->p->E, begin, count, terms, n_terms, room);
        for (size_t k = 0; k < count; k++)
            n = insert(s->p->prices, near, n, want, (struct mf_near){room[k], s->members[begin + k]});
    }
    return n;
}

size_t mf_nearness_find(const struct mf_nearness *s, const struct mf_fact *fact,
                        const struct mf_sketch_term *terms, size_t n_terms, int thread, size_t want,
                        struct mf_near *near) {
    const struct mf_partition *p = s->p;
    float *scores = s->room + (size_t)thread * (p->E + s->groups);
    if (s->groups) return find_in_groups(s, terms, n_terms, scores, want, near);
    if (p->method == MF_CURRICULUM)
        score_by_difficulty(p, (double)fact->difficulty, scores);
    else if (p->method == MF_RANDOM)
        for (size_t e = 0; e < p->E; e++)
            scores[e] = mf_partition_random(p->seed, fact->fingerprint, s->first + e);
    else
        score_columns(p->centroids, p->E, 0, p->E, terms, n_terms, scores);
    return insert_all(p->prices, scores, p->E, want, near);
}
