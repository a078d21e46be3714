/* A model's tensors: the small ones in memory, and where in the files the matrices are. */
#include "model/moe_internal.h"

#include <stddef.h>
#include <string.h>
#include "base/strings.h"

/* --- tensors by the tables of model/tensors.h ---
 *
 * A table's small tensors are in memory, behind one another: its vectors, of the router's all. */

static bool is_small(enum mf_table table, const struct mf_tensor *t) {
    return t->n_dims == 1 || table == MF_TABLE_ROUTER;
}

/* A table's tensors; of a layer and an expert where it has some. */
struct list {
    enum mf_table table;
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX], count;
};

static struct list list_of(const struct mf_moe *m, enum mf_table table, enum mf_ffn_role role, size_t layer,
                           size_t expert) {
    struct list l = {.table = table};
    l.count = mf_table_tensors(&m->shape, table, role, layer, expert, m->router.n_experts, l.tensors, l.view);
    return l;
}

/* Takes memory for a table's small tensors, and puts where they are into its view. */
static void place(const struct mf_moe *m, enum mf_table table, struct mf_arena *a, void *view) {
    const struct list l = list_of(m, table, 0, 0, 0);
    size_t total = 0;
    for (size_t i = 0; i < l.count; i++)
        if (is_small(table, &l.tensors[i])) total += mf_tensor_count(&l.tensors[i]);
    float *at = mf_arena_floats(a, total);
    for (size_t i = 0; i < l.count && at; i++) {
        if (!is_small(table, &l.tensors[i])) continue;
        memcpy((char *)view + l.view[i], &at, sizeof at);
        at += mf_tensor_count(&l.tensors[i]);
    }
}

/* Gives a table's small tensors the memory that the view has for them; the others get none. */
static void point(struct list *l, const void *view) {
    for (size_t i = 0; i < l->count; i++)
        if (is_small(l->table, &l->tensors[i]))
            memcpy(&l->tensors[i].data, (const char *)view + l->view[i], sizeof l->tensors[i].data);
}

/* Reads one small tensor, and refuses numbers that are not finite: they would turn up as a NaN loss much
 * later. */
static int load(const struct mf_moe *m, const struct mf_tensor *t, struct mf_err *err) {
    size_t index, count = mf_tensor_count(t);
    if (mf_weights_find(m->file->weights, t->name, t->shape[0], t->n_dims > 1 ? t->shape[1] : 0, &index,
                        err) < 0)
        return -1;
    if (mf_weights_read(m->file->weights, index, 0, count, t->data, err) < 0) return -1;
    if (!mf_finite(t->data, count))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds a NaN or infinity", m->name, t->name);
    return 0;
}

/* Where a matrix is in the file. */
static int find(const struct mf_moe *m, const struct mf_tensor *t, size_t *index, struct mf_err *err) {
    return mf_weights_find(m->file->weights, t->name, t->shape[0], t->shape[1], index, err);
}

/* Reads a table's small tensors, and notes in its view where the matrices are. The router's noise weights may
 * be missing: then they are zero. */
static int read_table(struct mf_moe *m, struct list *l, void *view, struct mf_err *err) {
    point(l, view);
    for (size_t i = 0; i < l->count; i++) {
        const struct mf_tensor *t = &l->tensors[i];
        bool noise = l->table == MF_TABLE_ROUTER && l->view[i] == offsetof(struct mf_router_layer, noise);
        if (noise && !mf_weights_has(m->file->weights, t->name)) continue;
        if (t->data) {
            if (load(m, t, err) < 0) return -1;
            continue;
        }
        struct mf_matrix matrix = {.file = m->file->weights};
        if (find(m, t, &matrix.index, err) < 0) return -1;
        memcpy((char *)view + l->view[i], &matrix, sizeof matrix);
    }
    return 0;
}

/* --- memory --- */

/* What calibration sees of a layer. */
static struct mf_moe_layer layer_of(const struct moe_weights *w) {
    return (struct mf_moe_layer){
        .attn_gain = w->attention.norm_gain,
        .attn_bias = w->attention.norm_bias,
        .moe_gain = w->router.norm_gain ? w->router.norm_gain : w->attention.ffn_norm,
        .moe_bias = w->router.norm_bias,
        .gate = w->router.gate,
        .noise = w->router.noise,
    };
}

/* Sizes of everything that stays in memory; run twice (see base/arena.h). */
static void layout(struct mf_moe *m, bool single, bool token_scores) {
    struct mf_moe_file *f = m->file;
    const struct mf_shape *s = &m->shape;
    size_t E = m->router.n_experts;
    struct mf_arena *a = &f->arena;
    m->layers = mf_arena_take(a, s->L, sizeof *m->layers);
    moe_router_place(m, a);
    f->layers = mf_arena_take(a, s->L, sizeof *f->layers);
    place(m, MF_TABLE_TAIL, a, &f->ends);
    f->positions = mf_arena_floats(a, s->S * mf_layer_position_size(s));
    m->log_likelihood = token_scores ? mf_arena_floats(a, E * s->V) : NULL;
    for (size_t i = 0; i < s->L; i++) {
        struct moe_weights w = {0};
        place(m, MF_TABLE_LAYER, a, &w.attention);
        if (!single) place(m, MF_TABLE_ROUTER, a, &w.router);
        if (!single && (!a->base || !w.router.noise)) w.router.noise = mf_arena_floats(a, E * s->D);
        w.experts = mf_arena_take(a, E, sizeof *w.experts);
        w.chosen = mf_arena_take(a, f->own_attention ? E : 0, sizeof *w.chosen);
        for (size_t e = 0; e < E; e++) {
            struct mf_ffn_layer expert = {0};
            place(m, MF_TABLE_FFN, a, &expert);
            if (a->base) w.experts[e] = expert;
        }
        if (!a->base) continue;
        f->layers[i] = w;
        m->layers[i] = layer_of(&w);
    }
    m->out_gain = f->ends.out_norm_gain;
    m->out_bias = f->ends.out_norm_bias;
}

size_t moe_tensors_size(struct mf_moe *m, bool single, bool token_scores) {
    layout(m, single, token_scores);
    size_t bytes = m->file->arena.used;
    m->file->arena = (struct mf_arena){0};
    return bytes;
}

int moe_tensors_build(struct mf_moe *m, bool single, bool token_scores, struct mf_err *err) {
    if (mf_arena_init(&m->file->arena, moe_tensors_size(m, single, token_scores), err) < 0) return -1;
    layout(m, single, token_scores);
    moe_router_fill(m);
    return 0;
}

size_t moe_small_tensors(const struct mf_moe *m, size_t layer, struct mf_tensor tensors[MOE_SMALL]) {
    const struct moe_weights *w = &m->file->layers[layer];
    struct list lists[] = {list_of(m, MF_TABLE_LAYER, 0, layer, 0), list_of(m, MF_TABLE_ROUTER, 0, layer, 0),
                           list_of(m, MF_TABLE_TAIL, 0, 0, 0)};
    point(&lists[0], &w->attention);
    point(&lists[1], &w->router);
    point(&lists[2], &m->file->ends);
    size_t count = 0;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k].count; i++)
            if (lists[k].tensors[i].data) tensors[count++] = lists[k].tensors[i];
    return count;
}

int moe_load_backbone(struct mf_moe *m, bool single, struct mf_err *err) {
    struct mf_moe_file *f = m->file;
    struct list head = list_of(m, MF_TABLE_HEAD, 0, 0, 0), tail = list_of(m, MF_TABLE_TAIL, 0, 0, 0);
    if (find(m, &head.tensors[0], &f->embedding, err) < 0) return -1;
    f->head = f->embedding;
    point(&tail, &f->ends);
    for (size_t i = 0; i < tail.count; i++) /* norms, and the head where it is a matrix of its own */
        if ((tail.tensors[i].data ? load(m, &tail.tensors[i], err)
                                  : find(m, &tail.tensors[i], &f->head, err)) < 0)
            return -1;
    for (size_t i = 0; i < m->shape.L; i++) {
        struct list layer = list_of(m, MF_TABLE_LAYER, 0, i, 0),
                    router = list_of(m, MF_TABLE_ROUTER, 0, i, 0);
        if (read_table(m, &layer, &f->layers[i].attention, err) < 0) return -1;
        if (!single && read_table(m, &router, &f->layers[i].router, err) < 0) return -1;
    }
    return 0;
}

int moe_load_ffn(struct mf_moe *m, enum mf_ffn_role role, size_t e, struct mf_err *err) {
    for (size_t i = 0; i < m->shape.L; i++) {
        struct list ffn = list_of(m, MF_TABLE_FFN, role, i, e);
        if (read_table(m, &ffn, &m->file->layers[i].experts[e], err) < 0) return -1;
    }
    return 0;
}

int moe_load_scores(struct mf_moe *m, struct mf_err *err) {
    const struct mf_tensor scores = {.name = MOE_SCORES,
                                     .n_dims = 2,
                                     .shape = {m->router.n_experts, m->shape.V},
                                     .data = m->log_likelihood};
    return load(m, &scores, err);
}

size_t moe_largest_matrix(const struct mf_moe *m) {
    static const enum mf_table tables[] = {MF_TABLE_LAYER, MF_TABLE_FFN};
    size_t max = 0;
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
        const struct list l = list_of(m, tables[k], 0, 0, 0);
        for (size_t i = 0; i < l.count; i++)
            if (mf_tensor_bytes(&l.tensors[i]) > max) max = mf_tensor_bytes(&l.tensors[i]);
    }
    return mf_weights_cached_bytes(max);
}

int moe_check_last(const struct mf_moe *m, struct mf_err *err) {
    size_t index;
    struct list gate = list_of(m, MF_TABLE_ROUTER, 0, m->shape.L - 1, 0),
                ffn = list_of(m, MF_TABLE_FFN, MF_FFN_MOE, 0, m->router.n_experts - 1);
    for (size_t i = 0; i < gate.count; i++)
        if (gate.view[i] == offsetof(struct mf_router_layer, gate) &&
            find(m, &gate.tensors[i], &index, err) < 0)
            return -1;
    for (size_t i = 0; i < ffn.count; i++)
        if (ffn.tensors[i].n_dims > 1 && find(m, &ffn.tensors[i], &index, err) < 0) return -1;
    return 0;
}
