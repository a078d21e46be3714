/* Which documents were cut into blocks, and how: when the corpus has grown so that they would be whole, they
 * are cut as before, and each block stays in its split.
 *
 * As a file: a line for each document, in the order of hashes: the hash of its text (mf_text_hash) in 16
 * hexadecimal digits, a blank, and the minimum bytes of its blocks. */
#ifndef MF_TEXT_CUTS_H
#define MF_TEXT_CUTS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_cut {
    uint64_t hash, min;
};

struct mf_cuts {
    struct mf_cut *items; /* [count] in the order of hashes, each once; owned */
    size_t count;
};

/* Takes a file's list; where there is no file it is empty. EX_DATAERR: not such a file. */
int mf_cuts_read(struct mf_cuts *cuts, const char *path, struct mf_err *err);

/* The minimum bytes of the document's blocks, or 0 where it is not in the list. */
uint64_t mf_cuts_find(const struct mf_cuts *cuts, uint64_t hash);

/* Adds a document that is not in the list yet. */
void mf_cuts_add(struct mf_cuts *cuts, uint64_t hash, uint64_t min);

/* As mf_out_commit_changed: a file that says the same already keeps its time. */
int mf_cuts_write(const struct mf_cuts *cuts, const char *path, struct mf_err *err);

void mf_cuts_free(struct mf_cuts *cuts);

#endif
