/* Every tensor of a model, once: its name, its shape, its initial values. */
#include <stddef.h>
#include "model/tensors_internal.h"

/* Behind the last one. */
#define END                                                                                                  \
    {                                                                                                        \
        .name = { NULL }                                                                                     \
    }

#define ENDS(field)   offsetof(struct mf_backbone_ends, field)
#define LAYER(field)  offsetof(struct mf_backbone_layer, field)
#define FFN(field)    offsetof(struct mf_ffn_layer, field)
#define ROUTER(field) offsetof(struct mf_router_layer, field)

/* clang-format off */
static const struct tensor_field
    reference_head[] = {
        {{"shared.token_embedding.weight"}, DIM_V, DIM_D, ENDS(embedding), EMBEDDING, ALWAYS}, END},
    reference_layer[] = {
        {{"shared.transformer_blocks.%zu.attn_norm.weight"}, DIM_D, DIM_NONE, LAYER(norm_gain), ONE, ALWAYS},
        {{"shared.transformer_blocks.%zu.attn_norm.bias"}, DIM_D, DIM_NONE, LAYER(norm_bias), ZERO, ALWAYS},
        {{"shared.transformer_blocks.%zu.attention.qkv_proj.weight"}, DIM_C, DIM_D, LAYER(qkv), XAVIER, ALWAYS},
        {{"shared.transformer_blocks.%zu.attention.out_proj.weight"}, DIM_D, DIM_A, LAYER(out), ZERO, ALWAYS}, END},
    reference_tail[] = {
        {{"shared.output_norm.weight"}, DIM_D, DIM_NONE, ENDS(out_norm_gain), ONE, ALWAYS},
        {{"shared.output_norm.bias"}, DIM_D, DIM_NONE, ENDS(out_norm_bias), ZERO, ALWAYS}, END},
    reference_ffn[] = { /* the temporary FFN's norm is the block's own */
        {{"shared.transformer_blocks.%zu.ffn_norm.weight", "layers.%zu.norm.weight",
          "moe_layers.%zu.experts.%zu.norm.weight"}, DIM_D, DIM_NONE, FFN(norm_gain), ONE, ALWAYS},
        {{"shared.transformer_blocks.%zu.ffn_norm.bias", "layers.%zu.norm.bias",
          "moe_layers.%zu.experts.%zu.norm.bias"}, DIM_D, DIM_NONE, FFN(norm_bias), ZERO, ALWAYS},
        {{"dense_ffn.%zu.fc1.weight", "layers.%zu.fc1.weight",
          "moe_layers.%zu.experts.%zu.fc1.weight"}, DIM_F, DIM_D, FFN(fc1), KAIMING, ALWAYS},
        {{"dense_ffn.%zu.fc1.bias", "layers.%zu.fc1.bias",
          "moe_layers.%zu.experts.%zu.fc1.bias"}, DIM_F, DIM_NONE, FFN(fc1_bias), ZERO, ALWAYS},
        {{"dense_ffn.%zu.fc2.weight", "layers.%zu.fc2.weight",
          "moe_layers.%zu.experts.%zu.fc2.weight"}, DIM_D, DIM_F, FFN(fc2), ZERO, ALWAYS},
        {{"dense_ffn.%zu.fc2.bias", "layers.%zu.fc2.bias",
          "moe_layers.%zu.experts.%zu.fc2.bias"}, DIM_D, DIM_NONE, FFN(fc2_bias), ZERO, ALWAYS}, END},
    reference_router[] = {
        {{"moe_layers.%zu.ffn_norm.weight"}, DIM_D, DIM_NONE, ROUTER(norm_gain), ONE, ALWAYS},
        {{"moe_layers.%zu.ffn_norm.bias"}, DIM_D, DIM_NONE, ROUTER(norm_bias), ZERO, ALWAYS},
        {{"moe_layers.%zu.router.gate.weight"}, DIM_E, DIM_D, ROUTER(gate), ZERO, ALWAYS},
        {{"moe_layers.%zu.router.noise_weight.weight"}, DIM_E, DIM_D, ROUTER(noise), ZERO, ALWAYS}, END};

static const struct tensor_field
    llama_head[] = {
        {{"model.embed_tokens.weight"}, DIM_V, DIM_D, ENDS(embedding), EMBEDDING, ALWAYS}, END},
    llama_layer[] = { /* q, k and v behind one another: in memory they are one matrix, and one bias */
        {{"model.layers.%zu.input_layernorm.weight"}, DIM_D, DIM_NONE, LAYER(norm_gain), ONE, ALWAYS},
        {{"model.layers.%zu.self_attn.q_proj.weight"}, DIM_A, DIM_D, LAYER(qkv), FAN_IN, ALWAYS},
        {{"model.layers.%zu.self_attn.k_proj.weight"}, DIM_KV, DIM_D, LAYER(k), FAN_IN, ALWAYS},
        {{"model.layers.%zu.self_attn.v_proj.weight"}, DIM_KV, DIM_D, LAYER(v), FAN_IN, ALWAYS},
        {{"model.layers.%zu.self_attn.q_proj.bias"}, DIM_A, DIM_NONE, LAYER(qkv_bias), ZERO, BIASED},
        {{"model.layers.%zu.self_attn.k_proj.bias"}, DIM_KV, DIM_NONE, LAYER(k_bias), ZERO, BIASED},
        {{"model.layers.%zu.self_attn.v_proj.bias"}, DIM_KV, DIM_NONE, LAYER(v_bias), ZERO, BIASED},
        {{"model.layers.%zu.self_attn.q_norm.weight"}, DIM_HEAD, DIM_NONE, LAYER(q_norm), ONE, NORMED},
        {{"model.layers.%zu.self_attn.k_norm.weight"}, DIM_HEAD, DIM_NONE, LAYER(k_norm), ONE, NORMED},
        {{"model.layers.%zu.self_attn.o_proj.weight"}, DIM_D, DIM_A, LAYER(out), ZERO, ALWAYS},
        {{"model.layers.%zu.post_attention_layernorm.weight"}, DIM_D, DIM_NONE, LAYER(ffn_norm), ONE, ALWAYS}, END},
    llama_tail[] = {
        {{"model.norm.weight"}, DIM_D, DIM_NONE, ENDS(out_norm_gain), ONE, ALWAYS},
        {{"lm_head.weight"}, DIM_V, DIM_D, ENDS(head), EMBEDDING, UNTIED}, END},
    llama_ffn[] = {
        {{"model.layers.%zu.mlp.gate_proj.weight", "model.layers.%zu.mlp.gate_proj.weight",
          "model.layers.%zu.block_sparse_moe.experts.%zu.w1.weight"}, DIM_F, DIM_D, FFN(fc1), FAN_IN, ALWAYS},
        {{"model.layers.%zu.mlp.down_proj.weight", "model.layers.%zu.mlp.down_proj.weight",
          "model.layers.%zu.block_sparse_moe.experts.%zu.w2.weight"}, DIM_D, DIM_F, FFN(fc2), ZERO, ALWAYS},
        {{"model.layers.%zu.mlp.up_proj.weight", "model.layers.%zu.mlp.up_proj.weight",
          "model.layers.%zu.block_sparse_moe.experts.%zu.w3.weight"}, DIM_F, DIM_D, FFN(up), FAN_IN, ALWAYS}, END},
    llama_router[] = {
        {{"model.layers.%zu.block_sparse_moe.gate.weight"}, DIM_E, DIM_D, ROUTER(gate), ZERO, ALWAYS}, END};
/* clang-format on */

static const struct tensor_field *const tables[][5] = {
    [MF_REFERENCE] = {reference_head, reference_layer, reference_tail, reference_ffn, reference_router},
    [MF_LLAMA] = {llama_head, llama_layer, llama_tail, llama_ffn, llama_router},
};

static bool has(const struct mf_shape *s, enum tensor_when when) {
    const bool of[] = {[ALWAYS] = true, [UNTIED] = s->untied, [BIASED] = s->qkv_bias, [NORMED] = s->qk_norm};
    return of[when];
}

/* `f`, or the next one that the shape has. */
static const struct tensor_field *present(const struct mf_shape *s, const struct tensor_field *f) {
    while (f->name[0] && !has(s, f->when)) f++;
    return f->name[0] ? f : NULL;
}

const struct tensor_field *tensor_field_first(const struct mf_shape *s, enum mf_table table) {
    return present(s, tables[s->arch][table]);
}

const struct tensor_field *tensor_field_next(const struct mf_shape *s, const struct tensor_field *f) {
    return present(s, f + 1);
}
