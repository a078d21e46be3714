/* Hashes of texts, by which copies are found (formats/docs.md). */
#ifndef MF_TEXT_MINHASH_H
#define MF_TEXT_MINHASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH64 of a text without white space at the ends of its lines and at its end. */
uint64_t mf_text_hash(const char *text, size_t size);

#define MF_MINHASHES 128 /* of a signature */

/* The hash functions of a signature, always the same. */
struct mf_minhash {
    uint32_t multiply[MF_MINHASHES], add[MF_MINHASHES];
};
void mf_minhash_make(struct mf_minhash *minhash);

/* The MinHash (Broder 1997) of a text's set of shingles, five words in a row: two signatures agree in about
 * as many of their values as the Jaccard similarity of the sets says. signature: [MF_MINHASHES]. */
void mf_minhash(const struct mf_minhash *minhash, const char *text, size_t size, uint32_t *signature);

#endif
