/* An expert of low rank alone: the dense FFN, and the head, with its changes added, matrix by matrix as the
 * weights are read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/moe_internal.h"

/* A matrix that is being read, with its change. */
struct merging {
    const struct mf_moe *m;
    size_t matrix, at; /* in the weights; numbers read so far */
    struct low_rank change;
};

static int read_merged(void *from, void *buffer, size_t bytes, struct mf_err *err) {
    struct merging *g = from;
    size_t count = bytes / sizeof(float);
    if (mf_weights_read(g->m->file->weights, g->matrix, g->at, count, buffer, err) < 0) return -1;
    low_rank_add(buffer, g->at, count, &g->change);
    g->at += count;
    return 0;
}

/* A factor's numbers; new memory. */
static int read_factor(const struct mf_moe *m, const struct mf_tensor *t, float **data, struct mf_err *err) {
    size_t index;
    const struct mf_weights *w = m->file->weights;
    if (mf_weights_find(w, t->name, t->shape[0], t->shape[1], &index, err) < 0) return -1;
    *data = malloc(mf_tensor_bytes(t));
    if (!*data) return mf_err_set(err, EX_OSERR, "%s: no memory for tensor %s", m->name, t->name);
    return mf_weights_read(w, index, 0, mf_tensor_count(t), *data, err);
}

/* One matrix, and its two factors; their sum is called `name`. */
static int merge(struct mf_moe *m, const struct mf_tensor *matrix, const struct mf_tensor *factors,
                 float scale, const char *name, struct mf_err *err) {
    float *a = NULL, *b = NULL;
    struct merging g = {.m = m};
    struct mf_tensor sum = *matrix;
    size_t O = matrix->shape[0], I = matrix->shape[1];
    int status = mf_weights_find(m->file->weights, matrix->name, O, I, &g.matrix, err);
    if (status == 0) status = read_factor(m, &factors[0], &a, err);
    if (status == 0) status = read_factor(m, &factors[1], &b, err);
    snprintf(sum.name, sizeof sum.name, "%s", name);
    g.change = (struct low_rank){a, b, I, factors[0].shape[0], O, I, scale};
    if (status == 0) status = mf_weights_add(m->file->weights, &sum, read_merged, &g, err);
    free(a);
    free(b);
    return status;
}

int moe_merge_changes(struct mf_moe *m, const struct mf_low_rank *l, struct mf_err *err) {
    const struct mf_shape *s = &m->shape;
    size_t n = mf_ffn_tensors(s, MF_FFN_DENSE, 0, NULL, NULL),
           count = mf_changes_tensors(s, l->R, NULL, NULL);
    struct mf_tensor *tensors = calloc(n + count, sizeof *tensors), *factors;
    if (!tensors) return mf_err_set(err, EX_OSERR, "%s: out of memory", m->name);
    factors = tensors + n;
    mf_ffn_tensors(s, MF_FFN_DENSE, 0, NULL, tensors);
    mf_changes_tensors(s, l->R, NULL, factors);
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i++) {
        if (tensors[i].n_dims < 2) continue;
        status = merge(m, &tensors[i], factors, mf_low_rank_scale(l), tensors[i].name, err);
        factors += 2;
    }
    free(tensors);
    return status;
}

int moe_merge_head(struct mf_moe *m, size_t R, struct mf_err *err) {
    const struct mf_shape *s = &m->shape;
    struct mf_tensor own[MF_HEAD_TENSORS], whole[MF_HEAD_TENSORS], shared[MF_TABLE_MAX];
    mf_table_tensors(s, MF_TABLE_HEAD, 0, 0, 0, 0, shared, NULL);
    if (s->untied) snprintf(shared[0].name, sizeof shared[0].name, "%s", mf_head_name(s));
    mf_head_tensors(s, s->D, -1, NULL, whole);
    if (mf_head_tensors(s, R, -1, NULL, own) == 2 && merge(m, &shared[0], own, 1, whole[0].name, err) < 0)
        return -1;
    m->shape.untied |= s->arch == MF_LLAMA;
    return mf_weights_find(m->file->weights, whole[0].name, s->V, s->D, &m->file->head, err);
}
