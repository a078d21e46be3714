/* The list of plain tensors, each with the place that its numbers come from. */
#include <stddef.h>
#include <stdlib.h>
#include "base/memory.h"
#include "model/tensors.h"
#include "export/plain_internal.h"

/* Which pointer of which table is which kind. */
static const struct {
    enum mf_table table;
    size_t view;
    enum mf_plain_kind kind;
} kinds[] = {
    {MF_TABLE_HEAD, offsetof(struct mf_backbone_ends, embedding), MF_PLAIN_EMBEDDING},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, norm_gain), MF_PLAIN_ATTN_NORM},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, qkv), MF_PLAIN_Q},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, k), MF_PLAIN_K},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, v), MF_PLAIN_V},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, qkv_bias), MF_PLAIN_Q_BIAS},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, k_bias), MF_PLAIN_K_BIAS},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, v_bias), MF_PLAIN_V_BIAS},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, q_norm), MF_PLAIN_Q_NORM},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, k_norm), MF_PLAIN_K_NORM},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, out), MF_PLAIN_O},
    {MF_TABLE_LAYER, offsetof(struct mf_backbone_layer, ffn_norm), MF_PLAIN_FFN_NORM},
    {MF_TABLE_ROUTER, offsetof(struct mf_router_layer, gate), MF_PLAIN_ROUTER},
    {MF_TABLE_FFN, offsetof(struct mf_ffn_layer, fc1), MF_PLAIN_GATE},
    {MF_TABLE_FFN, offsetof(struct mf_ffn_layer, fc2), MF_PLAIN_DOWN},
    {MF_TABLE_FFN, offsetof(struct mf_ffn_layer, up), MF_PLAIN_UP},
    {MF_TABLE_TAIL, offsetof(struct mf_backbone_ends, out_norm_gain), MF_PLAIN_OUT_NORM},
    {MF_TABLE_TAIL, offsetof(struct mf_backbone_ends, head), MF_PLAIN_HEAD},
};

static enum mf_plain_kind kind_of(enum mf_table table, size_t view) {
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (kinds[k].table == table && kinds[k].view == view) return kinds[k].kind;
    abort(); /* a tensor of family llama that is not in the list above */
}

static struct plain_entry *append(struct mf_plain *p) {
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 64;
        p->entries = reallocarray(p->entries, p->capacity, sizeof *p->entries);
        if (!p->entries) mf_no_memory();
    }
    return &p->entries[p->count++];
}

/* What the FFN's tensors are called in the file. */
static enum mf_ffn_role role_in_file(const struct mf_plain *p) {
    return mf_moe_model(p->moe) ? MF_FFN_MOE : MF_FFN_DENSE;
}

/* Adds the tensors of a table, each found in the file by its name there. */
static int add_table(struct mf_plain *p, enum mf_table table, size_t layer, size_t expert,
                     struct mf_err *err) {
    enum mf_ffn_role role = p->E ? MF_FFN_MOE : MF_FFN_DENSE;
    struct mf_tensor plain[MF_TABLE_MAX], source[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX];
    size_t n = mf_table_tensors(&p->shape, table, role, layer, expert, p->E, plain, view);
    mf_table_tensors(&p->moe->shape, table, role_in_file(p), layer, expert, p->E, source, view);
    for (size_t i = 0; i < n; i++) {
        const struct mf_tensor *s = &source[i];
        struct plain_entry *e = append(p);
        bool matrix = s->n_dims > 1;
        *e = (struct plain_entry){.tensor = plain[i],
                                  .role = {kind_of(table, view[i]), layer, expert},
                                  .rows = matrix ? s->shape[0] : 1,
                                  .columns = s->shape[matrix]};
        if (mf_weights_find(p->weights, s->name, s->shape[0], s->n_dims > 1 ? s->shape[1] : 0, &e->source,
                            err) < 0)
            return -1;
    }
    return 0;
}

static int add_layer(struct mf_plain *p, size_t layer, struct mf_err *err) {
    if (add_table(p, MF_TABLE_LAYER, layer, 0, err) < 0) return -1;
    if (p->E && add_table(p, MF_TABLE_ROUTER, layer, 0, err) < 0) return -1;
    for (size_t e = 0; e < (p->E ? p->E : 1); e++)
        if (add_table(p, MF_TABLE_FFN, layer, e, err) < 0) return -1;
    return 0;
}

int plain_list(struct mf_plain *p, struct mf_err *err) {
    if (add_table(p, MF_TABLE_HEAD, 0, 0, err) < 0) return -1;
    for (size_t i = 0; i < p->shape.L; i++)
        if (add_layer(p, i, err) < 0) return -1;
    return add_table(p, MF_TABLE_TAIL, 0, 0, err);
}
