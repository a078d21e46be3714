/* The threads of a process: a fixed number of workers that split ranges of rows.
 *
 * The split depends on the number of threads and of rows alone, so sums made per thread and added in thread
 * order are the same on every run. The caller is one of the workers. */
#ifndef MF_BASE_POOL_H
#define MF_BASE_POOL_H

#include <stddef.h>
#include "base/err.h"

/* How many processors this process may use. */
int mf_processors(void);

struct mf_pool;

/* A job on the items [begin, end), run by worker `thread` (0 .. n_threads-1). */
typedef void mf_pool_job(void *context, size_t begin, size_t end, int thread);

/* Starts n_threads - 1 threads (n_threads >= 1). EX_OSERR when they cannot be had. Freed by mf_pool_free. */
int mf_pool_new(struct mf_pool **pool, int n_threads, struct mf_err *err);
void mf_pool_free(struct mf_pool *pool); /* accepts NULL */

int mf_pool_threads(const struct mf_pool *pool);

/* Splits [0, count) into n_threads contiguous parts of nearly equal size, whose borders are multiples of
 * `grain` (>= 1), runs `job` on all parts that are not empty, and returns when all are done. Not to be called
 * from inside a job. */
void mf_pool_run(struct mf_pool *pool, size_t count, size_t grain, mf_pool_job *job, void *context);

/* The same for items whose result is the same whoever computes them: each thread takes `grain` items of its
 * part at a time, then of the parts of slower ones. */
void mf_pool_share(struct mf_pool *pool, size_t count, size_t grain, mf_pool_job *job, void *context);

#endif
