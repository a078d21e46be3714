/* Ranks where there is no MPI: one. */
#include "train/ranks.h"

#include <stdio.h>
#include <string.h>

int mf_ranks_begin(struct mf_ranks *r, const char *started, struct mf_err *err) {
    *r = (struct mf_ranks){.rank = 0, .count = 1};
    if (!started || !*started || strcmp(started, "1") == 0) return 0;
    return mf_err_set(err, EX_USAGE, "mpirun started %s processes, but this program was built without MPI",
                      started);
}

void mf_ranks_end(struct mf_ranks *r) {
    (void)r;
}

const char *mf_ranks_build(char text[64]) {
    snprintf(text, 64, "without MPI");
    return text;
}

size_t mf_ranks_memory(const struct mf_ranks *r) {
    (void)r;
    return 0;
}

void mf_ranks_sum(const struct mf_ranks *r, float *values, size_t n) {
    (void)r, (void)values, (void)n;
}

void mf_ranks_sum_doubles(const struct mf_ranks *r, double *values, size_t n) {
    (void)r, (void)values, (void)n;
}

int64_t mf_ranks_least(const struct mf_ranks *r, int64_t value) {
    (void)r;
    return value;
}

void mf_ranks_share(const struct mf_ranks *r, void *data, size_t bytes, int from) {
    (void)r, (void)data, (void)bytes, (void)from;
}
