/* The trainable model's passes: embedding, the layers of model/layer.h in order, head; then in reverse.
 * lm_memory.c draws what is in which memory when. */
#include "model/lm_internal.h"

#include <stdlib.h>
#include "base/rng.h"
#include "nn/embedding.h"

/* Dropout where it happens: site 0 the embedding, then two a layer. */
static struct dropout dropout_at(const struct lm_pass *p, size_t site) {
    struct dropout dropout = p->dropout;
    dropout.key = mf_rng_at(dropout.key, site);
    return dropout;
}

/* The rows' embeddings. */
static void embed(const struct lm_pass *p) {
    struct mf_lm *lm = p->lm;
    const uint32_t *tokens = p->batch->tokens;
    const float *table = lm_rows_table(p, lm->y, lm_table_of(p, false), tokens);
    embedding_forward(lm->products.pool, lm->layers[0].attention.x, lm->plan.narrow ? lm->own : tokens,
                      &p->batch->seqs, table, mf_layer_turns(&lm->shape) ? NULL : lm->positions,
                      dropout_at(p, 0), lm->shape.D);
}

/* The layer with the anchor beside it, if there is one. */
static struct mf_layer layer_beside(const struct lm_pass *p, const struct lm_ffn_pair *pair) {
    struct mf_layer layer = p->layer;
    if (p->lm->plan.anchor) layer.anchor = &pair->anchor;
    return layer;
}

static void forward(const struct lm_pass *p) {
    struct mf_lm *lm = p->lm;
    embed(p);
    for (size_t i = 0; i < lm->shape.L; i++) {
        const struct lm_kept *k = &lm->layers[i];
        struct mf_backbone_layer backbone = lm_backbone_layer(p, i);
        const struct lm_ffn_pair ffn = lm_ffn_pair(p, &backbone, i);
        const struct mf_layer layer = layer_beside(p, &ffn);
        float *out = i + 1 < lm->shape.L ? lm->layers[i + 1].attention.x : lm->x;
        mf_layer_attention(&p->layer, i, &backbone, &k->attention, NULL, dropout_at(p, 1 + 2 * i), k->ffn.x,
                           NULL);
        mf_layer_ffn(&layer, i, &ffn.own, &k->ffn, dropout_at(p, 2 + 2 * i), out, NULL);
    }
}

/* dx, the gradient of the last layer's output, becomes that of the lowest layer's input; where the backbone
 * is frozen the backward ends with the lowest tensor that learns. */
static void backward(const struct lm_pass *p) {
    struct mf_lm *lm = p->lm;
    for (size_t i = lm->shape.L; i-- > 0;) {
        const struct lm_kept *k = &lm->layers[i];
        struct mf_backbone_layer backbone = lm_backbone_layer(p, i), dbackbone = lm_backbone_gradients(p, i);
        const struct lm_ffn_pair ffn = lm_ffn_pair(p, &backbone, i);
        const struct mf_ffn_layer dffn = lm_ffn_gradients(p, &dbackbone, i);
        struct mf_layer layer = layer_beside(p, &ffn);
        layer.recompute = i < lm->plan.recompute;
        layer.bottom = lm_lowest(lm, i);
        mf_layer_ffn_backward(&layer, &ffn.own, &dffn, &k->ffn, dropout_at(p, 2 + 2 * i), lm->x, lm->dx,
                              NULL);
        if (lm_lowest(lm, i)) break;
        layer.bottom = lm->plan.frozen && i == 0;
        mf_layer_attention_backward(&layer, &backbone, &dbackbone, &k->attention, dropout_at(p, 1 + 2 * i),
                                    lm->dx, NULL);
    }
}

static struct lm_pass pass_of(struct mf_lm *lm, const struct mf_lm_weights *w,
                              const struct mf_lm_batch *batch) {
    struct lm_pass p = {.lm = lm, .w = w, .batch = batch};
    p.N = seqs_rows(&batch->seqs);
    if (p.N > lm->plan.max_rows) abort();
    p.layer = (struct mf_layer){.shape = &lm->shape,
                                .products = lm->products,
                                .seqs = &batch->seqs,
                                .positions = lm->positions,
                                .h = lm->h,
                                .y = lm->y,
                                .wide = lm->wide,
                                .scratch = lm->y, /* free where attention is made */
                                .sums = lm->sums,
                                .rank = lm->plan.low_rank.R,
                                .change = mf_low_rank_scale(&lm->plan.low_rank),
                                .low = lm->low,
                                .anchor_pre = lm->anchor_pre};
    return p;
}

double mf_lm_loss(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch) {
    struct lm_pass p = pass_of(lm, w, batch);
    forward(&p);
    return lm_head(&p, 0);
}

void mf_lm_norms(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_batch *batch,
                 mf_norm_hook *hook, void *context) {
    struct lm_pass p = pass_of(lm, w, batch);
    p.layer.hook = hook;
    p.layer.context = context;
    forward(&p);
    lm_output_norm(&p);
}

double mf_lm_backward(struct mf_lm *lm, const struct mf_lm_weights *w, const struct mf_lm_weights *grad,
                      const struct mf_lm_batch *batch, struct dropout dropout, float scale) {
    struct lm_pass p = pass_of(lm, w, batch);
    float *dembedding = mf_backbone_ends(&lm->shape, grad->backbone).embedding;
    p.grad = grad;
    p.dropout = dropout;
    forward(&p);
    double loss = lm_head(&p, scale);
    backward(&p);
    if (dembedding)
        embedding_backward(lm->products.pool, dembedding, lm->dx, batch->tokens, &batch->seqs,
                           dropout_at(&p, 0), lm->plan.pad, lm->shape.D);
    return loss;
}
