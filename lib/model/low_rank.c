/* The factors follow from the table of the FFN's tensors. */
#include "model/low_rank.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "base/strings.h"

#define ALPHA_MAX 1e6

float mf_low_rank_scale(const struct mf_low_rank *l) {
    return l->R ? (float)(l->alpha / (double)l->R) : 0;
}

int mf_low_rank_check(const struct mf_low_rank *l, const struct mf_shape *s, int status, const char *before,
                      struct mf_err *err) {
    size_t max = s->D < s->F ? s->D : s->F;
    if (l->R > max)
        return mf_err_set(err, status, "%srank is %zu, must be at most %zu, as d_model %zu and d_ff %zu are",
                          before, l->R, max, s->D, s->F);
    if (l->R && !(l->alpha > 0 && l->alpha <= ALPHA_MAX))
        return mf_err_set(err, status, "%salpha must be a number above 0, up to %g", before, ALPHA_MAX);
    return 0;
}

void mf_low_rank_put(const struct mf_low_rank *l, json_t *manifest) {
    if (!l->R) return;
    json_object_set_new(manifest, "rank", json_integer((json_int_t)l->R));
    json_object_set_new(manifest, "alpha", json_real(l->alpha));
}

int mf_low_rank_parse(struct mf_low_rank *l, const json_t *manifest, const struct mf_shape *s,
                      const char *name, struct mf_err *err) {
    const json_t *rank = json_object_get(manifest, "rank");
    *l = (struct mf_low_rank){0};
    if (!rank) return 0;
    if (!json_is_integer(rank) || json_integer_value(rank) < 1)
        return mf_err_set(err, EX_DATAERR, "%s: rank must be an integer above 0", name);
    l->R = (size_t)json_integer_value(rank);
    l->alpha = json_number_value(json_object_get(manifest, "alpha"));
    char *before = mf_format("%s: ", name);
    int status = mf_low_rank_check(l, s, EX_DATAERR, before, err);
    free(before);
    return status;
}

/* A layer's matrices among the tensors of its FFN; returns their number. */
static size_t matrices(const struct mf_shape *s, size_t layer, struct mf_tensor tensors[MF_TABLE_MAX],
                       size_t view[MF_TABLE_MAX]) {
    size_t found = 0, n = mf_table_tensors(s, MF_TABLE_FFN, MF_FFN_EXPERT, layer, 0, 0, tensors, view);
    for (size_t i = 0; i < n; i++) {
        if (tensors[i].n_dims < 2) continue;
        tensors[found] = tensors[i];
        view[found++] = view[i];
    }
    return found;
}

static size_t factors(const struct mf_tensor *matrix, size_t R) {
    return R * (matrix->shape[0] + matrix->shape[1]);
}

static size_t layer_size(const struct mf_shape *s, size_t R) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX], total = 0;
    for (size_t i = 0, n = matrices(s, 0, tensors, view); i < n; i++) total += factors(&tensors[i], R);
    return total;
}

size_t mf_changes_size(const struct mf_shape *s, size_t R) {
    return s->L * layer_size(s, R);
}

void mf_changes_layer(const struct mf_shape *s, size_t R, float *base, size_t layer,
                      struct mf_ffn_layer *ffn) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX];
    if (!base) return;
    float *at = base + layer * layer_size(s, R);
    for (size_t i = 0, n = matrices(s, 0, tensors, view); i < n; i++) {
        struct mf_matrix *matrix = (struct mf_matrix *)(void *)((char *)ffn + view[i]);
        matrix->a = at;
        matrix->b = at + R * tensors[i].shape[1];
        at += factors(&tensors[i], R);
    }
}

/* The name's "weight" becomes "lora_A.weight" or "lora_B.weight". */
static struct mf_tensor factor(const struct mf_tensor *matrix, size_t R, bool b) {
    struct mf_tensor t = *matrix;
    size_t stem = strlen(t.name) - strlen("weight");
    snprintf(t.name + stem, sizeof t.name - stem, "lora_%c.weight", b ? 'B' : 'A');
    t.shape[b ? 1 : 0] = R;
    return t;
}

size_t mf_changes_tensors(const struct mf_shape *s, size_t R, float *base, struct mf_tensor *to) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX], count = 0;
    for (size_t layer = 0; layer < s->L; layer++)
        for (size_t i = 0, n = matrices(s, layer, tensors, view); i < 2 * n; i++, count++) {
            if (!to) continue;
            to[count] = factor(&tensors[i / 2], R, i % 2);
            to[count].data = base;
            if (base) base += mf_tensor_count(&to[count]);
        }
    return count;
}

void mf_changes_init(const struct mf_shape *s, size_t R, float *changes, uint64_t seed) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX], n = matrices(s, 0, tensors, view);
    struct mf_rng rng;
    mf_rng_seed(&rng, mf_rng_key(seed, "low rank", 0));
    memset(changes, 0, mf_changes_size(s, R) * sizeof *changes);
    for (size_t layer = 0; layer < s->L; layer++)
        for (size_t i = 0; i < n; i++) {
            size_t columns = tensors[i].shape[1];
            for (size_t k = 0; k < R * columns; k++)
                changes[k] = (float)(mf_rng_normal(&rng) / sqrt((double)columns));
            changes += factors(&tensors[i], R);
        }
}
