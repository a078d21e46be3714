/* Streams, bundles and models as text for people and for other programs. */
#ifndef MF_CLI_SHOW_H
#define MF_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/file.h"

enum mf_show_form {
    MF_SHOW_JSON, /* a line of JSON for the header, manifest or metadata, and one for each record or tensor */
    MF_SHOW_TABLE, /* a line for each record or tensor, in columns */
    MF_SHOW_STATS, /* numbers about all of them */
};

struct mf_show {
    enum mf_show_form form;
    int64_t head; /* records or tensors to show; -1 for all. Only a file shown in full is checked in full */
    bool follow;  /* wait for more of a stream that is being written; each line is flushed */
};

/* Shows `path` (NULL or "-": standard input), whose kind is found from its first bytes. A model must be a
 * file. What was written before a failure stays in `out`. EX_NOINPUT, EX_DATAERR, EX_USAGE (only a stream can
 * be followed). */
int mf_show_file(struct mf_out *out, const char *path, const struct mf_show *show, struct mf_err *err);

#endif
