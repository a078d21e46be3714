/* config.json: the model's dimensions by the names of transformers. */
#include "export/hf_internal.h"
#include "io/json_file.h"
#include "model/rope_scaling.h"

bool hf_is_qwen3_moe(const struct mf_plain *p) {
    return mf_plain_experts(p) > 0 && mf_plain_shape(p)->qk_norm;
}

int hf_class_of(const struct mf_plain *p, const struct hf_class **class, struct mf_err *err) {
    static const struct hf_class llama = {"LlamaForCausalLM", "llama"}, qwen2 = {"Qwen2ForCausalLM", "qwen2"},
                                 qwen3 = {"Qwen3ForCausalLM", "qwen3"},
                                 mixtral = {"MixtralForCausalLM", "mixtral"},
                                 qwen3_moe = {"Qwen3MoeForCausalLM", "qwen3_moe"};
    const struct mf_shape *s = mf_plain_shape(p);
    bool sparse = mf_plain_experts(p) > 0;
    if (sparse && s->qkv_bias)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: MixtralForCausalLM has no biases of queries: export the dense model, or to GGUF",
            mf_plain_name(p));
    if (s->qk_norm && s->qkv_bias)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: no class of transformers has norms of queries and keys beside biases of theirs",
            mf_plain_name(p));
    if (sparse)
        *class = hf_is_qwen3_moe(p) ? &qwen3_moe : &mixtral;
    else
        *class = s->qk_norm ? &qwen3 : s->qkv_bias ? &qwen2 : &llama;
    return 0;
}

static json_t *id_json(int64_t id) {
    return id < 0 ? json_null() : json_integer((json_int_t)id);
}

static void set_ids(json_t *object, const struct mf_specials *s) {
    json_object_set_new(object, "bos_token_id", id_json(s->bos));
    json_object_set_new(object, "eos_token_id", id_json(s->eos));
    json_object_set_new(object, "pad_token_id", id_json(s->pad));
}

static void set_dimensions(json_t *config, const struct mf_shape *s) {
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {{"vocab_size", s->V},
                 {"hidden_size", s->D},
                 {"intermediate_size", s->F},
                 {"num_hidden_layers", s->L},
                 {"num_attention_heads", s->H},
                 {"num_key_value_heads", s->K},
                 {"head_dim", s->d},
                 {"max_position_embeddings", s->S}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        json_object_set_new(config, sizes[i].key, json_integer((json_int_t)sizes[i].value));
    json_object_set_new(config, "rms_norm_eps", json_real(s->norm_eps));
    json_object_set_new(config, "rope_theta", json_real(s->rope_theta));
    json_object_set_new(config, "rope_scaling",
                        s->stretch.factor != 0 ? mf_rope_scaling_json(&s->stretch) : json_null());
    json_object_set_new(config, "tie_word_embeddings", json_boolean(!s->untied));
}

/* Mixtral weighs the chosen experts by a softmax over them. Qwen3Moe does so with norm_topk_prob; its layers
 * are sparse each decoder_sparse_step unless they are in mlp_only_layers. */
static void set_experts(json_t *config, const struct mf_plain *p) {
    bool qwen3_moe = hf_is_qwen3_moe(p);
    json_object_set_new(config, qwen3_moe ? "num_experts" : "num_local_experts",
                        json_integer((json_int_t)mf_plain_experts(p)));
    if (qwen3_moe) {
        json_object_set_new(config, "moe_intermediate_size", json_integer((json_int_t)mf_plain_shape(p)->F));
        json_object_set_new(config, "norm_topk_prob", json_true());
        json_object_set_new(config, "decoder_sparse_step", json_integer(1));
        json_object_set_new(config, "mlp_only_layers", json_array());
    }
    json_object_set_new(config, "num_experts_per_tok", json_integer((json_int_t)mf_plain_top_k(p)));
    json_object_set_new(config, "output_router_logits", json_false());
}

/* What numbers a program should compute with: where the router needs exact ones, F32 whatever the file has.
 */
static const char *dtype_name(const struct mf_hf *hf) {
    if (hf->type == MF_F32 || mf_plain_exact(hf->plain)) return "float32";
    return hf->type == MF_BF16 ? "bfloat16" : "float16";
}

static json_t *config_of(const struct mf_hf *hf, const struct hf_class *class) {
    json_t *config = json_pack("{s[s],ss}", "architectures", class->name, "model_type", class->model_type);
    set_dimensions(config, mf_plain_shape(hf->plain));
    if (mf_plain_experts(hf->plain)) set_experts(config, hf->plain);
    json_object_set_new(config, "hidden_act", json_string("silu"));
    json_object_set_new(config, "sliding_window", json_null());
    if (class->model_type[0] == 'q') json_object_set_new(config, "use_sliding_window", json_false());
    if (class->model_type[0] == 'l') json_object_set_new(config, "mlp_bias", json_false());
    if (class->model_type[0] == 'l') json_object_set_new(config, "attention_bias", json_false());
    json_object_set_new(config, "torch_dtype", json_string(dtype_name(hf)));
    set_ids(config, mf_plain_specials(hf->plain));
    json_object_set_new(config, HF_MARK, json_string(hf->version));
    return config;
}

int hf_config(const struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err) {
    const struct hf_class *class;
    if (hf_class_of(hf->plain, &class, err) < 0) return -1;
    json_t *generation = json_object();
    set_ids(generation, mf_plain_specials(hf->plain));
    if (mf_json_write(mf_folder_file(folder, "generation_config.json"), generation, JSON_INDENT(2), err) < 0)
        return -1;
    return mf_json_write(mf_folder_file(folder, "config.json"), config_of(hf, class), JSON_INDENT(2), err);
}
