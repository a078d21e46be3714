/* What plain.c (opening, numbers) and plain_list.c (the list of tensors) share. */
#ifndef MF_EXPORT_PLAIN_INTERNAL_H
#define MF_EXPORT_PLAIN_INTERNAL_H

#include "export/plain.h"
#include "export/prefix_router.h"
#include "model/moe.h"
#include "model/weights.h"

struct plain_entry {
    struct mf_tensor tensor;
    struct mf_plain_role role;
    size_t source;        /* its index in the weights */
    size_t rows, columns; /* there; a vector is a row */
};

struct mf_plain {
    struct mf_moe *moe;
    const struct mf_weights *weights; /* of `moe` */
    struct mf_shape shape;
    size_t E;                     /* 0: dense */
    struct prefix_router *prefix; /* or NULL */
    json_t *metadata;
    struct plain_entry *entries;
    size_t count, capacity;
};

/* Lists the tensors of `p`, whose model, shape and number of experts are set. */
int plain_list(struct mf_plain *p, struct mf_err *err);

#endif
