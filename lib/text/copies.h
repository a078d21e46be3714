/* Copies among documents: exact ones and near ones, found as the documents come (formats/docs.md).
 *
 * Two documents are exact copies when they are the same up to white space at the ends of lines and of the
 * text. They are near copies when their sets of five words in a row have a Jaccard similarity of at least a
 * threshold, which is estimated by MinHash (Broder 1997) for candidates found by bands of it (Leskovec,
 * Rajaraman, Ullman, Mining of Massive Datasets, section 3.4). Memory: about 1.3 KB and the id for each
 * document kept. */
#ifndef MF_TEXT_COPIES_H
#define MF_TEXT_COPIES_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum mf_copy { MF_COPY_NONE, MF_COPY_EXACT, MF_COPY_NEAR };

struct mf_copies;

/* near: the Jaccard similarity from which a document is a near copy, in (0, 1]; 0: only exact copies are
 * looked for. */
int mf_copies_new(struct mf_copies **copies, double near, struct mf_err *err);
void mf_copies_free(struct mf_copies *copies); /* accepts NULL */

/* Is the document a copy of one before it? If not, it is remembered. `hash` is mf_text_hash of the text. For
 * a copy, *kept (not zero-terminated, borrowed until the next call) names the document it is a copy of.
 * Returns an enum mf_copy or -1. */
int mf_copies_check(struct mf_copies *copies, uint64_t hash, const char *id, size_t id_size, const char *text,
                    size_t size, const char **kept, size_t *kept_size, struct mf_err *err);

/* The number of the document that was remembered last. */
uint32_t mf_copies_last(const struct mf_copies *copies);

/* From now on nothing is a copy of this document. */
void mf_copies_forget(struct mf_copies *copies, uint32_t document);

/* XXH64 of a text without white space at the ends of its lines and at its end. */
uint64_t mf_text_hash(const char *text, size_t size);

#endif
