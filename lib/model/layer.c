/* What a layer's family decides: its norms, and what positions are made of. layer_attention.c and layer_ffn.c
 * are the two halves that use it. */
#include "model/layer.h"

#include "nn/embedding.h"
#include "nn/layernorm.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"

static void layer_norm(const struct mf_layer *c, float *y, const struct mf_norm *n, size_t N) {
    layernorm_forward(c->products.pool, y, n->mean, n->rstd, n->x, n->gain, n->bias, N, c->shape->D);
}

/* dx += the gradient of n->x, of dy. */
static void layer_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                                float *dbias, const float *dy, size_t N) {
    layernorm_backward(c->products.pool, dx, dgain, dbias, dy, n->x, n->gain, n->mean, n->rstd, c->sums, N,
                       c->shape->D);
}

static void rms_norm(const struct mf_layer *c, float *y, const struct mf_norm *n, size_t N) {
    rmsnorm_forward(c->products.pool, y, n->rstd, n->x, n->gain, (float)c->shape->norm_eps, N, c->shape->D);
}

static void rms_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                              float *dbias, const float *dy, size_t N) {
    (void)dbias;
    rmsnorm_backward(c->products.pool, dx, dgain, dy, n->x, n->gain, n->rstd, c->sums, N, c->shape->D);
}

static const struct family {
    void (*norm)(const struct mf_layer *c, float *y, const struct mf_norm *n, size_t N);
    void (*norm_backward)(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                          float *dbias, const float *dy, size_t N);
    bool turns; /* queries and keys by their positions */
} families[] = {
    [MF_REFERENCE] = {layer_norm, layer_norm_backward, false},
    [MF_LLAMA] = {rms_norm, rms_norm_backward, true},
};

static const struct family *family(const struct mf_layer *c) {
    return &families[c->shape->arch];
}

bool mf_layer_turns(const struct mf_shape *s) {
    return families[s->arch].turns;
}

size_t mf_layer_position_size(const struct mf_shape *s) {
    return mf_layer_turns(s) ? mf_shape_heads(s).d : s->D;
}

void mf_layer_positions(const struct mf_shape *s, float *rows, size_t first, size_t count) {
    double frequencies[MF_HEAD_MAX / 2];
    if (mf_layer_turns(s)) {
        rope_frequencies(frequencies, s->d, s->rope_theta);
        if (s->stretch.factor != 0) rope_stretch(frequencies, s->d, &s->stretch);
        rope_fill(rows, frequencies, first, count, s->d);
    } else
        positions_fill(rows, first, count, s->D, s->position_scale);
}

void mf_layer_norm(const struct mf_layer *c, size_t site, const struct mf_norm *n, size_t N) {
    if (c->hook) {
        family(c)->norm(c, c->h, &(struct mf_norm){.x = n->x}, N);
        c->hook(c->context, site, c->h, N);
    }
    if (!c->hook || n->gain) family(c)->norm(c, c->h, n, N);
}

void mf_layer_norm_backward(const struct mf_layer *c, float *dx, const struct mf_norm *n, float *dgain,
                            float *dbias, const float *dy, size_t N) {
    family(c)->norm_backward(c, dx, n, dgain, dbias, dy, N);
}
