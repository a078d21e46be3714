/* The documents that a saved partitioning knows, found by sorting on disk. */
#ifndef MF_PARTITION_KNOWN_H
#define MF_PARTITION_KNOWN_H

#include "io/sort.h"
#include "partition/saved.h"
#include "partition/view.h"

/* Where each document of the corpus is by the table of p: the k-th copy of a text goes where the k-th was,
 * and further ones where the last is. memory   bytes for sorting known    out  [corpus->count] appended: its
 * partition, or MF_NO_PARTITION *count   out  documents that are known EX_IOERR, EX_CANTCREAT, EX_OSERR. */
int mf_known_find(const struct mf_partition *p, const struct mf_corpus *corpus, size_t memory,
                  struct mf_spill *known, size_t *count, struct mf_err *err);

/* Makes p a partitioning of the documents of the corpus: its table, sizes, tokens.
 *   partitions  [corpus->count]  in */
int mf_known_set(struct mf_partition *p, const struct mf_corpus *corpus, const struct mf_spill *partitions,
                 size_t memory, struct mf_err *err);

/* Partitions by document, in any order, to a spill in the documents' order. Freed by mf_sort_free. */
#define MF_PLACED_RECORD 10
int mf_placed_add(struct mf_sort *sort, size_t document, size_t partition, struct mf_err *err);
int mf_placed_next(struct mf_sort *sort, size_t *document, size_t *partition, struct mf_err *err);
int mf_placed_write(struct mf_sort *sort, struct mf_spill *places, struct mf_err *err); /* of all documents */

#endif
