/* The processes of one training that mpirun started together, "ranks": they take the same steps, each with
 * its own part of every batch, and add up what they found in the order of the ranks, so that every run gives
 * the same bytes.
 *
 * All but mf_ranks_build are called by all ranks at the same place. They do not fail: when a message does not
 * arrive or a process dies, MPI ends all of them. The calls that exchange something are in ranks_mpi.c, which
 * mf-train-shared links where there is MPI, and in ranks_one.c, which knows one process only; the others, in
 * ranks.c, are made of those. */
#ifndef MF_TRAIN_RANKS_H
#define MF_TRAIN_RANKS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_ranks {
    int rank;    /* 0 .. count-1; rank 0 reads checkpoints, writes all that is written and speaks for all */
    int count;   /* 1: alone */
    float *room; /* for mf_ranks_sum; NULL when alone */
};

/* Finds the others, if mpirun started this process: `started` is then what it says of their number, "" when
 * it does not say it; otherwise NULL. EX_OSERR, on all; EX_USAGE where there is no MPI. Ended
 * by mf_ranks_end, also after a failure. */
int mf_ranks_begin(struct mf_ranks *ranks, const char *started, struct mf_err *err);

/* Waits until all are here: mpirun ends the others when one exits with a failure. */
void mf_ranks_end(struct mf_ranks *ranks);

/* "with Open MPI v4.1.4" or "without MPI". */
const char *mf_ranks_build(char text[64]);

/* Bytes that this takes beside what a process alone does. */
size_t mf_ranks_memory(const struct mf_ranks *ranks);

/* values[i] becomes the sum of all ranks' values[i], in the order of the ranks. Each rank adds up its part of
 * them and gives it to the others: it sends 2 (count-1) / count times the values' size. */
void mf_ranks_sum(const struct mf_ranks *ranks, float *values, size_t n);
void mf_ranks_sum_doubles(const struct mf_ranks *ranks, double *values, size_t n); /* for a few */

int64_t mf_ranks_least(const struct mf_ranks *ranks, int64_t value); /* of all ranks' values */

/* Gives all ranks what rank `from` has in `data`. */
void mf_ranks_share(const struct mf_ranks *ranks, void *data, size_t bytes, int from);

/* Behind what can fail on one rank alone: `status` when it failed on none, else -1 and on all ranks the error
 * of the first on which it did. */
int mf_ranks_agree(const struct mf_ranks *ranks, int status, struct mf_err *err);

/* The largest of all ranks' values. */
int64_t mf_ranks_most(const struct mf_ranks *ranks, int64_t value);

#endif
