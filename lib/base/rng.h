/* Random numbers that can be had again.
 *
 * `mf_rng_at` is a pure function of a key and a counter: dropout masks and data order are computed from
 * (seed, purpose, step, position), so a resumed run needs no state. `struct mf_rng` is a sequence for the
 * rest (initial values, k-means, sampling). */
#ifndef MF_BASE_RNG_H
#define MF_BASE_RNG_H

#include <stdint.h>

/* A well-mixed 64-bit value for (key, counter): two rounds of the splitmix64 finaliser (Steele, Lea, Flood
 * 2014). */
uint64_t mf_rng_at(uint64_t key, uint64_t counter);

/* A key for one purpose out of a seed, e.g. mf_rng_key(seed, "dropout", step). */
uint64_t mf_rng_key(uint64_t seed, const char *purpose, uint64_t index);

/* xoshiro256** (Blackman and Vigna 2018). */
struct mf_rng {
    uint64_t s[4];
};
void mf_rng_seed(struct mf_rng *rng, uint64_t key);
uint64_t mf_rng_next(struct mf_rng *rng);
uint64_t mf_rng_below(struct mf_rng *rng, uint64_t n); /* uniform in [0, n), without bias; n >= 1 */
double mf_rng_uniform(struct mf_rng *rng);             /* uniform in [0, 1) */
double mf_rng_normal(struct mf_rng *rng);              /* mean 0, variance 1 (Marsaglia's polar method) */

/* The place of `index` in a pseudo-random permutation of [0, n): a 4-round Feistel network with cycle
 * walking, so a shuffled order takes no memory. index < n. */
uint64_t mf_rng_permute(uint64_t key, uint64_t n, uint64_t index);

#endif
