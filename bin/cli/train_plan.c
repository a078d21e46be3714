/* What a configuration asks of a training: the model's shape, what an expert learns, the precision and the
 * memory. */
#include "cli/train_session.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "cli/precision.h"

int mf_train_shape(const struct mf_config *config, size_t V, struct mf_shape *shape, struct mf_err *err) {
    *shape = (struct mf_shape){.V = V,
                               .D = (size_t)config->model.d_model,
                               .H = (size_t)config->model.n_heads,
                               .L = (size_t)config->model.n_layers,
                               .F = (size_t)config->model.d_ff,
                               .S = (size_t)config->model.context,
                               .arch = (enum mf_arch)config->model.arch};
    if (shape->arch == MF_REFERENCE) shape->position_scale = config->model.position_std * sqrt(2);
    if (shape->arch == MF_LLAMA) {
        int64_t K = config->model.n_kv_heads, d = config->model.head_dim;
        shape->K = K ? (size_t)K : shape->H;
        shape->d = d ? (size_t)d : shape->D / shape->H;
        shape->rope_theta = config->model.rope_theta;
        shape->norm_eps = config->model.norm_eps;
        shape->qkv_bias = config->model.qkv_bias;
        shape->qk_norm = config->model.qk_norm;
        shape->untied = !config->model.tied;
    }
    return mf_shape_check(shape, "config", err);
}

static struct mf_low_rank low_rank_of(const struct mf_config *c) {
    size_t R = (size_t)c->expert.rank;
    return (struct mf_low_rank){R, c->expert.alpha > 0 ? c->expert.alpha : 2 * (double)R};
}

static int head_of(const struct mf_config *c, const struct mf_shape *shape, size_t *R, struct mf_err *err) {
    int64_t rank = c->expert.head;
    *R = rank == MF_HEAD_FULL ? shape->D : (size_t)rank;
    if (rank < (int64_t)shape->D) return 0;
    return mf_err_set(err, EX_CONFIG, "config: expert.head is %lld, must be below d_model %zu, or full",
                      (long long)rank, shape->D);
}

/* What an expert of that shape learns by the configuration, and beside what. */
static int set_expert(struct mf_training *t, const struct mf_config *c, struct mf_err *err) {
    t->low_rank = low_rank_of(c);
    t->anchor = c->expert.anchor;
    t->attention = c->expert.train == MF_LEARN_FFN_QO;
    if (t->attention && t->shape.arch != MF_LLAMA)
        return mf_err_set(err, EX_CONFIG,
                          "config: expert.train is ffn+qo, which only family llama has (model.arch)");
    if (mf_low_rank_check(&t->low_rank, &t->shape, EX_CONFIG, "config: expert.", err) < 0) return -1;
    return head_of(c, &t->shape, &t->head, err);
}

/* The shape of the bundle's model, and whether it is stored in BF16. */
static int look_into(const char *path, struct mf_training *t, struct mf_err *err) {
    struct mf_component shared;
    if (mf_component_open(&shared, path, "shared", err) < 0) return -1;
    t->shape = shared.shape;
    t->stored_bf16 = mf_component_is_bf16(&shared);
    mf_component_close(&shared);
    return 0;
}

int mf_train_forecast(const struct mf_config *config, bool frozen, const char *shared, int n_threads,
                      size_t *bytes, struct mf_err *err) {
    const struct mf_data any = {.fd = -1};
    struct mf_training t = {.frozen = frozen, .validation = &any};
    t.config = frozen ? &config->train_expert : &config->train_shared;
    t.bf16 = mf_precision_bf16(config->train.precision);
    int status = shared ? look_into(shared, &t, err)
                        : mf_train_shape(config, (size_t)config->tokenizer.vocab_size, &t.shape, err);
    if (status < 0) return -1;
    if (frozen && set_expert(&t, config, err) < 0) return -1;
    if (mf_train_plan(&t, 0, n_threads, err) < 0) return -1;
    *bytes = t.memory.total;
    return 0;
}

/* `auto` keeps what the training that is resumed began with. */
static int precision_of(const struct mf_train_session *s, bool resume) {
    int setting = s->config.train.precision;
    const char *kept = NULL;
    if (setting != MF_PRECISION_AUTO || !resume || !s->checkpoint) return setting;
    json_t *identity = mf_checkpoint_identity(s->checkpoint);
    json_unpack(identity, "{s{s{ss}}}", "settings", "train", "precision", &kept);
    if (kept) setting = strcmp(kept, "bf16") == 0 ? MF_PRECISION_BF16 : MF_PRECISION_FP32;
    json_decref(identity);
    return setting;
}

/* `auto` is fp32 where bf16 does not fit into the limit; that is found before oneDNN is loaded. */
static int plan(struct mf_train_session *s, int precision, size_t limit, struct mf_err *err) {
    struct mf_training *t = &s->training;
    int n_threads = (int)s->common->threads;
    t->bf16 = precision != MF_PRECISION_FP32;
    int status = mf_train_plan(t, limit, n_threads, err);
    if (precision != MF_PRECISION_AUTO || (status == 0 && mf_precision_bf16(precision))) return status;
    t->bf16 = false;
    return mf_train_plan(t, limit, n_threads, err);
}

static json_t *hash_json(uint64_t hash) {
    return json_sprintf("%016" PRIx64, hash);
}

/* What follows from the plan and changes what is rounded. */
static void identify_plan(struct mf_train_session *s) {
    const struct mf_training *t = &s->training;
    json_t *train = json_object_get(json_object_get(s->identity, "settings"), "train");
    int ranks = mf_ranks_count(t->ranks);
    json_object_set_new(s->identity, "rows_at_once", json_integer((json_int_t)t->memory.cut_rows));
    if (ranks > 1) json_object_set_new(s->identity, "ranks", json_integer(ranks));
    json_object_set_new(train, "precision", json_string(mf_precision_name(t->bf16))); /* what `auto` is */
    if (t->memory.plan.narrow) json_object_set_new(s->identity, "frozen_part", json_string("BF16"));
}

int mf_train_session_plan(struct mf_train_session *s, const char *program, const struct mf_common *common,
                          const struct mf_train_options *o, const struct mf_shape *shape,
                          const struct mf_train_config *config, const char *shared_hash, struct mf_err *err) {
    struct mf_training *t = &s->training;
    t->shape = *shape;
    t->frozen = shared_hash != NULL;
    if (t->frozen && set_expert(t, &s->config, err) < 0) return -1;
    t->pad = mf_specials_padding(&s->data.specials);
    json_object_set_new(s->identity, "tokens", hash_json(s->data.hash));
    json_object_set_new(s->identity, "tokenizer_sha256", json_string(s->data.tokenizer));
    json_object_set_new(s->identity, "config", mf_shape_json(&t->shape));
    if (o->validation) json_object_set_new(s->identity, "validation", hash_json(s->validation.hash));
    if (shared_hash) json_object_set_new(s->identity, "shared_sha256", json_string(shared_hash));
    if (!mf_specials_equal(&s->data.specials, &mf_specials_ours)) /* as checkpoints that say nothing have */
        json_object_set_new(s->identity, "special_tokens", mf_specials_json(&s->data.specials));
    s->program = program;
    s->common = common;
    t->config = config;
    t->dropout = s->config.model.dropout;
    t->seed = (uint64_t)s->config.seed;
    t->data = &s->data;
    t->validation = o->validation ? &s->validation : NULL;
    t->identity = s->identity;
    t->checkpoint = s->checkpoint;
    t->metrics = o->metrics;
    t->resume = o->resume;
    t->keep = o->keep;
    t->skip_nonfinite = o->skip_nonfinite;
    if (plan(s, precision_of(s, o->resume), o->max_memory, err) < 0) return -1;
    identify_plan(s);
    return 0;
}
