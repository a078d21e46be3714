/* The frame around a training. */
#include "cli/train_session.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"
#include "base/strings.h"
#include "cli/precision.h"
#include "io/bundle.h"
#include "nn/matmul.h"

static double megabytes(size_t bytes) {
    return (double)bytes / 1e6;
}

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
    if (mf_low_rank_check(&t->low_rank, &t->shape, "config", err) < 0) return -1;
    return head_of(c, &t->shape, &t->head, err);
}

int mf_train_forecast(const struct mf_config *config, bool frozen, const struct mf_component *shared,
                      int n_threads, size_t *bytes, struct mf_err *err) {
    const struct mf_data any = {.fd = -1};
    struct mf_training t = {.frozen = frozen, .validation = &any};
    t.config = frozen ? &config->train_expert : &config->train_shared;
    t.bf16 = mf_precision_bf16(config->train.precision);
    t.stored_bf16 = shared && mf_component_is_bf16(shared);
    if (shared)
        t.shape = shared->shape;
    else if (mf_train_shape(config, (size_t)config->tokenizer.vocab_size, &t.shape, err) < 0)
        return -1;
    if (frozen && set_expert(&t, config, err) < 0) return -1;
    if (mf_train_plan(&t, 0, n_threads, err) < 0) return -1;
    *bytes = t.memory.total;
    return 0;
}

/* An expert whose partition has no document to validate on takes those of all partitions. */
static int load_validation(struct mf_train_session *s, const char *stage, const struct mf_common *common,
                           const char *path, int64_t partition, size_t S, struct mf_err *err) {
    if (mf_data_load(&s->validation, path, partition, S, &s->data.specials, err) == 0) return 0;
    if (!s->validation.nothing) return -1;
    if (partition < 0 || mf_data_load(&s->validation, path, -1, S, &s->data.specials, err) < 0) {
        const struct mf_err why = *err;
        if (!s->validation.nothing) return -1;
        return mf_err_set(err, why.status, "%s (a larger docs.val_fraction or docs.min_targets helps)",
                          why.text);
    }
    if (!common->quiet)
        fprintf(
            stderr,
            "mf-%s: %s has nothing to predict of partition %lld: it is validated on all partitions (a larger "
            "docs.val_fraction helps)\n",
            stage, s->validation.name, (long long)partition);
    return 0;
}

int mf_train_session_begin(struct mf_train_session *s, const char *stage, const struct mf_common *common,
                           const struct mf_train_options *o, const char *tokens, int64_t partition, size_t S,
                           const struct mf_specials *otherwise, struct mf_err *err) {
    *s = (struct mf_train_session){.data.fd = -1, .validation.fd = -1};
    if (mf_config_load_stage(&s->config, &common->settings, stage, err) < 0) return -1;
    if (S == 0) S = (size_t)s->config.model.context;
    matmul_setup();
    if (mf_pool_new(&s->pool, (int)common->threads, err) < 0) return -1;
    if (mf_data_load(&s->data, tokens, -1, S, otherwise, err) < 0) return -1;
    if (o->validation && load_validation(s, stage, common, o->validation, partition, S, err) < 0) return -1;
    if (o->validation && strcmp(s->validation.tokenizer, s->data.tokenizer) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", s->validation.name,
                          s->validation.tokenizer, s->data.tokenizer, s->data.name);
    if (o->validation && mf_specials_match(&s->data.specials, s->data.name, &s->validation.specials,
                                           s->validation.name, err) < 0)
        return -1;
    s->identity = json_pack("{so}", "settings", mf_config_json(&s->config, stage));
    bool file = o->output && strcmp(o->output, "-") != 0;
    if (o->checkpoint)
        s->checkpoint = mf_format("%s", o->checkpoint);
    else if (file)
        s->checkpoint = mf_format("%s.ckpt", o->output);
    mf_signals_catch();
    return 0;
}

/* The tensors of the planned model, without data. */
static void list_tensors(struct mf_train_session *s) {
    const struct mf_training *t = &s->training;
    const struct mf_shape *shape = &t->shape;
    size_t R = t->low_rank.R;
    bool keeps = R || t->anchor; /* the FFN as it is; else it learns itself */
    enum mf_ffn_role role = t->frozen && !keeps ? MF_FFN_EXPERT : MF_FFN_DENSE;
    s->n_backbone = mf_backbone_tensors(shape, NULL, NULL);
    s->n_ffn = mf_ffn_tensors(shape, role, 0, NULL, NULL);
    s->n_frozen = (t->frozen ? s->n_backbone : 0) + (keeps ? s->n_ffn : 0);
    s->n_head =
        s->n_backbone + s->n_ffn + (R ? mf_changes_tensors(shape, R, NULL, NULL) : (keeps ? s->n_ffn : 0));
    s->tensors = calloc(s->n_head + MF_HEAD_TENSORS, sizeof *s->tensors);
    if (!s->tensors) mf_no_memory();
    mf_backbone_tensors(shape, NULL, s->tensors);
    mf_ffn_tensors(shape, role, 0, NULL, s->tensors + s->n_backbone);
    struct mf_tensor *after = s->tensors + s->n_backbone + s->n_ffn;
    if (R)
        mf_changes_tensors(shape, R, NULL, after);
    else if (keeps)
        mf_ffn_tensors(shape, MF_FFN_EXPERT, 0, NULL, after);
    s->n_tensors = s->n_head + mf_head_tensors(shape, t->head, -1, NULL, s->tensors + s->n_head);
    for (size_t i = 0; i < s->n_frozen; i++) s->tensors[i].dtype = t->memory.plan.narrow ? MF_BF16 : MF_F32;
}

/* Does a tensor lie in the file of the bundle? The FFN's matrices and those of the vocabulary, if they are
 * stored as they are wanted; what attention has is read, so that matrices that make one product lie behind
 * one another. */
static bool is_mapped(const struct mf_train_session *s, size_t i) {
    const struct mf_tensor *t = &s->tensors[i];
    if (!s->mapped || i >= s->n_frozen || t->n_dims < 2) return false;
    if (i < s->n_backbone && !mf_is_vocabulary(&s->training.shape, t->name)) return false;
    for (size_t k = 0; k < mf_bundle_count(s->mapped); k++) {
        const struct mf_tensor *there = mf_bundle_tensor(s->mapped, k);
        if (strcmp(there->name, t->name) == 0) return there->dtype == t->dtype;
    }
    return false;
}

/* Memory for all tensors in turn that have none in a file. */
static void layout(struct mf_train_session *s) {
    struct mf_arena *a = &s->arena;
    size_t bytes[2] = {0, 0}; /* frozen, learning */
    for (size_t i = 0; i < s->n_tensors; i++)
        if (!is_mapped(s, i)) bytes[i >= s->n_frozen] += mf_tensor_bytes(&s->tensors[i]);
    unsigned char *frozen = mf_arena_take(a, bytes[0], 1), *learning = mf_arena_take(a, bytes[1], 1);
    for (size_t i = 0; i < s->n_tensors && a->base; i++) {
        struct mf_tensor *t = &s->tensors[i];
        unsigned char **next = i < s->n_frozen ? &frozen : &learning;
        if (is_mapped(s, i)) continue;
        t->data = *next;
        *next += mf_tensor_bytes(t);
    }
}

/* What the layers work with. */
static void set_weights(struct mf_train_session *s) {
    struct mf_training *t = &s->training;
    size_t R = t->low_rank.R;
    float *learning = s->tensors[s->n_frozen].data;
    t->tensors = s->tensors + s->n_frozen;
    t->count = s->n_tensors - s->n_frozen;
    t->weights = (struct mf_lm_weights){.frozen = s->tensors};
    if (R)
        t->weights.changes = learning;
    else if (t->frozen)
        t->weights.ffn = learning;
    else {
        t->weights.backbone = learning;
        t->weights.ffn = learning + mf_backbone_size(&t->shape);
    }
    if (t->head) t->weights.head = s->tensors[s->n_head].data;
}

int mf_train_session_model(struct mf_train_session *s, struct mf_err *err) {
    layout(s);
    if (mf_arena_init(&s->arena, s->arena.used, err) < 0) return -1;
    layout(s);
    set_weights(s);
    return 0;
}

/* " (538.1 frozen, bf16, 107.3 mapped)", or "" where nothing is frozen. */
static void describe_frozen(const struct mf_train_session *s, char *text, size_t size) {
    const struct mf_train_memory *m = &s->training.memory;
    char mapped[32] = "";
    size_t bytes = 0;
    *text = 0;
    if (!m->frozen) return;
    for (size_t i = 0; i < s->n_tensors; i++) bytes += is_mapped(s, i) ? mf_tensor_bytes(&s->tensors[i]) : 0;
    if (bytes) snprintf(mapped, sizeof mapped, ", %.1f mapped", megabytes(bytes));
    snprintf(text, size, " (%.1f frozen%s%s)", megabytes(m->frozen), m->plan.narrow ? ", bf16" : "", mapped);
}

static void say_plan(const struct mf_train_session *s) {
    const struct mf_train_memory *m = &s->training.memory;
    char each[48] = "", frozen[80];
    int ranks = mf_ranks_count(s->training.ranks);
    if (s->common->quiet) return;
    if (ranks > 1) snprintf(each, sizeof each, " in each of %d processes", ranks);
    describe_frozen(s, frozen, sizeof frozen);
    fprintf(stderr,
            "%s: memory %.0f MB%s: parameters %.1f%s, gradients %.1f, optimizer %.1f, activations %.1f "
            "(%zu rows at once%s), workspace %.1f; products in %s\n",
            s->program, megabytes(m->total), each, megabytes(m->parameters), frozen, megabytes(m->gradients),
            megabytes(m->optimizer), megabytes(m->activations), m->plan.max_rows,
            m->plan.recompute ? ", some made again" : "", megabytes(m->workspace),
            mf_precision_name(s->training.bf16));
}

/* Models and checkpoints of one process say nothing of it. */
static void put_ranks(const struct mf_train_session *s, json_t *object) {
    int ranks = mf_ranks_count(s->training.ranks);
    if (ranks > 1) json_object_set_new(object, "ranks", json_integer(ranks));
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

/* What `auto` came to. */
static void put_precision(const struct mf_train_session *s, json_t *object) {
    json_object_set_new(object, "precision", json_string(mf_precision_name(s->training.bf16)));
}

static json_t *hash_json(uint64_t hash) {
    return json_sprintf("%016" PRIx64, hash);
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
    list_tensors(s);
    say_plan(s);
    /* another cut of the batches rounds differently */
    json_object_set_new(s->identity, "rows_at_once", json_integer((json_int_t)t->memory.cut_rows));
    put_ranks(s, s->identity);
    put_precision(s, json_object_get(json_object_get(s->identity, "settings"), "train"));
    if (t->memory.plan.narrow) json_object_set_new(s->identity, "frozen_part", json_string("BF16"));
    return 0;
}

/* --- what the training tells --- */

static void begin_progress(void *context, int64_t step) {
    struct mf_train_session *s = context;
    mf_progress_begin(&s->progress, s->program, "steps", (uint64_t)s->training.config->steps,
                      (enum mf_progress_mode)s->common->progress, s->common->quiet);
    s->progress.first = (uint64_t)step;
}

static void show_step(void *context, const struct mf_metrics_record *record) {
    struct mf_train_session *s = context;
    char text[96];
    snprintf(text, sizeof text, "loss %.4f  %.0f tokens/s", record->loss, record->tokens_per_s);
    mf_progress_show(&s->progress, (uint64_t)record->step, text);
}

static void say_skipped(void *context, const char *text) {
    const struct mf_train_session *s = context;
    if (!s->common->quiet) fprintf(stderr, "%s: %s\n", s->program, text);
}

static void say_end(const struct mf_train_session *s, const struct mf_training_result *r) {
    if (s->common->quiet) return;
    fprintf(stderr, "%s: %lld of %lld steps", s->program, (long long)r->state.step,
            (long long)s->training.config->steps);
    if (isfinite(r->last_loss)) fprintf(stderr, ", loss %.4f, %.0f tokens/s", r->last_loss, r->tokens_per_s);
    if (r->state.best_step >= 0)
        fprintf(stderr, ", best validation loss %.4f at step %lld", r->state.best_loss,
                (long long)r->state.best_step);
    fprintf(stderr, ", peak memory %.0f MB\n", megabytes(mf_peak_memory()));
}

int mf_train_session_run(struct mf_train_session *s, struct mf_training_result *result, struct mf_err *err) {
    s->training.hooks = (struct mf_train_hooks){s, begin_progress, show_step, say_skipped};
    int status = mf_train(&s->training, s->pool, result, err);
    if (s->progress.program) mf_progress_end(&s->progress, (uint64_t)result->state.step);
    if (status == 0) say_end(s, result);
    return status;
}

/* --- the bundle --- */

/* What a reader of the manifest wants to know of the training; nothing that differs from run to run. */
static json_t *training_json(const struct mf_train_session *s, const struct mf_training_result *r) {
    const struct mf_train_state *state = &r->state;
    json_t *j = json_object();
    json_object_set_new(j, "steps", json_integer((json_int_t)state->step));
    json_object_set_new(j, "documents", json_integer((json_int_t)s->data.documents));
    json_object_set_new(j, "tokens", json_integer((json_int_t)s->data.tokens));
    json_object_set_new(j, "data_xxh64", hash_json(s->data.hash));
    if (s->training.validation) json_object_set_new(j, "validation_xxh64", hash_json(s->validation.hash));
    if (state->best_step >= 0) {
        json_object_set_new(j, "best_step", json_integer((json_int_t)state->best_step));
        json_object_set_new(j, "validation_loss", json_real(state->best_loss));
    }
    if (!isnan(state->first_loss))
        json_object_set_new(j, "first_validation_loss", json_real(state->first_loss));
    put_ranks(s, j);
    json_object_set(j, "settings", json_object_get(s->identity, "settings"));
    return j;
}

int mf_train_session_write(struct mf_train_session *s, const char *kind, const char *output, json_t *meta,
                           const struct mf_training_result *r, const struct mf_tensor *tensors, size_t count,
                           struct mf_err *err) {
    struct mf_out *out;
    struct mf_tensor *all = calloc(count + 1, sizeof *all);
    if (!all) mf_no_memory();
    memcpy(all, tensors, count * sizeof *all);
    mf_data_widen(&s->data, s->training.shape.V);
    all[count] = (struct mf_tensor){.name = "token_counts",
                                    .dtype = MF_I64,
                                    .n_dims = 1,
                                    .shape = {s->data.vocab},
                                    .data = s->data.counts};
    json_object_set_new(meta, "config", mf_shape_json(&s->training.shape));
    json_object_set_new(meta, "tokenizer_sha256", json_string(s->data.tokenizer));
    json_object_set_new(meta, "special_tokens", mf_specials_json(&s->data.specials));
    json_object_set_new(meta, "training", training_json(s, r));
    int status = mf_out_open(&out, output, err);
    if (status == 0) status = mf_out_end(out, mf_bundle_write(out, kind, meta, all, count + 1, err), err);
    json_decref(meta);
    free(all);
    if (status == 0) mf_train_clean(&s->training);
    return status;
}

void mf_train_session_end(struct mf_train_session *s) {
    mf_data_free(&s->data);
    mf_data_free(&s->validation);
    mf_pool_free(s->pool);
    json_decref(s->identity);
    free(s->checkpoint);
    free(s->tensors);
    mf_arena_free(&s->arena);
    mf_bundle_unmap(&s->map);
}
