/* Copies among documents: exact ones and near ones, each decided against those before it that were kept
 * (formats/docs.md), in fixed memory whatever their number.
 *
 * Two documents are exact copies when they are the same up to white space at the ends of lines and of the
 * text. They are near copies when their sets of five words in a row have a Jaccard similarity of at least a
 * threshold, which is estimated by MinHash (Broder 1997) for candidates found by bands of it (Leskovec,
 * Rajaraman, Ullman, Mining of Massive Datasets, section 3.4).
 *
 * All documents are added first, then all are decided:
 *     mf_copies_new(&copies, 0.8, memory, err);
 *     while (...) mf_copies_add(copies, hash, doc, err);
 *     mf_copies_decide(copies, err);
 *     for (i = 0; i < mf_copies_count(copies); i++) mf_copies_read(copies, i, &doc, err);
 * More may be added then and decided in turn. */
#ifndef MF_TEXT_COPIES_H
#define MF_TEXT_COPIES_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "text/doc.h"

enum mf_copy { MF_COPY_NONE, MF_COPY_EXACT, MF_COPY_NEAR };

#define MF_COPIES_MIN ((size_t)64 << 10) /* bytes of memory; less is taken as this much */

struct mf_copies;

/* near: the Jaccard similarity from which a document is a near copy, in (0, 1]; 0: only exact copies are
 * looked for. memory: for sorting and deciding; the result does not depend on it. EX_OSERR. */
int mf_copies_new(struct mf_copies **copies, double near, size_t memory, struct mf_err *err);
void mf_copies_free(struct mf_copies *copies); /* accepts NULL */

/* Where the memory goes, for people. */
struct mf_copies_plan {
    size_t sort, state, queues;  /* bytes */
    uint64_t per_run, per_range; /* documents sorted at once, and decided at once */
};
struct mf_copies_plan mf_copies_plan(double near, size_t memory);

/* Adds the next document; `hash` is mf_text_hash of the text. EX_CANTCREAT, EX_IOERR (scratch files),
 * EX_OSERR, EX_DATAERR for more than 2^32 - 2 documents. */
int mf_copies_add(struct mf_copies *copies, uint64_t hash, const struct mf_doc *doc, struct mf_err *err);

uint32_t mf_copies_count(const struct mf_copies *copies); /* documents added, numbered from 0 */

/* Decides all documents that were added since the last time, in the order of adding, each against all kept
 * ones before it. As adding. */
int mf_copies_decide(struct mf_copies *copies, struct mf_err *err);

struct mf_copies_doc {
    uint64_t hash, size;
    enum mf_copy copy;
    uint32_t kept; /* of a copy: the document that it is one of */
};

/* What is known of a decided document. EX_IOERR. */
int mf_copies_read(const struct mf_copies *copies, uint32_t number, struct mf_copies_doc *doc,
                   struct mf_err *err);

/* The id of a document, not zero-terminated, borrowed until the next call. EX_IOERR, EX_OSERR. */
int mf_copies_id(struct mf_copies *copies, uint32_t number, const char **id, size_t *id_size,
                 struct mf_err *err);

/* From now on nothing is a copy of this document. In the order of their numbers; 4 bytes each. EX_OSERR. */
int mf_copies_forget(struct mf_copies *copies, uint32_t number, struct mf_err *err);

#endif
