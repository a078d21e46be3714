/* A GGUF file's tensors by llama.cpp's names, and their rows: those of queries and keys back in Hugging
 * Face's order, blocks of Q8_0 widened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "export/quant.h"
#include "import/base_internal.h"

/* Hugging Face's names of a layer's tensors, and GGUF's. */
static const char *const layer_names[][2] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.down_proj", "ffn_down"},
    {"mlp.up_proj", "ffn_up"},
};

/* A tensor's name in the file: "blk.3.attn_q.weight" of "model.layers.3.self_attn.q_proj.weight". */
static void name_there(const char *name, char there[MF_GGUF_NAME + 1]) {
    static const char layers[] = "model.layers.";
    char *rest;
    const char *end = strrchr(name, '.'); /* ".weight", ".bias" */
    static const char *const ends[][2] = {{"model.embed_tokens.weight", "token_embd.weight"},
                                          {"model.norm.weight", "output_norm.weight"},
                                          {"lm_head.weight", "output.weight"}};
    *there = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(name, ends[i][0]) == 0) snprintf(there, MF_GGUF_NAME + 1, "%s", ends[i][1]);
    if (strncmp(name, layers, sizeof layers - 1) != 0) return;
    size_t layer = strtoul(name + sizeof layers - 1, &rest, 10);
    for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
        size_t n = strlen(layer_names[i][0]);
        if (rest + 1 + n == end && strncmp(rest + 1, layer_names[i][0], n) == 0)
            snprintf(there, MF_GGUF_NAME + 1, "blk.%zu.%s%s", layer, layer_names[i][1], end);
    }
}

/* What the bundle stores it as: Q8_0's numbers do not fit into halves. */
static int dtype_of(uint32_t type, enum mf_dtype *dtype) {
    if (type != MF_GGUF_F32 && type != MF_GGUF_F16 && type != MF_GGUF_BF16 && type != MF_GGUF_Q8_0) return -1;
    *dtype = type == MF_GGUF_F16 ? MF_F16 : type == MF_GGUF_BF16 ? MF_BF16 : MF_F32;
    return 0;
}

static bool is_turned(const struct mf_base *b, const char *name) {
    bool proj = strstr(name, "self_attn.q_proj.") || strstr(name, "self_attn.k_proj.");
    return proj && strncmp(b->class, "llama", 5) == 0;
}

static int find_tensor(struct mf_base *b, size_t i, struct mf_err *err) {
    struct mf_tensor *t = &b->tensors[i];
    char name[MF_GGUF_NAME + 1], have[64], want[64];
    name_there(t->name, name);
    int64_t at = mf_gguf_find_tensor(b->gguf, name);
    if (at < 0) return base_refuse(b, err, "missing tensor %s", name);
    const struct mf_gguf_tensor *there = mf_gguf_tensor(b->gguf, (size_t)at);
    bool same = there->n_dims == t->n_dims;
    for (int d = 0; d < t->n_dims && same; d++) same = there->shape[d] == t->shape[d];
    if (!same)
        return base_refuse(b, err, "tensor %s has shape %s, not %s", name, mf_gguf_shape(there, have),
                           mf_tensor_shape(t, want));
    if (dtype_of(there->type, &t->dtype) < 0)
        return base_refuse(b, err, "tensor %s is %s, not F32, F16, BF16 or Q8_0", name,
                           mf_gguf_block(there->type)->name);
    b->places[i] = (struct base_place){
        .there = true, .index = (size_t)at, .head = is_turned(b, t->name) ? b->shape.d : 0};
    return 0;
}

/* The name of a tensor of the file that is none of the bundle's. */
static const char *find_other(const struct mf_base *b) {
    bool *taken = calloc(mf_gguf_tensor_count(b->gguf) + 1, sizeof *taken);
    const char *other = NULL;
    for (size_t i = 0; taken && i + 1 < b->count; i++) taken[b->places[i].index] = true;
    for (size_t k = 0; taken && k < mf_gguf_tensor_count(b->gguf) && !other; k++) {
        const char *name = mf_gguf_tensor(b->gguf, k)->name;
        if (!taken[k] && strcmp(name, "rope_freqs.weight") != 0) other = name;
    }
    free(taken);
    return other;
}

int base_find_tensors(struct mf_base *b, struct mf_err *err) {
    for (size_t i = 0; i + 1 < b->count; i++)
        if (find_tensor(b, i, err) < 0) return -1;
    const char *other = find_other(b);
    return other ? base_refuse(b, err, "tensor %s is none of a %s", other, b->class) : 0;
}

/* --- rows --- */

/* In the file neighbours turn together; here the first halves come first. */
static size_t row_there(size_t row, size_t d) {
    size_t in_head = row % d;
    return row - in_head + (in_head < d / 2 ? 2 * in_head : 2 * (in_head - d / 2) + 1);
}

/* A vector is one row: its numbers change their order. */
static void turn_vector(void *to, const void *from, size_t n, size_t width, size_t d) {
    for (size_t i = 0; i < n; i++)
        memcpy((char *)to + i * width, (const char *)from + row_there(i, d) * width, width);
}

int base_gguf_rows(const struct mf_base *b, size_t i, size_t first, void *buffer, void *raw, size_t *size,
                   struct mf_err *err) {
    const struct mf_tensor *t = &b->tensors[i];
    const struct base_place *p = &b->places[i];
    const struct mf_gguf_tensor *there = mf_gguf_tensor(b->gguf, p->index);
    size_t columns = t->shape[t->n_dims - 1], rows = t->n_dims > 1 ? t->shape[0] : 1,
           row = columns * mf_dtype_size(t->dtype), stored = (size_t)there->bytes / rows,
           n = row < BASE_BLOCK ? BASE_BLOCK / row : 1;
    bool turned = p->head && t->n_dims > 1, widened = there->type == MF_GGUF_Q8_0;
    char *to = widened || (p->head && !turned) ? raw : buffer;
    if (n > rows - first) n = rows - first;
    for (size_t k = 0, step = turned ? 1 : n; k < n; k += step) {
        size_t from = turned ? row_there(first + k, p->head) : first + k;
        if (mf_gguf_read(b->gguf, p->index, from * stored, to + k * stored, step * stored, err) < 0)
            return -1;
    }
    if (widened) mf_quant_widen(buffer, raw, n * columns, there->type);
    if (p->head && !turned) turn_vector(buffer, raw, columns, mf_dtype_size(t->dtype), p->head);
    *size = n * row;
    return 0;
}
