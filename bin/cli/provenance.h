/* Where a model comes from: the components and documents that its metadata name, beside files. */
#ifndef MF_CLI_PROVENANCE_H
#define MF_CLI_PROVENANCE_H

#include <stddef.h>
#include "base/err.h"
#include "io/file.h"

/* Writes a model's components as a tree, with their hashes and the fingerprints of the tokens that they were
 * trained and validated on (formats/model.md), and beside each the files that are it. `files` [n] are
 * bundles, tokenizers and tokens streams. EX_NOINPUT; EX_DATAERR: not a model, or a file that has no place in
 * it. */
int mf_provenance(struct mf_out *out, const char *model, const char *const *files, size_t n,
                  struct mf_err *err);

#endif
