/* The processes of one training, "ranks": all take the same steps, each on its own windows of every batch,
 * and exchange sums. Sums are made in the order of the ranks, so that every run gives the same bytes.
 *
 * NULL is a process alone: then a reduction leaves the values as they are, a broadcast does nothing, and no
 * call costs more than a comparison. All but mf_ranks_build, _rank, _count and _memory are collective: every
 * rank calls them at the same place. They do not fail: when a message does not arrive or a process dies, MPI
 * ends all processes. The calls that exchange something are in ranks_mpi.c, which mf-train-shared links where
 * there is MPI, and in ranks_one.c, which libmf.a has and which knows one process only. */
#ifndef MF_TRAIN_RANKS_H
#define MF_TRAIN_RANKS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_ranks;

/* Joins the other processes if mpirun started this one: `started` is then what it says of their number, ""
 * when it does not say it; otherwise NULL. *ranks is NULL when there are no others, and ended by
 * mf_ranks_end. EX_USAGE when there are others and this was built without MPI. */
int mf_ranks_begin(struct mf_ranks **ranks, const char *started, struct mf_err *err);

/* Waits until all are here: mpirun ends the others when one exits with a failure. */
void mf_ranks_end(struct mf_ranks *ranks);

/* "with Open MPI v4.1.4" or "without MPI". */
const char *mf_ranks_build(char text[64]);

int mf_ranks_rank(const struct mf_ranks *ranks);  /* 0 .. count-1; rank 0 reads and writes files for all */
int mf_ranks_count(const struct mf_ranks *ranks); /* 1: alone */

/* Bytes that this takes beside what a process alone does. */
size_t mf_ranks_memory(const struct mf_ranks *ranks);

/* values[i] becomes the sum of all ranks' values[i], in the order of the ranks. Each rank adds up its block
 * of them and sends it to the others: it sends 2 (count-1) / count times the values' size. */
void mf_ranks_reduce(const struct mf_ranks *ranks, float *values, size_t n);
void mf_ranks_reduce_doubles(const struct mf_ranks *ranks, double *values, size_t n); /* for a few */

/* The smallest and the largest of all ranks' values. */
int64_t mf_ranks_min(const struct mf_ranks *ranks, int64_t value);
int64_t mf_ranks_max(const struct mf_ranks *ranks, int64_t value);

/* Copies rank 0's `data` to all ranks. */
void mf_ranks_broadcast(const struct mf_ranks *ranks, void *data, size_t bytes);

/* Agrees on an error, behind what can fail on one rank alone: `status` when it failed on none, else -1 and on
 * all ranks the error of the first on which it did. */
int mf_ranks_agree(const struct mf_ranks *ranks, int status, struct mf_err *err);

#endif
