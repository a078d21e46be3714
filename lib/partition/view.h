/* The documents of a stream that are to be divided, one after another from disk. */
#ifndef MF_PARTITION_VIEW_H
#define MF_PARTITION_VIEW_H

#include "base/pool.h"
#include "partition/corpus.h"
#include "partition/sketch.h"

#define MF_NO_PARTITION 65535

/* Documents that k-means looks at: all, or so many at even distances in the stream, which follows the order
 * of documents but takes no shuffle. */
#define MF_SAMPLE 32768

struct mf_view {
    const struct mf_corpus *corpus;
    const struct mf_spill *sketches; /* of all documents of the corpus */
    const struct mf_spill *placed;   /* [corpus->count] uint16_t: those with a partition are not in the view;
                                        or NULL: all are */
    size_t n;                        /* documents in the view */
    struct mf_pool *pool;
};

/* Reads a view: {.view = view} at first. */
struct mf_view_reader {
    const struct mf_view *view;
    struct mf_facts facts;
    struct mf_spill_reader sketches, placed;
    size_t passed; /* documents of the stream */
    /* the document read last */
    size_t document;
    struct mf_fact fact;
    struct mf_sketch_term terms[MF_SKETCH_TERMS];
    size_t n_terms;
};
int mf_view_next(struct mf_view_reader *reader, struct mf_err *err); /* 1, 0 at the end, -1 with EX_IOERR */
void mf_view_end(struct mf_view_reader *reader);

/* The sample of a view, in memory. Freed by mf_sample_free, also after a failure. */
struct mf_sample {
    size_t n;
    struct mf_sketches *sketches;
    uint32_t *tokens; /* [n] */
};
int mf_sample_take(struct mf_sample *sample, const struct mf_view *view, struct mf_err *err);
void mf_sample_free(struct mf_sample *sample);

/* Partitions of documents on disk, 2 bytes each. */
int mf_places_add(struct mf_spill *places, size_t partition, struct mf_err *err);
int mf_places_take(struct mf_spill_reader *places, size_t *partition, struct mf_err *err);

/* The normalised mean of each partition's sketches, as columns of centroids [F,E]; zero for one without
 * terms. Sums in double, in the documents' order, of as many partitions at once as 32 MB hold.
 *   places  [view->n]  in  partitions below E, or MF_NO_PARTITION */
int mf_view_centroids(const struct mf_view *view, const struct mf_spill *places, size_t features, size_t E,
                      float *centroids, struct mf_err *err);
#define MF_CENTROIDS_MEMORY ((size_t)32 << 20)

#endif
