/* A partitioning as a table for people. */
#ifndef MF_CLI_PARTITION_TABLE_H
#define MF_CLI_PARTITION_TABLE_H

#include <stdio.h>
#include "partition/divide.h"

/* One line a partition: documents, tokens, share, the most frequent domain where documents have labels, and
 * the words that tell it from the others where the tokenizer is at hand; then how well partitions and labels
 * agree. EX_OSERR. */
int mf_division_print(const struct mf_division *division, FILE *file, struct mf_err *err);

/* One line: where the memory goes. */
void mf_divide_plan_print(const struct mf_divide_memory *memory, size_t max_memory, FILE *file);

#endif
