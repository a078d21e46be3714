/* Muon: the optimizer of the layers' matrices whose steps are momentum made orthogonal (Jordan et al. 2024,
 * "Muon: An optimizer for hidden layers in neural networks"). */
#ifndef MF_TRAIN_MUON_H
#define MF_TRAIN_MUON_H

#include "base/pool.h"
#include "io/tensor.h"
#include "model/shape.h"

/* Is a tensor one of the matrices that Muon is for? Not the embedding, not a head of its own: AdamW is better
 * for those, as for vectors. */
bool mf_muon_takes(const struct mf_shape *shape, const struct mf_tensor *tensor);

/* In floats: the matrices of a model that Muon is for (frozen: of its FFNs, or of changes of rank R > 0 to
 * them, and with `attention` of an expert's own), which have no second moment, and the scratch that the
 * largest of them takes. */
struct mf_muon_memory {
    size_t matrices, scratch;
};
struct mf_muon_memory mf_muon_memory(const struct mf_shape *shape, bool frozen, size_t R, bool attention);

/* One step on a matrix [R,C], l = max(R,C):
 *     m = 0.95 m + scale g,  u = 0.95 m + scale g,  x = (1 - lr decay) x - lr 0.2 sqrt(l) orthogonal(u)
 * orthogonal(u) has u's singular vectors, and singular values that five Newton-Schulz steps bring to between
 * about 0.7 and 1.2. By 0.2 sqrt(l) its root mean square is that of AdamW's steps, so that the learning rate
 * and decay of one fit the other (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4).
 *   matrix    in, out  its data are the parameters
 *   g, m      [R,C]    in; m out
 *   scratch            mf_muon_memory */
void mf_muon(struct mf_pool *pool, const struct mf_tensor *matrix, const float *g, float *m, double scale,
             double lr, double decay, float *scratch);

#endif
