/* Where a model's heads of experts are: in an assembled model's file beside the backbone's, each by its
 * expert's number. */
#include <stdlib.h>
#include "model/moe_head_internal.h"

/* The rank of expert e's head by the tensors in the file; 0: it has none. */
static int rank_of(const struct mf_moe *m, const struct mf_safetensors *st, size_t e, size_t *R,
                   struct mf_err *err) {
    const struct mf_shape *s = &m->shape;
    struct mf_tensor whole[MF_HEAD_TENSORS], factors[MF_HEAD_TENSORS];
    mf_head_tensors(s, s->D, (int64_t)e, NULL, whole);
    *R = mf_safetensors_find(st, whole[0].name) >= 0 ? s->D : 0;
    if (*R || s->D == 1) return 0;
    mf_head_tensors(s, 1, (int64_t)e, NULL, factors);
    int64_t at = mf_safetensors_find(st, factors[0].name);
    if (at < 0) return 0;
    *R = mf_safetensors_tensor(st, (size_t)at)->shape[0];
    if (*R >= 1 && *R < s->D) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: tensor %s has %zu rows, must have 1 to %zu", m->name,
                      factors[0].name, *R, s->D - 1);
}

int moe_heads_list(struct mf_moe *m, const struct mf_safetensors *st, struct mf_err *err) {
    size_t E = m->router.n_experts, R;
    m->file->heads.of = calloc(E, sizeof *m->file->heads.of);
    if (!m->file->heads.of) return mf_err_set(err, EX_OSERR, "%s: out of memory", m->name);
    m->file->heads.all_whole = true;
    for (size_t e = 0; e < E; e++) {
        if (rank_of(m, st, e, &R, err) < 0) return -1;
        bool whole = R > 0 && mf_head_whole(&m->shape, R);
        m->file->heads.of[e] = (struct moe_head){.columns = R, .whole = whole};
        m->file->heads.any_whole |= whole;
        m->file->heads.all_whole &= whole;
        if (R > m->file->heads.columns) m->file->heads.columns = R;
    }
    return 0;
}

int moe_heads_find(struct mf_moe *m, struct mf_err *err) {
    for (size_t e = 0; e < m->router.n_experts && m->file->heads.columns; e++) {
        struct moe_head *head = &m->file->heads.of[e];
        struct mf_tensor t[MF_HEAD_TENSORS];
        size_t n = mf_head_tensors(&m->shape, head->columns, (int64_t)e, NULL, t), at[MF_HEAD_TENSORS] = {0};
        for (size_t i = 0; i < n; i++)
            if (mf_weights_find(m->file->weights, t[i].name, t[i].shape[0], t[i].shape[1], &at[i], err) < 0)
                return -1;
        head->a = at[0];
        head->b = n ? at[n - 1] : 0;
    }
    return 0;
}
