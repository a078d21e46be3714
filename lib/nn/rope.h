/* Rotary positions: pairs of a head's columns are turned by angles that grow with the row's position, so that
 * scores depend on distances. Forward and backward.
 *
 * The pairs are columns i and i + d/2, i < d/2, as in Hugging Face's files (GGUF's `llama` pairs neighbours:
 * there the rows of the weights are in another order). */
#ifndef MF_NN_ROPE_H
#define MF_NN_ROPE_H

#include "nn/seqs.h"

/* Angles from one position to the next, frequencies [d/2]: theta^(-2i/d). d is even, theta > 0.
 * Su et al. 2021, section 3.4.2, where theta is 10,000. */
void rope_frequencies(double *frequencies, size_t d, double theta);

/* How Llama 3.1 stretches a base trained on `context` positions: wavelengths above context/low_factor become
 * `factor` times as long, those below context/high_factor stay, between them the change is gradual in 1 /
 * wavelength. All four are positive, low_factor < high_factor. */
struct rope_stretch {
    double factor, low_factor, high_factor, context;
};
void rope_stretch(double *frequencies, size_t d, const struct rope_stretch *stretch);

/* Rows of a table [positions,d] for the positions first .. first+count-1, the first of them at `rows`: the
 * cosines of the d/2 angles, then their sines. Angles are computed in double: what is stored is off by no
 * more than fp32's rounding for all positions below 2^31. */
void rope_fill(float *rows, const double *frequencies, size_t first, size_t count, size_t d);

/* Turns the first `heads` heads, d columns each, of x's rows, in place; row n is at position first_position +
 * its place in its sequence.
 *   x      [N,..]          in, out; ld from row to row. Of [N,(H+2K) d] the first H + K heads are turned
 *   table  [positions,d]   in, from position 0 on
 * With a cache of keys, first_position is the number of rows that are in it. */
void rope_forward(struct mf_pool *pool, float *x, size_t ld, const float *table, const struct seqs *seqs,
                  size_t first_position, size_t heads, size_t d);

/* Turns the gradient back, in place: a rotation's inverse is its transpose. Also undoes rope_forward. */
void rope_backward(struct mf_pool *pool, float *dx, size_t ld, const float *table, const struct seqs *seqs,
                   size_t first_position, size_t heads, size_t d);

#endif
