/* Ranks by MPI. Sums are made here and not by MPI_Allreduce, whose order of adding is not promised. */
#include "train/ranks.h"

#include <limits.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "nn/vector.h"

/* floats of a message: enough for the network, few for memory */
#define PART ((size_t)1 << 16)
/* of MPI's library, and what it shares with ranks of the same machine */
#define WORKSPACE ((size_t)12 << 20)

static bool is_begun(void) {
    int begun;
    MPI_Initialized(&begun);
    return begun;
}

int mf_ranks_begin(struct mf_ranks *r, const char *started, struct mf_err *err) {
    int support;
    *r = (struct mf_ranks){.rank = 0, .count = 1};
    if (!started) return 0; /* alone MPI is not even started: that takes time and memory */
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &support);
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->count);
    if (r->count == 1) return 0;
    r->room = malloc((size_t)r->count * PART * sizeof *r->room);
    return mf_ranks_agree(r, r->room ? 0 : mf_err_set(err, EX_OSERR, "no memory for %d ranks", r->count),
                          err);
}

void mf_ranks_end(struct mf_ranks *r) {
    free(r->room);
    r->room = NULL;
    if (!is_begun()) return;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
}

const char *mf_ranks_build(char text[64]) {
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(version, &length);
    snprintf(text, 64, "with %.*s", (int)strcspn(version, ",\n"), version);
    return text;
}

size_t mf_ranks_memory(const struct mf_ranks *r) {
    return (is_begun() ? WORKSPACE : 0) + (r->room ? (size_t)r->count * PART * sizeof *r->room : 0);
}

/* The part of a rank in a block of n values: where it begins. */
static size_t part_begin(const struct mf_ranks *r, size_t n, int rank) {
    return n * (size_t)rank / (size_t)r->count;
}

static void exchange(const float *send, size_t n_send, int to, float *receive, size_t n_receive, int from) {
    MPI_Sendrecv(send, (int)n_send, MPI_FLOAT, to, 0, receive, (int)n_receive, MPI_FLOAT, from, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* A block of at most count * PART values. In round k a rank sends to the k-th behind it and receives from the
 * k-th before it. */
static void sum_block(const struct mf_ranks *r, float *values, size_t n) {
    int count = r->count, rank = r->rank;
    float *own = values + part_begin(r, n, rank);
    size_t n_own = part_begin(r, n, rank + 1) - part_begin(r, n, rank);
    memcpy(r->room + (size_t)rank * PART, own, n_own * sizeof *own);
    for (int k = 1; k < count; k++) {
        int to = (rank + k) % count, from = (rank - k + count) % count;
        size_t begin = part_begin(r, n, to), end = part_begin(r, n, to + 1);
        exchange(values + begin, end - begin, to, r->room + (size_t)from * PART, n_own, from);
    }
    for (int k = 1; k < count; k++) vector_add(r->room, r->room + (size_t)k * PART, 1, n_own);
    memcpy(own, r->room, n_own * sizeof *own);
    for (int k = 1; k < count; k++) {
        int to = (rank + k) % count, from = (rank - k + count) % count;
        size_t begin = part_begin(r, n, from), end = part_begin(r, n, from + 1);
        exchange(own, n_own, to, values + begin, end - begin, from);
    }
}

void mf_ranks_sum(const struct mf_ranks *r, float *values, size_t n) {
    if (r->count == 1) return;
    size_t most = (size_t)r->count * PART;
    for (size_t at = 0; at < n; at += most) sum_block(r, values + at, n - at < most ? n - at : most);
}

void mf_ranks_sum_doubles(const struct mf_ranks *r, double *values, size_t n) {
    if (r->count == 1) return;
    double *all = calloc((size_t)r->count * n, sizeof *all);
    if (!all) mf_no_memory();
    MPI_Allgather(values, (int)n, MPI_DOUBLE, all, (int)n, MPI_DOUBLE, MPI_COMM_WORLD);
    memcpy(values, all, n * sizeof *values);
    for (size_t i = n; i < (size_t)r->count * n; i++) values[i % n] += all[i];
    free(all);
}

/* Of whole numbers the least is the same in any order. */
int64_t mf_ranks_least(const struct mf_ranks *r, int64_t value) {
    if (r->count > 1) MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD);
    return value;
}

void mf_ranks_share(const struct mf_ranks *r, void *data, size_t bytes, int from) {
    if (r->count == 1) return;
    for (size_t at = 0; at < bytes; at += INT_MAX) {
        size_t n = bytes - at < INT_MAX ? bytes - at : INT_MAX;
        MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, from, MPI_COMM_WORLD);
    }
}
