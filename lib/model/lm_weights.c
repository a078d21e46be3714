/* The parameters of a pass: in flat arrays, or frozen and each anywhere; of those in bf16 matrices stay as
 * they are, and vectors are widened where they are used. */
#include "model/lm_internal.h"

/* The tensors that lie apart, from a layer's first one of the backbone on (L: the tail's), or of the FFN. */
static const struct mf_tensor *frozen_layer(const struct lm_pass *p, size_t i) {
    return p->w->frozen + p->lm->n_head + i * p->lm->n_layer;
}

static const struct mf_tensor *frozen_ffn(const struct lm_pass *p, size_t i) {
    return p->w->frozen + p->lm->n_backbone + i * p->lm->n_ffn;
}

/* As the backbone has it. */
static struct mf_backbone_layer backbone_layer(const struct lm_pass *p, size_t i) {
    struct mf_lm *lm = p->lm;
    struct mf_backbone_layer view = {0};
    if (p->w->backbone) return mf_backbone_layer(&lm->shape, p->w->backbone, i);
    if (lm->plan.narrow)
        mf_table_point_narrow(&lm->shape, MF_TABLE_LAYER, frozen_layer(p, i), lm->vectors, &view);
    else
        mf_table_point(&lm->shape, MF_TABLE_LAYER, frozen_layer(p, i), &view);
    return view;
}

struct mf_backbone_layer lm_backbone_layer(const struct lm_pass *p, size_t i) {
    struct mf_backbone_layer view = backbone_layer(p, i);
    if (p->w->attention) mf_attention_layer(&p->lm->shape, p->w->attention, i, &view);
    return view;
}

struct mf_backbone_layer lm_backbone_gradients(const struct lm_pass *p, size_t i) {
    struct mf_backbone_layer view = mf_backbone_layer(&p->lm->shape, p->grad->backbone, i);
    if (p->grad->attention) mf_attention_layer(&p->lm->shape, p->grad->attention, i, &view);
    return view;
}

/* The FFN's parameters that lie apart, with the norm of its backbone layer where it has none of its own;
 * those widened stay until the next layer's. */
static struct mf_ffn_layer frozen_ffn_layer(const struct lm_pass *p, const struct mf_backbone_layer *backbone,
                                            size_t i) {
    struct mf_lm *lm = p->lm;
    struct mf_ffn_layer view = {0};
    if (lm->plan.narrow)
        mf_table_point_narrow(&lm->shape, MF_TABLE_FFN, frozen_ffn(p, i), lm->ffn_vectors, &view);
    else
        mf_table_point(&lm->shape, MF_TABLE_FFN, frozen_ffn(p, i), &view);
    if (!view.norm_gain) view.norm_gain = backbone->ffn_norm;
    return view;
}

struct lm_ffn_pair lm_ffn_pair(const struct lm_pass *p, const struct mf_backbone_layer *backbone, size_t i) {
    const struct mf_lm *lm = p->lm;
    struct lm_ffn_pair pair = {0};
    if (!p->w->ffn || lm->plan.anchor) pair.anchor = pair.own = frozen_ffn_layer(p, backbone, i);
    if (p->w->ffn) pair.own = mf_ffn_layer(&lm->shape, p->w->ffn, i);
    mf_changes_layer(&lm->shape, lm->plan.low_rank.R, p->w->changes, i, &pair.own);
    if (!pair.own.norm_gain) pair.own.norm_gain = backbone->ffn_norm;
    return pair;
}

struct mf_ffn_layer lm_ffn_gradients(const struct lm_pass *p, const struct mf_backbone_layer *dbackbone,
                                     size_t i) {
    const struct mf_shape *s = &p->lm->shape;
    struct mf_ffn_layer view = mf_ffn_layer(s, p->grad->ffn, i);
    mf_changes_layer(s, p->lm->plan.low_rank.R, p->grad->changes, i, &view);
    if (!view.norm_gain) view.norm_gain = dbackbone->ffn_norm;
    return view;
}

struct mf_backbone_ends lm_backbone_ends(const struct lm_pass *p) {
    struct mf_lm *lm = p->lm;
    const struct mf_shape *s = &lm->shape;
    struct mf_backbone_ends view = {0};
    size_t size = mf_backbone_norm_size(s);
    if (p->w->backbone) return mf_backbone_ends(s, p->w->backbone);
    if (lm->plan.narrow) {
        for (size_t i = 0; i < size / s->D; i++)
            mf_bf16_widen(lm->tail + i * s->D, frozen_layer(p, s->L)[i].data, s->D);
        return (struct mf_backbone_ends){.out_norm_gain = lm->tail,
                                         .out_norm_bias = size > s->D ? lm->tail + s->D : NULL};
    }
    mf_table_point(s, MF_TABLE_HEAD, p->w->frozen, &view);
    mf_table_point(s, MF_TABLE_TAIL, frozen_layer(p, s->L), &view);
    return view;
}

struct weight lm_table_of(const struct lm_pass *p, bool head) {
    const struct mf_shape *s = &p->lm->shape;
    if (p->w->backbone)
        return (struct weight){p->w->backbone + (head ? mf_backbone_head_offset(s) : 0), NULL};
    const struct mf_tensor *t = p->w->frozen + (head && s->untied ? p->lm->n_backbone - 1 : 0);
    return p->lm->plan.narrow ? (struct weight){NULL, t->data} : (struct weight){t->data, NULL};
}

const float *lm_rows_table(const struct lm_pass *p, float *widened, struct weight table,
                           const uint32_t *ids) {
    size_t D = p->lm->shape.D;
    if (table.rows) return table.rows;
    for (size_t n = 0; n < p->N; n++)
        if (ids[n] != LOSS_IGNORE) mf_bf16_widen(widened + n * D, table.narrow + ids[n] * D, D);
    return widened;
}
