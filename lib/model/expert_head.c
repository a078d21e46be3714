/* The tensors of an expert's own head. */
#include "model/expert_head.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"

bool mf_head_whole(const struct mf_shape *s, size_t R) {
    return R == s->D;
}

size_t mf_head_size(const struct mf_shape *s, size_t R) {
    return mf_head_whole(s, R) ? s->V * s->D : R * (s->V + s->D);
}

static void name_tensor(char name[MF_TENSOR_NAME], int64_t expert, const char *part) {
    if (expert < 0)
        snprintf(name, MF_TENSOR_NAME, "lm_head.%s", part);
    else
        snprintf(name, MF_TENSOR_NAME, "lm_head.experts.%lld.%s", (long long)expert, part);
}

size_t mf_head_tensors(const struct mf_shape *s, size_t R, int64_t expert, float *base,
                       struct mf_tensor tensors[MF_HEAD_TENSORS]) {
    if (R == 0) return 0;
    if (mf_head_whole(s, R)) {
        tensors[0] = (struct mf_tensor){.n_dims = 2, .shape = {s->V, s->D}, .data = base};
        name_tensor(tensors[0].name, expert, "weight");
        return 1;
    }
    tensors[0] = (struct mf_tensor){.n_dims = 2, .shape = {R, s->D}, .data = base};
    tensors[1] = (struct mf_tensor){.n_dims = 2, .shape = {s->V, R}, .data = base ? base + R * s->D : NULL};
    name_tensor(tensors[0].name, expert, "lora_A.weight");
    name_tensor(tensors[1].name, expert, "lora_B.weight");
    return 2;
}

bool mf_head_is(const char *name) {
    return strcmp(name, "lm_head.weight") == 0 || strcmp(name, "lm_head.lora_A.weight") == 0 ||
           strcmp(name, "lm_head.lora_B.weight") == 0;
}

struct low_rank mf_head_change(const struct mf_shape *s, size_t R, float *head) {
    if (!head || mf_head_whole(s, R)) return (struct low_rank){0};
    return (struct low_rank){head, head + R * s->D, s->D, R, s->V, s->D, 1};
}

void mf_head_init(const struct mf_shape *s, size_t R, float *head, uint64_t seed) {
    struct mf_rng rng;
    mf_rng_seed(&rng, mf_rng_key(seed, "head", 0));
    for (size_t i = 0; i < R * s->D; i++) head[i] = (float)(mf_rng_normal(&rng) / sqrt((double)s->D));
    memset(head + R * s->D, 0, s->V * R * sizeof *head);
}

void mf_head_put(size_t R, json_t *manifest) {
    if (R) json_object_set_new(manifest, "head", json_integer((json_int_t)R));
}

int mf_head_parse(size_t *R, const json_t *manifest, const struct mf_shape *s, const char *name,
                  struct mf_err *err) {
    const json_t *rank = json_object_get(manifest, "head");
    *R = 0;
    if (!rank) return 0;
    if (!json_is_integer(rank) || json_integer_value(rank) < 1 || json_integer_value(rank) > (json_int_t)s->D)
        return mf_err_set(err, EX_DATAERR, "%s: head must be a rank from 1 to d_model %zu", name, s->D);
    *R = (size_t)json_integer_value(rank);
    return 0;
}
