/* Standard errors of measures: over many samples, means lie as far apart as they promise. */
#include <math.h>
#include "scratch.h"
#include "base/rng.h"
#include "eval/perplexity.h"

enum {
    ALL = 300,
    PART = 75,
    RUNS = 4000
}; /* documents of the model's sample, those of the expert, samples */

/* One random document: its length, its nats under the model and under an expert, which finds it harder the
 * longer it is. */
static void add_document(struct mf_rng *rng, struct mf_measure *model, struct mf_measure *expert,
                         struct mf_measure *behind, bool both) {
    double tokens = 20 + (double)mf_rng_below(rng, 200);
    double nats = tokens * (3 + 0.4 * mf_rng_normal(rng)), more = tokens * (0.1 + 0.05 * mf_rng_normal(rng));
    mf_measure_add(model, nats, (uint64_t)tokens, 0);
    if (!both) return;
    mf_measure_add(expert, nats + more, (uint64_t)tokens, 0);
    mf_measure_add(behind, more, (uint64_t)tokens, 0);
}

/* The spread of the expert's estimated loss, and what is promised of it. */
static void try_samples(size_t part, double *spread, double *promised, double *mean) {
    struct mf_rng rng;
    double sum = 0, squares = 0, error;
    mf_rng_seed(&rng, 7);
    *promised = 0;
    for (int run = 0; run < RUNS; run++) {
        struct mf_measure model = {0}, expert = {0}, behind = {0};
        for (size_t i = 0; i < ALL; i++) add_document(&rng, &model, &expert, &behind, i < part);
        double loss = mf_measure_estimate(&expert, &behind, &model, &error);
        sum += loss;
        squares += loss * loss;
        *promised += error * error;
    }
    *mean = sum / RUNS;
    *spread = sqrt(squares / RUNS - *mean * *mean);
    *promised = sqrt(*promised / RUNS);
}

static void test_estimate(void **state) {
    double spread, promised, mean, whole;
    (void)state;
    try_samples(ALL, &whole, &promised, &mean);
    assert_true(fabs(whole / promised - 1) < 0.05); /* 4,000 samples say a deviation within 1.1% */
    assert_true(fabs(mean - 3.1) < 0.002);
    try_samples(PART, &spread, &promised, &mean);
    assert_true(fabs(spread / promised - 1) < 0.05);
    assert_true(fabs(mean - 3.1) < 0.002);
    /* a quarter of the documents is worth almost all of them: alone its error would be twice as large */
    assert_true(spread < 1.1 * whole);
}

/* Of all documents the estimate is the measure itself. */
static void test_whole(void **state) {
    struct mf_rng rng;
    struct mf_measure model = {0}, expert = {0}, behind = {0};
    double error;
    (void)state;
    mf_rng_seed(&rng, 8);
    for (size_t i = 0; i < ALL; i++) add_document(&rng, &model, &expert, &behind, true);
    double loss = mf_measure_estimate(&expert, &behind, &model, &error);
    assert_true(loss == mf_measure_loss(&expert));
    assert_true(error == mf_measure_error(&expert));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_estimate), cmocka_unit_test(test_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
