/* Documents that are read again later: compressed (zstd) in a scratch file, in their order. */
#ifndef MF_TEXT_DOC_SPOOL_H
#define MF_TEXT_DOC_SPOOL_H

#include <zstd.h>
#include "io/spill.h"
#include "text/doc.h"

/* A zeroed struct is empty. Memory: some 2 MB, and the longest document while reading. */
struct mf_doc_spool {
    struct mf_spill spill;
    ZSTD_CCtx *writer;
    ZSTD_DCtx *reader;
    unsigned char *block; /* compressed bytes on their way */
    uint64_t at;          /* reading: compressed bytes taken from the spill */
    ZSTD_inBuffer unread; /* of the block */
    char *bytes;          /* of the document that was read last */
    size_t capacity;
};

void mf_doc_spool_free(struct mf_doc_spool *spool);

/* Adds a document at the end. Not once reading began. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int mf_doc_spool_add(struct mf_doc_spool *spool, const struct mf_doc *doc, struct mf_err *err);

/* Goes to the first document; may be called again. As adding. */
int mf_doc_spool_begin(struct mf_doc_spool *spool, struct mf_err *err);

/* The next document, borrowed until the next call. To ask for more than were added is a bug. EX_IOERR,
 * EX_OSERR.
 */
int mf_doc_spool_next(struct mf_doc_spool *spool, struct mf_doc *doc, struct mf_err *err);

#endif
