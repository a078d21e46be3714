/* The whole file: architecture, keys, then the tensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "export/gguf_file_internal.h"
#include "io/safetensors.h"

/* --- architecture --- */

static const struct gguf_arch llama = {"llama", true}, qwen3 = {"qwen3", false},
                              qwen3moe = {"qwen3moe", false};

static int unknown(const struct mf_plain *p, const char *what, struct mf_err *err) {
    return mf_err_set(err, EX_DATAERR, "%s: llama.cpp has no architecture with norms of queries and keys %s",
                      mf_plain_name(p), what);
}

/* The expert's weights are the softmax over the chosen in `llama` and `qwen3moe`. */
int gguf_arch_of(const struct mf_plain *p, const struct gguf_arch **arch, struct mf_err *err) {
    const struct mf_shape *s = mf_plain_shape(p);
    if (s->qk_norm && s->qkv_bias) return unknown(p, "beside biases of theirs", err);
    if (s->qk_norm && s->stretch.factor != 0) return unknown(p, "and rope_scaling of type llama3", err);
    *arch = !s->qk_norm ? &llama : mf_plain_experts(p) ? &qwen3moe : &qwen3;
    return 0;
}

/* --- keys --- */

/* llama.cpp's number of what most tensors are. */
static uint32_t file_type(enum mf_gguf_type type) {
    switch (type) {
    case MF_GGUF_F32:
        return 0;
    case MF_GGUF_F16:
        return 1;
    case MF_GGUF_Q4_0:
        return 2;
    case MF_GGUF_Q8_0:
        return 7;
    case MF_GGUF_BF16:
        return 32;
    }
    abort();
}

static void put_general(const struct mf_gguf_file *f, const struct gguf_arch *arch,
                        struct mf_gguf_keys *keys) {
    mf_gguf_put_string(keys, "general.architecture", arch->name);
    mf_gguf_put_string(keys, "general.type", "model");
    mf_gguf_put_string(keys, "general.name", f->name);
    mf_gguf_put_u32(keys, "general.alignment", 32);
    mf_gguf_put_u32(keys, "general.file_type", file_type(f->type));
    mf_gguf_put_u32(keys, "general.quantization_version", 2);
}

/* Keys of the architecture, which begin with its name. */
static const char *key_of(char text[80], const struct gguf_arch *arch, const char *key) {
    snprintf(text, 80, "%s.%s", arch->name, key);
    return text;
}

static void put_dimensions(const struct mf_gguf_file *f, const struct gguf_arch *arch,
                           struct mf_gguf_keys *keys) {
    const struct mf_shape *s = mf_plain_shape(f->plain);
    const size_t E = mf_plain_experts(f->plain);
    const struct {
        const char *key;
        size_t value;
        bool absent;
    } sizes[] = {{"context_length", s->S, false},
                 {"embedding_length", s->D, false},
                 {"block_count", s->L, false},
                 {"feed_forward_length", s->F, false},
                 {"vocab_size", s->V, false},
                 {"attention.head_count", s->H, false},
                 {"attention.head_count_kv", s->K, false},
                 {"attention.key_length", s->d, false},
                 {"attention.value_length", s->d, false},
                 {"rope.dimension_count", s->d, false},
                 {"expert_count", E, E == 0},
                 {"expert_used_count", E ? mf_plain_top_k(f->plain) : 0, E == 0},
                 {"expert_feed_forward_length", s->F, arch != &qwen3moe}};
    char key[80];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!sizes[i].absent)
            mf_gguf_put_u32(keys, key_of(key, arch, sizes[i].key), (uint32_t)sizes[i].value);
    mf_gguf_put_float(keys, key_of(key, arch, "attention.layer_norm_rms_epsilon"), (float)s->norm_eps);
    mf_gguf_put_float(keys, key_of(key, arch, "rope.freq_base"), (float)s->rope_theta);
}

/* Where the numbers come from: every component's hash. */
static void put_origin(const struct mf_gguf_file *f, struct mf_gguf_keys *keys) {
    static const char *const kept[] = {"tokenizer_sha256", "shared_sha256", "base", "experts", "ffn"};
    char key[64];
    mf_gguf_put_string(keys, "modularforge.version", f->version);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *text = json_string_value(json_object_get(mf_plain_metadata(f->plain), kept[i]));
        snprintf(key, sizeof key, "modularforge.%s", kept[i]);
        if (text) mf_gguf_put_string(keys, key, text);
    }
}

static int put_keys(const struct mf_gguf_file *f, const struct gguf_arch *arch, struct mf_gguf_keys *keys,
                    struct mf_err *err) {
    put_general(f, arch, keys);
    put_dimensions(f, arch, keys);
    if (gguf_tokenizer(f, keys, err) < 0) return -1;
    put_origin(f, keys);
    return 0;
}

/* --- the file --- */

static int write_header(struct mf_gguf_file *f, struct gguf_list *list, const struct mf_gguf_keys *keys,
                        struct mf_out *out, struct mf_err *err) {
    struct mf_gguf_tensor *tensors = calloc(list->count, sizeof *tensors);
    if (!tensors) mf_no_memory();
    for (size_t i = 0; i < list->count; i++) tensors[i] = list->entries[i].tensor;
    int result = mf_gguf_header(out, keys, tensors, list->count, err);
    for (size_t i = 0; i < list->count; i++) {
        list->entries[i].tensor = tensors[i];
        f->bytes += tensors[i].bytes;
    }
    f->tensors = list->count;
    free(tensors);
    return result;
}

static int write_file(struct mf_gguf_file *f, const struct gguf_arch *arch, const struct mf_gguf_keys *keys,
                      struct mf_err *err) {
    struct gguf_list list;
    struct mf_out *out;
    if (mf_out_open(&out, f->path, err) < 0) return -1;
    gguf_list_make(&list, f, arch);
    int result = write_header(f, &list, keys, out, err);
    if (result == 0) result = gguf_tensors(f, &list, out, err);
    gguf_list_free(&list);
    return mf_out_end(out, result, err);
}

int mf_gguf_file_write(struct mf_gguf_file *f, struct mf_err *err) {
    const struct gguf_arch *arch;
    struct mf_gguf_keys keys = {0};
    if (gguf_arch_of(f->plain, &arch, err) < 0) return -1;
    int result = put_keys(f, arch, &keys, err);
    if (result == 0) result = write_file(f, arch, &keys, err);
    mf_gguf_keys_free(&keys);
    return result;
}
