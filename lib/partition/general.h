/* General text: documents of other partitions that an expert sees beside its own. */
#ifndef MF_PARTITION_GENERAL_H
#define MF_PARTITION_GENERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "partition/saved.h"

/* Sets rate and origin of each partition that has none yet: it takes a document of the partitions there are
 * now at a rate by which p->general times its own tokens come together; at most all of them. Partitions that
 * were set before stay as they are, so that what is added later is not for them. Does nothing where
 * p->general is 0. */
void mf_general_set(struct mf_partition *p);

/* Whether partition e takes a document of partition `own` as general text. It follows from the seed, e and
 * the document's fingerprint alone. */
bool mf_general_takes(const struct mf_partition *p, size_t e, size_t own, uint64_t fingerprint);

#endif
