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

/* The tensors that an expert has beside its FFN: attention and a head. In a bundle (`expert` -1), or in the
 * model; returns their number. */
static size_t list_own(const struct mf_assembly *a, const struct mf_expert_entry *x, int64_t expert,
                       struct mf_tensor *t) {
    size_t n = x->attention ? mf_attention_all_tensors(&a->shape, expert, NULL, t) : 0;
    return n + mf_head_tensors(&a->shape, x->head, expert, NULL, t + n);
}

/* The most that there are. */
static size_t most_own(const struct mf_assembly *a) {
    return MF_ATTENTION_TENSORS * a->shape.L + MF_HEAD_TENSORS;
}

/* Expert e's tensors have names of their own in the model, in the order of their bundle. Of `roles` p has the
 * FFN, if it is one, and with `own` what the expert has beside it. */
static int add_expert(struct mf_assembly *a, const struct mf_component *p, const enum mf_ffn_role *role,
                      bool own, size_t e, struct mf_err *err) {
    size_t ffn = role ? mf_ffn_tensors(&a->shape, *role, 0, NULL, NULL) : 0, n = ffn;
    bool made = role && *role == MF_FFN_DENSE && e < a->n_experts;
    struct mf_tensor *from = calloc(2 * (ffn + most_own(a)), sizeof *from);
    if (!from) mf_no_memory();
    struct mf_tensor *to = from + ffn + most_own(a);
    if (role) mf_ffn_tensors(&a->shape, *role, 0, NULL, from);
    if (role) mf_ffn_tensors(&a->shape, MF_FFN_MOE, e, NULL, to);
    if (own) n += list_own(a, &a->experts[e], -1, from + ffn);
    if (own) list_own(a, &a->experts[e], (int64_t)e, to + ffn);
    int status = add_renamed(a, p, from, to, n, made, err);
    free(from);
    return status;
}

/* A component's tensors: of a whole expert, or of one that changes the dense FFN. */
static int add_component(struct mf_assembly *a, const struct mf_component *shared, size_t e,
                         struct mf_err *err) {
    struct mf_component p;
    if (mf_assembly_open(&p, a, &a->experts[e], err) < 0) return -1;
    const enum mf_ffn_role whole = MF_FFN_EXPERT, changed = MF_FFN_DENSE;
    int status = mf_assembly_expect_stats(a, p.bundle, err);
    if (status == 0 && p.low_rank.R) status = add_expert(a, shared, &changed, false, e, err);
    if (status == 0) status = add_expert(a, &p, p.low_rank.R ? NULL : &whole, true, e, err);
    mf_component_close(&p);
    return status;
}

int mf_assembly_add_experts(struct mf_assembly *a, const struct mf_component *shared, struct mf_err *err) {
    for (size_t e = 0; e < mf_assembly_experts(a); e++) {
        const enum mf_ffn_role dense = MF_FFN_DENSE;
        int status = e < a->n_experts ? add_component(a, shared, e, err)
                                      : add_expert(a, shared, &dense, false, e, err);
        if (status < 0) return -1;
        a->begin[MF_PART_EXPERTS + e + 1] = a->bytes;
    }
    return 0;
}
