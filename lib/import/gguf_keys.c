/* The keys of a GGUF file of llama.cpp: architecture, dimensions, special tokens. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "import/base_internal.h"
#include "io/utf8.h"
#include "nn/rope.h"

/* llama.cpp's architectures that this project has; of `llama` neighbours turn together. */
static const struct arch {
    const char *name, *class;
    bool neighbours, qkv_bias, qk_norm;
} archs[] = {
    {"llama", "llama (GGUF)", true, false, false},
    {"qwen2", "qwen2 (GGUF)", false, true, false},
    {"qwen3", "qwen3 (GGUF)", false, false, true},
};

struct reading {
    struct mf_base *base;
    const struct arch *arch;
    struct mf_err *err;
};

/* --- keys --- */

static int take_value(void *context, const json_t *value, struct mf_err *err) {
    (void)err;
    *(json_t **)context = json_deep_copy(value);
    return 0;
}

/* A key's single value, new; NULL where there is none. EX_IOERR; EX_DATAERR: a list. */
static int value_of(const struct reading *r, const char *name, json_t **value) {
    int64_t i = mf_gguf_find_key(r->base->gguf, name);
    const struct mf_gguf_key *key = i < 0 ? NULL : mf_gguf_key(r->base->gguf, (size_t)i);
    *value = NULL;
    if (key && key->list) return base_refuse(r->base, r->err, "%s is a list, not one value", name);
    return key ? mf_gguf_values(r->base->gguf, key, 1, take_value, value, r->err) : 0;
}

struct arch_name {
    char text[96];
};

/* "ARCH.KEY" */
static struct arch_name arch_name(const struct reading *r, const char *key) {
    struct arch_name name;
    snprintf(name.text, sizeof name.text, "%s.%s", r->arch->name, key);
    return name;
}

static int arch_value(const struct reading *r, const char *key, json_t **value) {
    return value_of(r, arch_name(r, key).text, value);
}

/* A whole number; `fallback` where there is none. */
static int whole_of(const struct reading *r, const char *name, int64_t fallback, int64_t *to) {
    json_t *value;
    if (value_of(r, name, &value) < 0) return -1;
    bool whole = !value || json_is_integer(value);
    *to = value ? json_integer_value(value) : fallback;
    json_decref(value);
    return whole ? 0 : base_refuse(r->base, r->err, "%s must be a whole number", name);
}

static int arch_whole(const struct reading *r, const char *key, int64_t fallback, int64_t *to) {
    return whole_of(r, arch_name(r, key).text, fallback, to);
}

static int read_size(const struct reading *r, const char *key, int64_t fallback, size_t *to) {
    int64_t n;
    if (arch_whole(r, key, fallback, &n) < 0) return -1;
    if (n < 1)
        return base_refuse(r->base, r->err, "%s.%s must be a whole number above 0", r->arch->name, key);
    *to = (size_t)n;
    return 0;
}

/* A number that was a decimal fraction before it became a float: the shortest that rounds to it. */
static int read_real(const struct reading *r, const char *key, double fallback, double *to) {
    json_t *value;
    char text[MF_REAL_TEXT];
    if (arch_value(r, key, &value) < 0) return -1;
    double wide = value ? json_number_value(value) : fallback;
    bool bad = value ? !json_is_number(value) : isnan(fallback);
    json_decref(value);
    if (bad) return base_refuse(r->base, r->err, "%s.%s must be a number", r->arch->name, key);
    mf_real_text(text, wide, true);
    *to = strtod(text, NULL);
    return 0;
}

static bool has_tensor(const struct mf_base *b, const char *name) {
    return mf_gguf_find_tensor(b->gguf, name) >= 0;
}

/* --- architecture and dimensions --- */

static int find_arch(struct reading *r) {
    json_t *value;
    if (value_of(r, "general.architecture", &value) < 0) return -1;
    const char *name = json_string_value(value);
    int status = 0;
    for (size_t i = 0; name && i < sizeof archs / sizeof *archs; i++)
        if (strcmp(archs[i].name, name) == 0) r->arch = &archs[i];
    if (!r->arch)
        status = base_refuse(r->base, r->err, "is of architecture '%.40s', not llama, qwen2 or qwen3",
                             name ? name : "?");
    json_decref(value);
    return status;
}

static int check_experts(const struct reading *r) {
    int64_t experts;
    if (arch_whole(r, "expert_count", 0, &experts) < 0) return -1;
    return experts > 0 ? base_refuse(r->base, r->err, "has experts already, a base is one dense model") : 0;
}

static int check_scaling(const struct reading *r) {
    json_t *scaling;
    if (arch_value(r, "rope.scaling.type", &scaling) < 0) return -1;
    const char *type = json_string_value(scaling);
    int status = 0;
    if (scaling && (!type || strcmp(type, "none") != 0))
        status = base_refuse(r->base, r->err, "has positions of type '%.40s' (rope.scaling.type)",
                             type ? type : "?");
    json_decref(scaling);
    return status;
}

static int check_window(const struct reading *r) {
    int64_t width;
    if (arch_whole(r, "attention.sliding_window", 0, &width) < 0) return -1;
    if (width <= 0 || (size_t)width >= r->base->shape.S) return 0;
    return base_refuse(r->base, r->err,
                       "attends to %lld tokens (sliding_window), fewer than the context of %zu: take "
                       "--context %lld",
                       (long long)width, r->base->shape.S, (long long)width);
}

/* What the family does not have. */
static int check_absent(const struct reading *r) {
    return check_experts(r) < 0 || check_scaling(r) < 0 || check_window(r) < 0 ? -1 : 0;
}

static int read_dimensions(const struct reading *r, size_t context) {
    struct mf_shape *s = &r->base->shape;
    size_t max, turned, values;
    int64_t at = mf_gguf_find_tensor(r->base->gguf, "token_embd.weight");
    if (at < 0) return base_refuse(r->base, r->err, "missing tensor token_embd.weight");
    s->V = (size_t)mf_gguf_tensor(r->base->gguf, (size_t)at)->shape[0];
    if (read_size(r, "embedding_length", 0, &s->D) < 0 || read_size(r, "feed_forward_length", 0, &s->F) < 0 ||
        read_size(r, "block_count", 0, &s->L) < 0 || read_size(r, "attention.head_count", 0, &s->H) < 0 ||
        read_size(r, "attention.head_count_kv", (int64_t)s->H, &s->K) < 0 ||
        read_size(r, "attention.key_length", (int64_t)(s->D / s->H), &s->d) < 0 ||
        read_size(r, "attention.value_length", (int64_t)s->d, &values) < 0 ||
        read_size(r, "rope.dimension_count", (int64_t)s->d, &turned) < 0 ||
        read_size(r, "context_length", 0, &max) < 0)
        return -1;
    if (turned != s->d || values != s->d)
        return base_refuse(r->base, r->err,
                           "heads of %zu columns with values of %zu, of which %zu turn: these must be equal",
                           s->d, values, turned);
    s->qk_norm = r->arch->qk_norm;
    s->qkv_bias = r->arch->qkv_bias || has_tensor(r->base, "blk.0.attn_q.bias");
    s->untied = has_tensor(r->base, "output.weight");
    if (read_real(r, "attention.layer_norm_rms_epsilon", NAN, &s->norm_eps) < 0 ||
        read_real(r, "rope.freq_base", 10000, &s->rope_theta) < 0)
        return -1;
    return base_context(r->base, context, max > INT32_MAX ? INT32_MAX : (int64_t)max, r->err);
}

/* --- stretched positions --- */

/* The file has what each frequency is divided by. Of the rules that there are it is Llama 3's with its usual
 * numbers, or none that is known. */
static int read_stretch(const struct reading *r) {
    struct mf_shape *s = &r->base->shape;
    struct rope_stretch rule = {0, 1, 4, 8192};
    float divisors[MF_HEAD_MAX / 2];
    double plain[MF_HEAD_MAX / 2], stretched[MF_HEAD_MAX / 2];
    int64_t at = mf_gguf_find_tensor(r->base->gguf, "rope_freqs.weight");
    if (at < 0) return 0;
    const struct mf_gguf_tensor *t = mf_gguf_tensor(r->base->gguf, (size_t)at);
    if (t->type != MF_GGUF_F32 || t->count != s->d / 2)
        return base_refuse(r->base, r->err, "tensor rope_freqs.weight is not F32 [%zu]", s->d / 2);
    if (mf_gguf_read(r->base->gguf, (size_t)at, 0, divisors, s->d / 2 * sizeof *divisors, r->err) < 0)
        return -1;
    for (size_t i = 0; i < s->d / 2; i++) rule.factor = fmax(rule.factor, (double)divisors[i]);
    bool known = rule.factor >= 1 && rule.factor <= 1e9;
    rope_frequencies(plain, s->d, s->rope_theta);
    rope_frequencies(stretched, s->d, s->rope_theta);
    if (known) rope_stretch(stretched, s->d, &rule);
    for (size_t i = 0; i < s->d / 2; i++)
        known = known && fabs(plain[i] / stretched[i] / (double)divisors[i] - 1) < 1e-5;
    if (!known)
        return base_refuse(r->base, r->err,
                           "rope_freqs.weight stretches positions by a rule that is not Llama 3's: take the "
                           "Hugging Face folder");
    if (rule.factor > 1) s->stretch = rule;
    return 0;
}

static int read_name(const struct reading *r) {
    struct mf_base *b = r->base;
    json_t *name;
    if (value_of(r, "general.name", &name) < 0) return -1;
    if (json_is_string(name))
        mf_utf8_line(b->name, sizeof b->name, json_string_value(name), json_string_length(name));
    json_decref(name);
    return 0;
}

int base_read_keys(struct mf_base *b, size_t context, struct mf_err *err) {
    struct reading r = {b, NULL, err};
    if (find_arch(&r) < 0) return -1;
    b->class = r.arch->class;
    if (read_name(&r) < 0 || read_dimensions(&r, context) < 0 || check_absent(&r) < 0) return -1;
    if (mf_shape_check(&b->shape, b->path, err) < 0) return -1;
    if (whole_of(&r, "tokenizer.ggml.bos_token_id", b->bos, &b->bos) < 0 ||
        whole_of(&r, "tokenizer.ggml.eos_token_id", b->eos, &b->eos) < 0)
        return -1;
    return read_stretch(&r);
}
