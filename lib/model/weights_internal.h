/* The set of tensors, for what puts bundles into it (weights_add.c) and what reads it (weights.c). */
#ifndef MF_MODEL_WEIGHTS_INTERNAL_H
#define MF_MODEL_WEIGHTS_INTERNAL_H

#include "model/weights.h"

struct weights_entry {
    struct mf_tensor tensor; /* as it is stored; data: as it is held, NULL while not in memory */
    size_t in_file;          /* index in the model file */
    uint64_t used;           /* clock of the last use */
    bool known;              /* somebody has asked for it by name */
    bool kept;               /* never evicted: read from a bundle */
    bool in_scratch;         /* in_file is the place in the scratch file: from a bundle, too large to keep */
};

struct mf_weights {
    char *name;
    struct mf_safetensors *st; /* NULL for bundles */
    struct weights_entry *entries;
    size_t count;
    size_t cached, capacity; /* bytes */
    int scratch;             /* a bundle's large tensors, whose own file may be a pipe or compressed; or -1 */
    size_t scratch_size;
    uint64_t clock;
};

/* `count` more entries, zeroed. EX_OSERR. */
int weights_grow(struct mf_weights *w, size_t count, struct mf_err *err);

#endif
