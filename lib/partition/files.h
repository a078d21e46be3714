/* The files of a partitioning: part.0.mp ... in one folder, replaced only where they differ. And those of a
 * labelled stream: part.0.mf ... with the documents of each partition. */
#ifndef MF_PARTITION_FILES_H
#define MF_PARTITION_FILES_H

#include <stdbool.h>
#include "base/err.h"
#include "partition/corpus.h"
#include "partition/saved.h"

struct mf_partition_files;

/* Makes `folder` if need be and opens E new partition files beside the ones that may be there; labelled:
 * those of a labelled stream. EX_CANTCREAT. */
int mf_partition_files_open(struct mf_partition_files **files, const char *folder,
                            const struct mf_tokens_header *header, size_t E, bool labelled,
                            struct mf_err *err);

/* Adds a record, unchanged, to partition e. */
int mf_partition_files_add(struct mf_partition_files *files, size_t e, const struct mf_record *record,
                           struct mf_err *err);

/* Adds a document with its label to file e. */
int mf_partition_files_put(struct mf_partition_files *files, size_t e, const struct mf_token_doc *doc,
                           struct mf_err *err);

/* Ends all partitions, writes partition.mp (where `saved` is not NULL), and then puts each file in place
 * whose bytes are not those already there, so that the others keep their times; a partition that has no
 * documents now leaves the file there is, and so its expert, as they are; removes partitions of E and more.
 * *changed counts the partitions put in place. Frees, also when it fails. */
int mf_partition_files_commit(struct mf_partition_files *files, const struct mf_partition *saved,
                              size_t *changed, struct mf_err *err);
void mf_partition_files_abandon(struct mf_partition_files *files); /* accepts NULL */

#endif
