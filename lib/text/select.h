/* From the documents that are read to those that are wanted: length limits, copies, blocks, and the split.
 *
 * Documents wait in a scratch file until all are read: only then are copies decided, in fixed memory
 * (text/copies.h). They come out in the order in which they were read (formats/docs.md). */
#ifndef MF_TEXT_SELECT_H
#define MF_TEXT_SELECT_H

#include <stdint.h>
#include "io/file.h"
#include "text/copies.h"
#include "text/cuts.h"
#include "text/doc_spool.h"
#include "text/docs.h"
#include "text/splits.h"

struct mf_tally {
    uint64_t documents, bytes;
};
void mf_tally_add(struct mf_tally *tally, size_t size);

struct mf_selection {
    bool splitting; /* false: all documents are emitted as MF_TRAIN, none is cut into blocks */
    struct mf_split_rule rule;
    uint64_t blocks; /* a document with more than 1/blocks of the text is cut into blocks; 0: none is */
    uint64_t min_chars, max_chars, max_docs; /* 0: no limit */
    struct mf_copies *copies;                /* borrowed */
    struct mf_cuts *cuts;   /* these are cut again, and what else is cut joins them; borrowed; or NULL */
    struct mf_out *removed; /* JSON lines about copies, or NULL; borrowed */
    void *context;
    int (*take)(void *context, const struct mf_doc *doc, enum mf_split split, struct mf_err *err);
    /* What became of them; cut: blocks of large ones, parts: of long ones. */
    struct mf_tally read, brief, exact, near, cut, parts, kept[MF_SPLITS];
    size_t moved; /* documents that went from training to validation or test */
    uint32_t at;  /* the document whose text is handed on, as text/copies.h numbers it */
    /* The selection's own. */
    struct mf_doc_spool spool;
    uint64_t total; /* bytes of documents that are no copies */
};

/* Takes one document of the input: 0, 1 when max_docs were read, or -1. */
int mf_selection_add(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err);

/* Emits the documents, all of which waited for the end of the input. */
int mf_selection_end(struct mf_selection *s, struct mf_err *err);

/* Frees what the selection holds, not what it borrows. */
void mf_selection_free(struct mf_selection *s);

#endif
