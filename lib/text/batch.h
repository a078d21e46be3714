/* Documents of a stream, some at a time, so that threads can share them out. */
#ifndef MF_TEXT_BATCH_H
#define MF_TEXT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "text/doc.h"

/* Zeroed at first. */
struct mf_docs_batch {
    struct mf_doc *docs; /* [count] borrowed from the batch or its reader */
    size_t count, capacity;
    char *bytes;
    size_t used, bytes_capacity;
    bool borrowed; /* the last document's bytes are the reader's */
};

/* Reads documents until they have `bytes` bytes (at least one document), in the place of those before.
 * They are valid until the reader reads on or is closed. Returns 1, 0 at the end of the stream, -1.
 * EX_DATAERR: a record without text. */
int mf_docs_batch_read(struct mf_docs_batch *batch, struct mf_stream_reader *docs, size_t bytes,
                       struct mf_err *err);
void mf_docs_batch_free(struct mf_docs_batch *batch);

#endif
