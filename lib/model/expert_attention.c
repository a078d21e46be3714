/* The tensors of an expert's own attention. */
#include "model/expert_attention.h"

#include <stdio.h>
#include <string.h>

static size_t matrix_size(const struct mf_shape *s) {
    return s->H * s->d * s->D;
}

size_t mf_attention_size(const struct mf_shape *s) {
    return MF_ATTENTION_TENSORS * s->L * matrix_size(s);
}

static void name_tensor(char name[MF_TENSOR_NAME], size_t layer, int64_t expert, const char *part) {
    if (expert < 0)
        snprintf(name, MF_TENSOR_NAME, "model.layers.%zu.self_attn.%s", layer, part);
    else
        snprintf(name, MF_TENSOR_NAME, "model.layers.%zu.self_attn.experts.%lld.%s", layer, (long long)expert,
                 part);
}

void mf_attention_tensors(const struct mf_shape *s, size_t layer, int64_t expert, float *base,
                          struct mf_tensor tensors[MF_ATTENTION_TENSORS]) {
    size_t A = s->H * s->d;
    float *at = base ? base + MF_ATTENTION_TENSORS * layer * matrix_size(s) : NULL;
    tensors[0] = (struct mf_tensor){.n_dims = 2, .shape = {A, s->D}, .data = at};
    tensors[1] = (struct mf_tensor){.n_dims = 2, .shape = {s->D, A}, .data = at ? at + matrix_size(s) : NULL};
    name_tensor(tensors[0].name, layer, expert, "q_proj.weight");
    name_tensor(tensors[1].name, layer, expert, "o_proj.weight");
}

size_t mf_attention_all_tensors(const struct mf_shape *s, int64_t expert, float *base,
                                struct mf_tensor *tensors) {
    for (size_t i = 0; i < s->L && tensors; i++)
        mf_attention_tensors(s, i, expert, base, tensors + MF_ATTENTION_TENSORS * i);
    return MF_ATTENTION_TENSORS * s->L;
}

bool mf_attention_is(const char *name) {
    const char *part = strstr(name, ".self_attn.");
    return part && strncmp(name, "model.layers.", 13) == 0 &&
           (strcmp(part, ".self_attn.q_proj.weight") == 0 || strcmp(part, ".self_attn.o_proj.weight") == 0);
}

void mf_attention_layer(const struct mf_shape *s, float *base, size_t layer, struct mf_backbone_layer *view) {
    float *at = base + MF_ATTENTION_TENSORS * layer * matrix_size(s);
    view->q = (struct mf_matrix){.data = at};
    view->out = (struct mf_matrix){.data = at + matrix_size(s)};
}

void mf_attention_put(bool own, json_t *manifest) {
    if (own) json_object_set_new(manifest, "attention", json_string("qo"));
}

int mf_attention_parse(bool *own, const json_t *manifest, const struct mf_shape *s, const char *name,
                       struct mf_err *err) {
    const json_t *value = json_object_get(manifest, "attention");
    const char *text = json_string_value(value);
    *own = text && strcmp(text, "qo") == 0 && s->arch == MF_LLAMA;
    if (!value || *own) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: attention must be \"qo\", of family llama", name);
}
