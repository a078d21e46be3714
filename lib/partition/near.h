/* The nearest partitions of a document.
 *
 * Up to MF_FLAT partitions are all looked at. More are in about sqrt(E) groups of near centroids, and those
 * of the MF_PROBES groups nearest to the document are looked at, so that the work grows with sqrt(E). */
#ifndef MF_PARTITION_NEAR_H
#define MF_PARTITION_NEAR_H

#include "partition/saved.h"
#include "partition/view.h"

#define MF_FLAT       64
#define MF_PROBES     4
#define MF_NEAREST    8                 /* partitions that balance chooses among */
#define MF_NEAR_BATCH ((size_t)2 << 20) /* bytes that mf_nearness_all holds */

struct mf_near {
    float score; /* larger is nearer */
    uint16_t partition;
};

struct mf_nearness;

/* How near documents are to the partitions by the method of p, which is borrowed. `first` is added to the
 * numbers of partitions of the random method. EX_OSERR. */
int mf_nearness_new(struct mf_nearness **nearness, const struct mf_partition *p, size_t first,
                    struct mf_pool *pool, struct mf_err *err);
void mf_nearness_free(struct mf_nearness *nearness); /* accepts NULL */

size_t mf_nearness_memory(size_t features, size_t E, size_t threads); /* bytes, at most */

/* The partitions of the largest score - price, the largest first, ties by the lower number: fills at most
 * `want` of near and returns how many, at least 1. `thread` has the room that is used. */
size_t mf_nearness_find(const struct mf_nearness *nearness, const struct mf_fact *fact,
                        const struct mf_sketch_term *terms, size_t n_terms, int thread, size_t want,
                        struct mf_near *near);

/* Hands each document of the view, in order, with its nearest partitions (at most MF_FLAT) to `take`.
 * EX_IOERR, EX_OSERR, and as `take`. */
typedef int mf_near_take(void *context, size_t document, const struct mf_fact *fact,
                         const struct mf_near *near, size_t n, struct mf_err *err);
int mf_nearness_all(const struct mf_nearness *nearness, const struct mf_view *view, size_t want,
                    mf_near_take *take, void *context, struct mf_err *err);

#endif
