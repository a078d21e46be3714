/* A partitioning as a table for people. */
#ifndef MF_PART_TABLE_H
#define MF_PART_TABLE_H

#include <stdio.h>
#include "part/divide.h"

/* One line a partition: documents, tokens, share, the most frequent domain where documents have labels, and
 * the words that tell it from the others where the tokenizer is at hand; then how well partitions and labels
 * agree. EX_OSERR. */
int mf_division_print(const struct mf_division *division, FILE *file, struct mf_err *err);

/* The features that tell partition e from the others, the most telling first: the largest gap between its
 * centroid's weight and the mean of the others'. Fills at most `room`, returns how many. */
size_t mf_telling_features(const struct mf_partition *p, size_t e, uint16_t *features, size_t room);

#endif
