/* Several streams as one. */
#ifndef MF_CLI_JOIN_H
#define MF_CLI_JOIN_H

#include "base/strings.h"
#include "io/stream.h"

/* Writes a stream of the records of all paths, in order. EX_NOINPUT; EX_DATAERR where a header differs from
 * the first one's. */
int mf_join(struct mf_out *out, const struct mf_strs *paths, struct mf_err *err);

#endif
