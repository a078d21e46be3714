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
#define BLOCK ((size_t)1 << 16)
/* of MPI's library, and what it shares with ranks of the same machine */
#define WORKSPACE ((size_t)12 << 20)

struct mf_ranks {
    int rank, count;
    float *blocks; /* [count, BLOCK] for mf_ranks_reduce: from each rank what it has of this rank's block */
};

int mf_ranks_begin(struct mf_ranks **ranks, const char *started, struct mf_err *err) {
    (void)err;
    int support;
    *ranks = NULL;
    if (!started) return 0; /* alone MPI is not even started: that takes time and memory */
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &support);
    struct mf_ranks *r = malloc(sizeof *r);
    if (!r) mf_no_memory();
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->count);
    r->blocks = malloc((size_t)r->count * BLOCK * sizeof *r->blocks);
    if (!r->blocks) mf_no_memory();
    *ranks = r;
    return 0;
}

void mf_ranks_end(struct mf_ranks *r) {
    if (!r) return;
    free(r->blocks);
    free(r);
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

int mf_ranks_rank(const struct mf_ranks *r) {
    return r ? r->rank : 0;
}

int mf_ranks_count(const struct mf_ranks *r) {
    return r ? r->count : 1;
}

size_t mf_ranks_memory(const struct mf_ranks *r) {
    return r ? WORKSPACE + (size_t)r->count * BLOCK * sizeof *r->blocks : 0;
}

/* Where a rank's block of n values begins. */
static size_t block_begin(const struct mf_ranks *r, size_t n, int rank) {
    return n * (size_t)rank / (size_t)r->count;
}

static void exchange(const float *send, size_t n_send, int to, float *receive, size_t n_receive, int from) {
    MPI_Sendrecv(send, (int)n_send, MPI_FLOAT, to, 0, receive, (int)n_receive, MPI_FLOAT, from, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* At most count * BLOCK values. In round k a rank sends to the k-th behind it and receives from the k-th
 * before it. First each rank gets from all what they have of its block, and adds in the order of the ranks;
 * then it sends the sum to all. */
static void reduce_blocks(const struct mf_ranks *r, float *values, size_t n) {
    int count = r->count, rank = r->rank;
    float *own = values + block_begin(r, n, rank);
    size_t n_own = block_begin(r, n, rank + 1) - block_begin(r, n, rank);
    memcpy(r->blocks + (size_t)rank * BLOCK, own, n_own * sizeof *own);
    for (int k = 1; k < count; k++) {
        int to = (rank + k) % count, from = (rank - k + count) % count;
        size_t begin = block_begin(r, n, to), end = block_begin(r, n, to + 1);
        exchange(values + begin, end - begin, to, r->blocks + (size_t)from * BLOCK, n_own, from);
    }
    for (int k = 1; k < count; k++) vector_add(r->blocks, r->blocks + (size_t)k * BLOCK, 1, n_own);
    memcpy(own, r->blocks, n_own * sizeof *own);
    for (int k = 1; k < count; k++) {
        int to = (rank + k) % count, from = (rank - k + count) % count;
        size_t begin = block_begin(r, n, from), end = block_begin(r, n, from + 1);
        exchange(own, n_own, to, values + begin, end - begin, from);
    }
}

void mf_ranks_reduce(const struct mf_ranks *r, float *values, size_t n) {
    if (mf_ranks_count(r) == 1) return;
    size_t max = (size_t)r->count * BLOCK;
    for (size_t at = 0; at < n; at += max) reduce_blocks(r, values + at, n - at < max ? n - at : max);
}

void mf_ranks_reduce_doubles(const struct mf_ranks *r, double *values, size_t n) {
    if (!r) return;
    double *all = calloc((size_t)r->count * n, sizeof *all);
    if (!all) mf_no_memory();
    MPI_Allgather(values, (int)n, MPI_DOUBLE, all, (int)n, MPI_DOUBLE, MPI_COMM_WORLD);
    memcpy(values, all, n * sizeof *values);
    for (size_t i = n; i < (size_t)r->count * n; i++) values[i % n] += all[i];
    free(all);
}

/* Integers: their order changes nothing. */
static int64_t reduce_integer(const struct mf_ranks *r, int64_t value, MPI_Op op) {
    if (r) MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, op, MPI_COMM_WORLD);
    return value;
}

int64_t mf_ranks_min(const struct mf_ranks *r, int64_t value) {
    return reduce_integer(r, value, MPI_MIN);
}

int64_t mf_ranks_max(const struct mf_ranks *r, int64_t value) {
    return reduce_integer(r, value, MPI_MAX);
}

static void broadcast(const struct mf_ranks *r, void *data, size_t bytes, int from) {
    for (size_t at = 0; r && at < bytes; at += INT_MAX) {
        size_t n = bytes - at < INT_MAX ? bytes - at : INT_MAX;
        MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, from, MPI_COMM_WORLD);
    }
}

void mf_ranks_broadcast(const struct mf_ranks *r, void *data, size_t bytes) {
    broadcast(r, data, bytes, 0);
}

int mf_ranks_agree(const struct mf_ranks *r, int status, struct mf_err *err) {
    if (!r) return status;
    int failed = (int)mf_ranks_min(r, status < 0 ? r->rank : r->count);
    if (failed == r->count) return status;
    if (failed > 0 && failed == r->rank) mf_err_set(err, err->status, "rank %d: %s", failed, err->text);
    broadcast(r, err, sizeof *err, failed);
    return -1;
}
