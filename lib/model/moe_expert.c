/* One expert of a layer: the rows that chose it through its FFN, and the way back. */
#include <string.h>
#include "model/moe_internal.h"
#include "nn/vector.h"

static struct mf_layer layer_of(const struct mf_moe *m, const struct mf_moe_work *w) {
    return (struct mf_layer){
        .shape = &m->shape, .products = w->products, .h = w->in, .y = w->out, .wide = w->mid};
}

int moe_expert(struct mf_moe *m, struct mf_moe_work *w, size_t layer, size_t e, const float *from,
               struct mf_err *err) {
    const struct mf_ffn_layer *x = &m->file->layers[layer].experts[e];
    const struct mf_layer c = layer_of(m, w);
    const struct mf_ffn_kept k = {.x = w->in, .pre = w->mid};
    struct moe_slots slots = {.top_k = m->router.top_k, .most = moe_expert_rows(w->max_rows)};
    while (moe_next_slots(w, e, &slots)) {
        moe_gather(w->products.pool, &slots, w->in, from, m->shape.D);
        if (mf_layer_expert(&c, x, &k, slots.n, err) < 0) return -1;
        moe_scatter(w->products.pool, &slots, w->x, w->out, m->shape.D, w->weights, x->fc2_bias);
    }
    return 0;
}

struct job {
    const struct mf_moe_work *w;
    const struct moe_expert_back *b;
    const struct moe_slots *slots;
    const float *bias;
    size_t D;
};

/* With y = FFN(h) and x += weight * y:  dweight = dx . y, and dy = weight * dx, in y's place. */
static void weigh_back(void *context, size_t begin, size_t end, int thread) {
    const struct job *j = context;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        size_t slot = j->slots->of[i];
        const float *dx = j->b->dx + slot / j->slots->top_k * j->D;
        float *y = j->w->out + i * j->D;
        double bias = j->bias ? vector_dot(dx, j->bias, j->D) : 0;
        j->b->dweights[slot] = (float)(vector_dot(dx, y, j->D) + bias);
        memcpy(y, dx, j->D * sizeof *y);
        vector_scale(y, j->w->weights[slot], j->D);
    }
}

int moe_expert_backward(struct mf_moe *m, struct mf_moe_work *w, size_t layer, size_t e,
                        const struct moe_expert_back *b, struct mf_err *err) {
    const struct mf_ffn_layer *x = &m->file->layers[layer].experts[e], frozen = {0};
    const struct mf_layer c = layer_of(m, w);
    struct moe_slots slots = {.top_k = m->router.top_k, .most = b->most};
    size_t D = m->shape.D;
    while (moe_next_slots(w, e, &slots)) {
        moe_gather(w->products.pool, &slots, b->kept.x, w->h, D);
        if (mf_layer_expert(&c, x, &b->kept, slots.n, err) < 0) return -1;
        mf_pool_run(w->products.pool, slots.n, 1, weigh_back, &(struct job){w, b, &slots, x->fc2_bias, D});
        if (!b->dh) continue;
        memset(w->in, 0, slots.n * D * sizeof *w->in);
        if (mf_layer_expert_backward(&c, x, &frozen, &b->kept, w->out, w->in, slots.n, err) < 0) return -1;
        moe_scatter(w->products.pool, &slots, b->dh, w->in, D, NULL, NULL);
    }
    return 0;
}
