/* From the documents that are read to those that are wanted: length limits, copies, and the split. */
#ifndef MF_TEXT_SELECT_H
#define MF_TEXT_SELECT_H

#include <stdint.h>
#include "io/file.h"
#include "text/copies.h"
#include "text/docs.h"

enum mf_split { MF_TRAIN, MF_VAL, MF_TEST, MF_SPLITS };

struct mf_tally {
    uint64_t documents, bytes;
};

struct mf_selection {
    double val_fraction, test_fraction;
    uint64_t min_chars, max_chars, max_docs; /* 0: no limit */
    struct mf_copies *copies;                /* borrowed */
    struct mf_out *removed;                  /* JSON lines about copies, or NULL; borrowed */
    void *context;
    int (*take)(void *context, const struct mf_doc *doc, enum mf_split split, struct mf_err *err);
    /* What became of them; cut: pieces of long ones. */
    struct mf_tally read, cut, brief, exact, near, kept[MF_SPLITS];
};

/* Takes one document of the input: 0, 1 when max_docs were read, or -1. Long ones are cut at the ends of
 * paragraphs, else of lines, else at spaces, else between characters; the pieces are documents ID+1, ID+2,
 * ... */
int mf_selection_add(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err);

#endif
