/* Clustering: k-means, its seeds, and its two levels for many clusters. */
#include <math.h>
#include <string.h>
#include "balance.h"
#include "base/rng.h"
#include "partition/kmeans.h"
#include "partition/plan.h"
#include "partition/seeds.h"

static struct mf_err err;

enum { GROUPS = 4, EACH = 60, WORDS = 40, COMMON = 20, VOCAB = COMMON + GROUPS * WORDS };

/* Documents of GROUPS topics in turn: some words of all, some of the own topic. */
static void make_topics(struct mf_terms *terms, struct mf_sketches **sketches, uint32_t *sizes) {
    struct mf_rng rng;
    struct mf_sketcher sketcher;
    struct mf_sketch_term out[MF_SKETCH_TERMS];
    static uint32_t tokens[GROUPS * EACH][50], df[VOCAB];
    memset(df, 0, sizeof df);
    mf_rng_seed(&rng, 3);
    for (int i = 0; i < GROUPS * EACH; i++) {
        bool seen[VOCAB] = {false};
        for (int t = 0; t < 50; t++) {
            uint32_t id =
                (uint32_t)(t % 2 ? mf_rng_below(&rng, COMMON)
                                 : COMMON + (uint64_t)(i % GROUPS) * WORDS + mf_rng_below(&rng, WORDS));
            tokens[i][t] = id;
            df[id] += !seen[id];
            seen[id] = true;
        }
        sizes[i] = 50;
    }
    assert_int_equal(mf_terms_choose(terms, df, VOCAB, GROUPS * EACH, 1000, &err), 0);
    assert_int_equal(mf_sketcher_init(&sketcher, terms, &err), 0);
    assert_int_equal(mf_sketches_new(sketches, &err), 0);
    for (int i = 0; i < GROUPS * EACH; i++)
        assert_int_equal(mf_sketches_add(*sketches, out, mf_sketch(&sketcher, tokens[i], 50, out), &err), 0);
    mf_sketcher_free(&sketcher);
}

static void kmeans_finds_topics_whatever_the_threads(void **state) {
    (void)state;
    enum { N = GROUPS * EACH };
    struct mf_terms terms;
    struct mf_sketches *sketches;
    uint32_t sizes[N];
    uint16_t partition[2][N];
    double prices[GROUPS];
    make_topics(&terms, &sketches, sizes);
    float *centroids[2];
    for (int k = 0; k < 2; k++) {
        struct mf_pool *pool;
        struct mf_kmeans_params params = {GROUPS, 1.0, 3, 20, 42};
        centroids[k] = calloc(terms.count * GROUPS, sizeof(float));
        assert_int_equal(mf_pool_new(&pool, k ? 3 : 1, &err), 0);
        assert_int_equal(mf_kmeans(sketches, NULL, N, sizes, terms.count, &params, pool, partition[k],
                                   centroids[k], prices, &err),
                         0);
        mf_pool_free(pool);
    }
    assert_memory_equal(partition[0], partition[1], sizeof partition[0]);
    assert_memory_equal(centroids[0], centroids[1], terms.count * GROUPS * sizeof(float));
    uint64_t counts[GROUPS * GROUPS] = {0};
    for (int i = 0; i < N; i++) counts[partition[0][i] * GROUPS + i % GROUPS]++;
    assert_true(mf_nmi(counts, GROUPS, GROUPS) > 0.999);
    for (int e = 0; e < GROUPS; e++) {
        double squares = 0;
        for (size_t f = 0; f < terms.count; f++) squares += pow(centroids[0][f * GROUPS + (size_t)e], 2);
        assert_true(fabs(squares - 1) < 1e-4);
    }
    free(centroids[0]);
    free(centroids[1]);
    mf_sketches_free(sketches);
    mf_terms_free(&terms);
}

static void kmeans_survives_points_that_coincide(void **state) {
    (void)state;
    /* 45 alike, 3 others, 2 without terms */
    enum { N = 50, E = 5, F = 3 };
    struct mf_sketch_term same = {0, 65535}, other = {1, 65535};
    struct mf_sketches *sketches;
    uint32_t sizes[N];
    uint16_t partition[N];
    float centroids[F * E];
    double prices[E];
    struct mf_pool *pool;
    assert_int_equal(mf_pool_new(&pool, 2, &err), 0);
    for (int alike = 0; alike < 2; alike++) {
        assert_int_equal(mf_sketches_new(&sketches, &err), 0);
        for (int i = 0; i < N; i++) {
            const struct mf_sketch_term *terms = alike || i < 45 ? &same : &other;
            assert_int_equal(mf_sketches_add(sketches, terms, !alike && i >= 48 ? 0 : 1, &err), 0);
            sizes[i] = 10;
        }
        struct mf_kmeans_params params = {E, 1.0, 4, 10, 1};
        assert_int_equal(
            mf_kmeans(sketches, NULL, N, sizes, F, &params, pool, partition, centroids, prices, &err), 0);
        check_balance(partition, sizes, N, E, N * 10.0 / E);
        for (int i = 0; i < F * E; i++) assert_true(isfinite(centroids[i]));
        for (int e = 0; e < E; e++) assert_true(isfinite(prices[e]));
        mf_sketches_free(sketches);
    }
    mf_pool_free(pool);
}

/* --- seeds, two levels --- */

enum { SEED_DOCUMENTS = 60, SEED_FEATURES = 20, SEED_CLUSTERS = 7 };

/* The cosine distance of two documents, or of one to none. */
static double apart(const struct mf_sketches *sketches, size_t i, size_t j) {
    size_t n_i, n_j;
    const struct mf_sketch_term *a = mf_sketches_get(sketches, i, &n_i),
                                *b = mf_sketches_get(sketches, j, &n_j);
    float cosine = 0;
    for (size_t s = 0; s < n_i; s++)
        for (size_t t = 0; t < n_j; t++)
            if (a[s].feature == b[t].feature)
                cosine += a[s].weight * MF_SKETCH_UNIT * (b[t].weight * MF_SKETCH_UNIT);
    return fmax(0, 1 - (double)cosine);
}

/* The distance of document i from the nearest of the seeds; 2 where there is none. */
static double left(const struct mf_sketches *sketches, size_t i, const size_t *seeds, size_t count) {
    double least = 2;
    for (size_t e = 0; e < count; e++) least = fmin(least, apart(sketches, i, seeds[e]));
    return least;
}

static double all_left(const struct mf_sketches *sketches, const size_t *seeds, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < SEED_DOCUMENTS; i++) sum += left(sketches, i, seeds, count);
    return sum;
}

/* Seed e by its definition: of three documents drawn by their distances, the one that leaves the least. */
static size_t seed_by_hand(const struct mf_sketches *sketches, size_t *seeds, size_t e, struct mf_rng *rng) {
    double least = INFINITY, total = all_left(sketches, seeds, e);
    size_t best = 0;
    for (int trial = 0; trial < (e == 0 ? 1 : 3); trial++) {
        double at = mf_rng_uniform(rng) * total;
        size_t i = 0;
        while (i + 1 < SEED_DOCUMENTS && (at -= left(sketches, i, seeds, e)) >= 0) i++;
        seeds[e] = i;
        double rest = all_left(sketches, seeds, e + 1);
        if (rest >= least) continue;
        least = rest;
        best = i;
    }
    return best;
}

static void seeds_are_those_of_their_definition(void **state) {
    (void)state;
    struct mf_sketches *sketches;
    struct mf_rng rng, same;
    struct mf_pool *pool;
    float centroids[SEED_FEATURES * SEED_CLUSTERS];
    size_t seeds[SEED_CLUSTERS];
    assert_int_equal(mf_sketches_new(&sketches, &err), 0);
    for (size_t i = 0; i < SEED_DOCUMENTS; i++) {
        struct mf_sketch_term terms[2] = {{(uint16_t)(i % 9), 52428}, {(uint16_t)(9 + i % 11), 39321}};
        assert_int_equal(mf_sketches_add(sketches, terms, 2, &err), 0);
    }
    mf_rng_seed(&rng, 5), mf_rng_seed(&same, 5);
    assert_int_equal(mf_pool_new(&pool, 2, &err), 0);
    assert_int_equal(mf_kmeans_seeds(sketches, NULL, SEED_DOCUMENTS, SEED_FEATURES, SEED_CLUSTERS, &rng, pool,
                                     centroids, &err),
                     0);
    for (size_t e = 0; e < SEED_CLUSTERS; e++) {
        seeds[e] = seed_by_hand(sketches, seeds, e, &same);
        size_t n, terms = 0;
        const struct mf_sketch_term *seed = mf_sketches_get(sketches, seeds[e], &n);
        for (size_t f = 0; f < SEED_FEATURES; f++) terms += centroids[f * SEED_CLUSTERS + e] > 0;
        assert_int_equal(terms, n);
        for (size_t t = 0; t < n; t++)
            assert_true(centroids[seed[t].feature * SEED_CLUSTERS + e] >
                        seed[t].weight * MF_SKETCH_UNIT - 1e-6f);
    }
    mf_pool_free(pool);
    mf_sketches_free(sketches);
}

static void two_levels_find_many_topics(void **state) {
    (void)state;
    /* 100 topics of 12 documents, each of three terms of its own and one of its tens. */
    enum { E = 100, N = 1200, F = 310 };
    struct mf_sketches *sketches;
    static uint32_t tokens[N];
    float *centroids[2];
    assert_int_equal(mf_sketches_new(&sketches, &err), 0);
    for (size_t i = 0; i < N; i++) {
        size_t topic = i * 7 % E;
        struct mf_sketch_term terms[4] = {{(uint16_t)(topic / 10), 45875}};
        for (size_t k = 0; k < 3; k++)
            terms[k + 1] = (struct mf_sketch_term){(uint16_t)(10 + 3 * topic + k), (uint16_t)(27023 + i % 5)};
        tokens[i] = 10;
        assert_int_equal(mf_sketches_add(sketches, terms, 4, &err), 0);
    }
    for (int k = 0; k < 2; k++) {
        struct mf_pool *pool;
        struct mf_kmeans_params params = {E, 1.1, 4, 30, 1};
        centroids[k] = calloc((size_t)F * E, sizeof(float));
        assert_int_equal(mf_pool_new(&pool, k ? 3 : 1, &err), 0);
        assert_int_equal(mf_kmeans_levels(sketches, N, tokens, F, &params, pool, centroids[k], &err), 0);
        mf_pool_free(pool);
    }
    assert_memory_equal(centroids[0], centroids[1], (size_t)F * E * sizeof(float));
    size_t own = 0; /* topics whose terms lead a centroid */
    for (size_t topic = 0; topic < E; topic++) {
        float best = 0;
        for (size_t e = 0; e < E; e++) best = fmaxf(best, centroids[0][(10 + 3 * topic) * E + e]);
        own += best > 0.35f;
    }
    assert_true(own >= E * 9 / 10);
    free(centroids[0]);
    free(centroids[1]);
    mf_sketches_free(sketches);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kmeans_finds_topics_whatever_the_threads),
        cmocka_unit_test(kmeans_survives_points_that_coincide),
        cmocka_unit_test(seeds_are_those_of_their_definition),
        cmocka_unit_test(two_levels_find_many_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
