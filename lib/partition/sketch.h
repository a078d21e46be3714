/* Documents as short sparse vectors: tf-idf weights of their most telling tokens.
 *
 * The terms are BPE ids chosen by how much they can tell apart (mf_terms_choose); a document keeps at most
 * MF_SKETCH_TERMS of them. A kept term takes 4 bytes, in memory and on disk. */
#ifndef MF_PARTITION_SKETCH_H
#define MF_PARTITION_SKETCH_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/spill.h"

#define MF_FEATURES_MAX 65535 /* feature numbers are 16 bits; 65535 means "not a feature" */
#define MF_SKETCH_TERMS 256

/* The chosen terms. All arrays are owned; freed by mf_terms_free. */
struct mf_terms {
    size_t vocab, count;  /* ids in the vocabulary; features */
    uint32_t *ids;        /* [count] ascending token ids */
    float *idf;           /* [count] log((documents + 1) / (df + 1/2)) > 0 */
    uint16_t *feature_of; /* [vocab] */
};

/* Chooses at most `features` terms out of `df` [vocab] (the number of documents that hold each id; 0 for ids
 * that are not terms): the ones with the largest df * idf, ties to the lower id. EX_OSERR. */
int mf_terms_choose(struct mf_terms *terms, const uint32_t *df, size_t vocab, size_t documents,
                    size_t features, struct mf_err *err);

/* Makes room for `count` terms of a saved model; the caller fills ids and idf, then calls mf_terms_index,
 * which returns -1 when the ids do not ascend below vocab or an idf is not positive and finite. */
int mf_terms_alloc(struct mf_terms *terms, size_t vocab, size_t count, struct mf_err *err);
int mf_terms_index(struct mf_terms *terms);
void mf_terms_free(struct mf_terms *terms); /* does nothing for zeroed terms */

struct mf_sketch_term {
    uint16_t feature, weight; /* weight in units of 1/65535; the squares of a document's weights sum to 1 */
};

#define MF_SKETCH_UNIT (1.0f / 65535)

/* Room for counting one document's terms, reused between documents. */
struct mf_sketcher {
    const struct mf_terms *terms; /* borrowed */
    uint32_t *counts;             /* [terms->count] zero between calls */
    uint16_t *touched;            /* [terms->count] */
    float *weights;               /* [terms->count] */
};
int mf_sketcher_init(struct mf_sketcher *s, const struct mf_terms *terms, struct mf_err *err);
void mf_sketcher_free(struct mf_sketcher *s);

/* Sketches a document: weight (1 + log tf) * idf, the MF_SKETCH_TERMS heaviest, L2-normalised, by ascending
 * feature. Returns the number of terms in `out` [MF_SKETCH_TERMS]; 0 for a document without terms. */
size_t mf_sketch(struct mf_sketcher *s, const uint32_t *tokens, size_t count, struct mf_sketch_term *out);

/* The same for column e of centroids [F,E]. */
size_t mf_sketch_column(struct mf_sketcher *s, const float *centroids, size_t E, size_t e,
                        struct mf_sketch_term *out);

/* Sketches one after another on disk. EX_IOERR, EX_CANTCREAT, EX_OSERR. */
int mf_sketch_put(struct mf_spill *spill, const struct mf_sketch_term *terms, size_t count,
                  struct mf_err *err);
int mf_sketch_take(struct mf_spill_reader *reader, struct mf_sketch_term *terms, size_t *count,
                   struct mf_err *err); /* terms [MF_SKETCH_TERMS] */

/* A growing list of sketches in memory: 4 bytes a term and 10 bytes a document. */
struct mf_sketches;
int mf_sketches_new(struct mf_sketches **list, struct mf_err *err);
int mf_sketches_add(struct mf_sketches *list, const struct mf_sketch_term *terms, size_t count,
                    struct mf_err *err);
const struct mf_sketch_term *mf_sketches_get(const struct mf_sketches *list, size_t i,
                                             size_t *count); /* borrowed */
void mf_sketches_free(struct mf_sketches *list);             /* accepts NULL */

#endif
