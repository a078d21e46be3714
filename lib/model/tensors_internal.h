/* The tables of tensors (tensor_tables.c), for what follows from them (tensors.c). */
#ifndef MF_MODEL_TENSORS_INTERNAL_H
#define MF_MODEL_TENSORS_INTERNAL_H

#include "model/tensors.h"

/* A dimension; HEAD = d, A = H d, C = (H+2K) d, KV = K d. NONE as columns: a vector. */
enum tensor_dim { DIM_NONE, DIM_V, DIM_D, DIM_HEAD, DIM_A, DIM_KV, DIM_C, DIM_F, DIM_E };

/* Where the numbers begin. */
enum tensor_start { ZERO, ONE, EMBEDDING, XAVIER, KAIMING, FAN_IN };

/* Of what shapes a tensor is. */
enum tensor_when { ALWAYS, UNTIED, BIASED, NORMED };

/* One tensor: its name (of an FFN's, one for each role; %zu is the layer, then the expert), its shape, and
 * where its pointer lives in the view. */
struct tensor_field {
    const char *name[3];
    enum tensor_dim rows, columns;
    size_t view;
    enum tensor_start start;
    enum tensor_when when;
};

/* The first field of a table that the shape has, and the one behind `field`; NULL behind the last. */
const struct tensor_field *tensor_field_first(const struct mf_shape *shape, enum mf_table table);
const struct tensor_field *tensor_field_next(const struct mf_shape *shape, const struct tensor_field *field);

#define FOR_FIELDS(f, s, table)                                                                              \
    for (const struct tensor_field *f = tensor_field_first(s, table); f; f = tensor_field_next(s, f))

#endif
