/* The list of a model's tensors, in file order: what each component brings. A tensor that is copied has the
 * dtype in which its component stores it; sums and the router's are F32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "assemble/assemble_internal.h"
#include "base/memory.h"

int mf_assembly_add(struct mf_assembly *a, const struct mf_tensor *t, struct mf_err *err) {
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? 2 * a->capacity : 256;
        struct mf_tensor *grown = realloc(a->tensors, capacity * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory");
        a->tensors = grown;
        a->capacity = capacity;
    }
    a->tensors[a->count] = *t;
    a->tensors[a->count++].data = NULL;
    a->bytes += mf_tensor_bytes(t);
    return 0;
}

struct mf_tensor *mf_assembly_ffn(const struct mf_assembly *a, enum mf_ffn_role role, size_t *count) {
    *count = mf_ffn_tensors(&a->shape, role, 0, NULL, NULL);
    struct mf_tensor *t = calloc(*count, sizeof *t);
    if (!t) mf_no_memory();
    mf_ffn_tensors(&a->shape, role, 0, NULL, t);
    return t;
}

/* What the reference implementation has beside the bundle's tensors: the head, which is the embedding once
 * more, and the positions. */
static int add_repeated(struct mf_assembly *a, enum mf_dtype embedding, struct mf_err *err) {
    const struct mf_shape *s = &a->shape;
    struct mf_tensor head = {.dtype = embedding, .n_dims = 2, .shape = {s->V, s->D}};
    const struct mf_tensor positions = {
        .name = "shared.pos_encoding.pe", .dtype = MF_F32, .n_dims = 3, .shape = {1, s->S, s->D}};
    snprintf(head.name, sizeof head.name, "%s", mf_head_name(s));
    if (mf_assembly_add(a, &head, err) < 0) return -1;
    a->begin[MF_PART_POSITIONS] = a->bytes;
    return mf_assembly_add(a, &positions, err);
}

int mf_assembly_add_shared(struct mf_assembly *a, const struct mf_component *p, struct mf_err *err) {
    struct mf_tensor embedding[MF_TABLE_MAX];
    mf_table_tensors(&a->shape, MF_TABLE_HEAD, 0, 0, 0, 0, embedding, NULL);
    a->begin = calloc(MF_PART_EXPERTS + mf_assembly_experts(a) + 1, sizeof *a->begin);
    if (!a->begin) mf_no_memory();
    for (size_t i = 0; i < mf_bundle_count(p->bundle); i++) {
        const struct mf_tensor *t = mf_bundle_tensor(p->bundle, i);
        if (strcmp(t->name, embedding[0].name) == 0) embedding[0].dtype = t->dtype;
        if (mf_assembly_takes(t->name, false) && mf_assembly_add(a, t, err) < 0) return -1;
    }
    a->begin[MF_PART_HEAD] = a->begin[MF_PART_POSITIONS] = a->bytes;
    if (mf_assembly_repeats(a) && add_repeated(a, embedding[0].dtype, err) < 0) return -1;
    a->begin[MF_PART_EXPERTS] = a->bytes;
    return 0;
}

/* Lists those of the tensors `from` that a component has, in its order, by their names in the model; what is
 * made from them is F32. */
static int add_renamed(struct mf_assembly *a, const struct mf_component *p, const struct mf_tensor *from,
                       const struct mf_tensor *to, size_t count, bool made, struct mf_err *err) {
    for (size_t i = 0; i < mf_bundle_count(p->bundle); i++) {
        struct mf_tensor t = *mf_bundle_tensor(p->bundle, i);
        size_t k = 0;
        while (k < count && strcmp(from[k].name, t.name) != 0) k++;
        if (k == count) continue;
        memcpy(t.name, to[k].name, sizeof t.name);
        if (made) t.dtype = MF_F32;
        if (mf_assembly_add(a, &t, err) < 0) return -1;
    }
    return 0;
}

/* Expert e's head, in the order of its bundle. */
static int add_head(struct mf_assembly *a, const struct mf_component *p, size_t e, struct mf_err *err) {
    struct mf_tensor from[MF_HEAD_TENSORS], to[MF_HEAD_TENSORS];
    size_t count = mf_head_tensors(&a->shape, a->experts[e].head, -1, NULL, from);
    mf_head_tensors(&a->shape, a->experts[e].head, (int64_t)e, NULL, to);
    return add_renamed(a, p, from, to, count, false, err);
}

/* An expert's tensors have names of their own in the model. `role` is what p has: a whole FFN, and maybe a
 * head of rank `head`, or the dense FFN, which an expert of the n_experts changes. */
static int add_expert(struct mf_assembly *a, const struct mf_component *p, enum mf_ffn_role role, size_t head,
                      size_t e, struct mf_err *err) {
    size_t count = mf_ffn_tensors(&a->shape, role, 0, NULL, NULL), all = count + MF_HEAD_TENSORS;
    bool made = role == MF_FFN_DENSE && e < a->n_experts;
    struct mf_tensor *from = calloc(2 * all, sizeof *from);
    if (!from) mf_no_memory();
    struct mf_tensor *to = from + all;
    mf_ffn_tensors(&a->shape, role, 0, NULL, from);
    mf_ffn_tensors(&a->shape, MF_FFN_MOE, e, NULL, to);
    all = count + mf_head_tensors(&a->shape, head, -1, NULL, from + count);
    mf_head_tensors(&a->shape, head, (int64_t)e, NULL, to + count);
    int status = add_renamed(a, p, from, to, all, made, err);
    free(from);
    return status;
}

/* A component's tensors: of a whole expert, or of one that changes the dense FFN. */
static int add_component(struct mf_assembly *a, const struct mf_component *shared, size_t e,
                         struct mf_err *err) {
    struct mf_component p;
    if (mf_assembly_open(&p, a, &a->experts[e], err) < 0) return -1;
    int status = mf_assembly_expect_stats(a, p.bundle, err);
    if (status == 0)
        status = p.low_rank.R ? add_expert(a, shared, MF_FFN_DENSE, 0, e, err)
                              : add_expert(a, &p, MF_FFN_EXPERT, a->experts[e].head, e, err);
    if (status == 0 && p.low_rank.R) status = add_head(a, &p, e, err);
    mf_component_close(&p);
    return status;
}

int mf_assembly_add_experts(struct mf_assembly *a, const struct mf_component *shared, struct mf_err *err) {
    for (size_t e = 0; e < mf_assembly_experts(a); e++) {
        int status = e < a->n_experts ? add_component(a, shared, e, err)
                                      : add_expert(a, shared, MF_FFN_DENSE, 0, e, err);
        if (status < 0) return -1;
        a->begin[MF_PART_EXPERTS + e + 1] = a->bytes;
    }
    return 0;
}
