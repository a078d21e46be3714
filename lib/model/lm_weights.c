/* The parameters of a pass: in flat arrays, or frozen and each anywhere, those in bf16 widened where they are
 * used, unless products take them as they are. */
#include "model/lm_internal.h"

struct widening {
    float *to;
    const uint16_t *from;
};

static void widen_part(void *context, size_t begin, size_t end, int thread) {
    const struct widening *w = context;
    (void)thread;
    mf_bf16_widen(w->to + begin, w->from + begin, end - begin);
}

/* Widens n tensors in bf16, one behind the other. */
static float *widen(const struct lm_pass *p, float *to, const struct mf_tensor *tensors, size_t n) {
    for (size_t i = 0, at = 0; i < n; i++) {
        struct widening w = {to + at, tensors[i].data};
        mf_pool_run(p->lm->products.pool, mf_tensor_count(&tensors[i]), 64, widen_part, &w);
        at += mf_tensor_count(&tensors[i]);
    }
    return to;
}

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
    if (lm->narrow_products) {
        mf_table_point_narrow(&lm->shape, MF_TABLE_LAYER, frozen_layer(p, i), lm->widened, &view);
        return view;
    }
    if (lm->plan.narrow)
        return mf_backbone_layer_view(&lm->shape, widen(p, lm->widened, frozen_layer(p, i), lm->n_layer));
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
    if (lm->narrow_products)
        mf_table_point_narrow(&lm->shape, MF_TABLE_FFN, frozen_ffn(p, i), lm->widened_ffn, &view);
    else if (lm->plan.narrow)
        view = mf_ffn_layer(&lm->shape, widen(p, lm->widened_ffn, frozen_ffn(p, i), lm->n_ffn), 0);
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
        widen(p, lm->tail, frozen_layer(p, s->L), size / s->D);
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
