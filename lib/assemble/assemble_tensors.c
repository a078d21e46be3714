/* The list of a model's tensors, in file order: what each component brings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "assemble/assemble_internal.h"
#include "base/memory.h"

int mf_assembly_add(struct mf_assembly *a, const char *name, size_t rows, size_t columns,
                    struct mf_err *err) {
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? 2 * a->capacity : 256;
        struct mf_tensor *grown = realloc(a->tensors, capacity * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory");
        a->tensors = grown;
        a->capacity = capacity;
    }
    struct mf_tensor *t = &a->tensors[a->count++];
    *t = (struct mf_tensor){.dtype = MF_F32, .n_dims = columns ? 2 : 1, .shape = {rows, columns}};
    snprintf(t->name, sizeof t->name, "%s", name);
    return 0;
}

int mf_assembly_add_shared(struct mf_assembly *a, const struct mf_component *p, struct mf_err *err) {
    for (size_t i = 0; i < mf_bundle_count(p->bundle); i++) {
        const struct mf_tensor *t = mf_bundle_tensor(p->bundle, i);
        if (mf_assembly_takes(t->name, false) &&
            mf_assembly_add(a, t->name, t->shape[0], t->n_dims > 1 ? t->shape[1] : 0, err) < 0)
            return -1;
    }
    a->n_shared = a->count;
    if (!mf_assembly_repeats(a)) return 0;
    if (mf_assembly_add(a, mf_head_name(&a->shape), a->shape.V, a->shape.D, err) < 0) return -1;
    if (mf_assembly_add(a, "shared.pos_encoding.pe", 1, a->shape.S, err) < 0) return -1;
    a->tensors[a->count - 1].n_dims = 3;
    a->tensors[a->count - 1].shape[2] = a->shape.D;
    return 0;
}

/* Lists those of the tensors `from` that a component has, in its order, by their names in the model. */
static int add_renamed(struct mf_assembly *a, const struct mf_component *p, const struct mf_tensor *from,
                       const struct mf_tensor *to, size_t count, struct mf_err *err) {
    for (size_t i = 0; i < mf_bundle_count(p->bundle); i++) {
        const struct mf_tensor *t = mf_bundle_tensor(p->bundle, i);
        size_t k = 0;
        while (k < count && strcmp(from[k].name, t->name) != 0) k++;
        if (k < count &&
            mf_assembly_add(a, to[k].name, t->shape[0], t->n_dims > 1 ? t->shape[1] : 0, err) < 0)
            return -1;
    }
    return 0;
}

/* Expert e's head, in the order of its bundle. */
static int add_head(struct mf_assembly *a, const struct mf_component *p, size_t e, struct mf_err *err) {
    struct mf_tensor from[MF_HEAD_TENSORS], to[MF_HEAD_TENSORS];
    size_t count = mf_head_tensors(&a->shape, a->experts[e].head, -1, NULL, from);
    mf_head_tensors(&a->shape, a->experts[e].head, (int64_t)e, NULL, to);
    return add_renamed(a, p, from, to, count, err);
}

/* An expert's tensors have names of their own in the model. `role` is what p has: a whole FFN, and maybe a
 * head of rank `head`, or the dense FFN. */
static int add_expert(struct mf_assembly *a, const struct mf_component *p, enum mf_ffn_role role, size_t head,
                      size_t e, struct mf_err *err) {
    size_t count = mf_ffn_tensors(&a->shape, role, 0, NULL, NULL), all = count + MF_HEAD_TENSORS;
    struct mf_tensor *from = calloc(2 * all, sizeof *from);
    if (!from) mf_no_memory();
    struct mf_tensor *to = from + all;
    mf_ffn_tensors(&a->shape, role, 0, NULL, from);
    mf_ffn_tensors(&a->shape, MF_FFN_MOE, e, NULL, to);
    all = count + mf_head_tensors(&a->shape, head, -1, NULL, from + count);
    mf_head_tensors(&a->shape, head, (int64_t)e, NULL, to + count);
    int status = add_renamed(a, p, from, to, all, err);
    free(from);
    return status;
}

int mf_assembly_add_experts(struct mf_assembly *a, const struct mf_component *shared, struct mf_err *err) {
    for (size_t e = 0; e < a->n_experts; e++) {
        struct mf_component p;
        if (mf_assembly_open(&p, a, &a->experts[e], err) < 0) return -1;
        int status = mf_assembly_expect_stats(a, p.bundle, err);
        if (status == 0)
            status = p.low_rank.R ? add_expert(a, shared, MF_FFN_DENSE, 0, e, err)
                                  : add_expert(a, &p, MF_FFN_EXPERT, a->experts[e].head, e, err);
        if (status == 0 && p.low_rank.R) status = add_head(a, &p, e, err);
        mf_component_close(&p);
        if (status < 0) return -1;
    }
    return a->anchor ? add_expert(a, shared, MF_FFN_DENSE, 0, a->n_experts, err) : 0;
}
