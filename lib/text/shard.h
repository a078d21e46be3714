/* Streams of kind shard: what one of several jobs that read an input met, for the one that decides about all
 * of it (formats/docs.md). Documents come with their signatures, the costly part of finding copies. */
#ifndef MF_TEXT_SHARD_H
#define MF_TEXT_SHARD_H

#include "text/docs.h"

/* --- writing --- */

/* Starts a stream on `out` (io/stream.h); `shard` was measured. */
int mf_shard_create(struct mf_stream_writer **writer, struct mf_out *out, const struct mf_docs_shard *shard,
                    struct mf_err *err);

/* What the functions of mf_docs_options were told. A document's signature goes along if it has one. */
int mf_shard_put_doc(struct mf_stream_writer *writer, const struct mf_doc *doc, struct mf_err *err);
int mf_shard_put_left(struct mf_stream_writer *writer, enum mf_docs_left why, const char *name,
                      struct mf_err *err);
int mf_shard_put_bad(struct mf_stream_writer *writer, const char *why, struct mf_err *err);

/* --- reading --- */

/* Puts the paths of an input's shards in order. EX_DATAERR unless they are all shards of one input, each
 * once. */
int mf_shards_order(struct mf_strs *paths, struct mf_err *err);

/* Tells `options` what a shard met, as mf_docs_read would where it reads the files. EX_NOINPUT, EX_DATAERR.
 */
int mf_shard_read(const char *path, const struct mf_docs_options *options, struct mf_err *err);

#endif
