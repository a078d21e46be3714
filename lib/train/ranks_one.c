/* Ranks where there is no MPI: this process alone. */
#include "train/ranks.h"

#include <stdio.h>
#include <string.h>

int mf_ranks_begin(struct mf_ranks **ranks, const char *started, struct mf_err *err) {
    *ranks = NULL;
    if (!started || !*started || strcmp(started, "1") == 0) return 0;
    return mf_err_set(err, EX_USAGE, "mpirun started %s processes, but this program was built without MPI",
                      started);
}

void mf_ranks_end(struct mf_ranks *ranks) {
    (void)ranks;
}

const char *mf_ranks_build(char text[64]) {
    snprintf(text, 64, "without MPI");
    return text;
}

int mf_ranks_rank(const struct mf_ranks *ranks) {
    (void)ranks;
    return 0;
}

int mf_ranks_count(const struct mf_ranks *ranks) {
    (void)ranks;
    return 1;
}

size_t mf_ranks_memory(const struct mf_ranks *ranks) {
    (void)ranks;
    return 0;
}

void mf_ranks_reduce(const struct mf_ranks *ranks, float *values, size_t n) {
    (void)ranks, (void)values, (void)n;
}

void mf_ranks_reduce_doubles(const struct mf_ranks *ranks, double *values, size_t n) {
    (void)ranks, (void)values, (void)n;
}

int64_t mf_ranks_min(const struct mf_ranks *ranks, int64_t value) {
    (void)ranks;
    return value;
}

int64_t mf_ranks_max(const struct mf_ranks *ranks, int64_t value) {
    (void)ranks;
    return value;
}

void mf_ranks_broadcast(const struct mf_ranks *ranks, void *data, size_t bytes) {
    (void)ranks, (void)data, (void)bytes;
}

int mf_ranks_agree(const struct mf_ranks *ranks, int status, struct mf_err *err) {
    (void)ranks, (void)err;
    return status;
}
